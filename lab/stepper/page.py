"""The statistics as one self-contained page: nothing is loaded from anywhere.

Plotly draws it where that is installed (``lab.stepper.plots``); else it has plain SVG and no script.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from device.trace.latency import amount, span
from lab.stepper import plots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device.trace.latency import Histogram, Statistics
    from device.trace.lint import Finding

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 180, 60, 34
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #1c1e21; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem }
svg { width: 100%; height: auto } rect { fill: #2f6fb0 } text { font-size: 11px; fill: #444 }
.rx { stroke: #2f6fb0; stroke-dasharray: 7 4 } .tx { stroke: #c2571a } .irq { stroke: #3f7f3f }
polyline { fill: none; stroke-width: 2 } circle { fill: none; stroke-width: 2 }
table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0 } td + td { text-align: right }
pre { background: #f4f4f2; padding: .6rem; overflow-x: auto; white-space: pre-wrap }
@media (prefers-color-scheme: dark) {
 body { color: #ddd; background: #191b1e } text { fill: #bbb } pre { background: #24272b } }
"""
_WIDEST: Final = 64
"""No bar is wider: few of them are no blocks."""
_RING_STYLES: Final = ("tx", "rx", "irq")
_MARKED: Final = 60
"""Up to so many seconds each is marked by a dot."""
_SERIES: Final = (("tx frames", "tx"), ("rx frames", "rx"), ("interrupts", "irq"))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is of."""

    what: str = "a card"
    when: str = ""
    played: bool = False
    """Whether it is a recording that was played: all stages of an input have one time there."""


def bars(one: Histogram) -> str:
    """Return a histogram as SVG: a bar an octave, so that the axis below is logarithmic."""
    buckets = one.filled()
    if not buckets:
        return "<p>nothing was seen</p>"
    most = max(count for _, _, count in buckets)
    step = min((_WIDTH - _LEFT) / len(buckets), _WIDEST)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _BOTTOM}" role="img" aria-label="{escape(one.title)}">']
    every = -(-len(buckets) // 8)
    for number, (low, high, count) in enumerate(buckets):
        height = count / most * (_HEIGHT - 24)
        left = _LEFT + number * step
        parts.append(
            f'<rect x="{left:.1f}" y="{_HEIGHT - height:.1f}" width="{step * 0.85:.1f}"'
            f' height="{height:.1f}">'
            f"<title>{span(low, high, one.unit)}: {count}</title></rect>"
        )
        if number % every == 0:
            parts.append(f'<text x="{left:.1f}" y="{_HEIGHT + 15}">{amount(low, one.unit)}</text>')
    axis = {"ns": "time", "bytes": "length in bytes"}.get(one.unit, one.unit)
    parts.append(f'<text x="0" y="12">{most} values</text><text x="0" y="{_HEIGHT}">0</text>')
    below = f'x="{_WIDTH}" y="{_HEIGHT + 30}" text-anchor="end"'
    parts.append(f"<text {below}>{axis}, doubling from bar to bar</text></svg>")
    return "".join(parts)


NOT_DRAWN: Final = (
    f'<svg viewBox="0 0 {_WIDTH} 24" role="img"><rect x="0" y="0" width="3" height="24"/><text x="12" y="16">'
    "not drawn: in a recording that is played all stages of an input have its time</text></svg>"
)


def occupancy(counted: Statistics) -> str:
    """Return how many slots of each ring the card owned, over time, as a part of an SVG."""
    rings = {name: ring for name, ring in counted.occupancy.items() if ring.samples}
    if not rings:
        return ""
    first = min(ring.samples[0][0] for ring in rings.values())
    length = max(1, max(ring.samples[-1][0] for ring in rings.values()) - first)
    most = max(ring.count for ring in rings.values())
    parts = []
    for number, (name, ring) in enumerate(sorted(rings.items())):
        places = (
            ((at - first) / length * (_WIDTH - _LEFT) + _LEFT, _HEIGHT - owned / most * (_HEIGHT - 24))
            for at, owned in ring.samples
        )
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        style = _RING_STYLES[number % len(_RING_STYLES)]
        left = _LEFT + number * 190
        parts.append(f'<polyline class="{style}" points="{points}"/>')
        parts.append(
            f'<text x="{left}" y="{_HEIGHT + 28}">{name}: the card owned, of {ring.count}</text>'
            f'<polyline class="{style}" points="{left - 22},{_HEIGHT + 24} {left - 5},{_HEIGHT + 24}"/>'
        )
    parts.append(f'<text x="0" y="12">{most} slots</text><text x="0" y="{_HEIGHT}">0</text>')
    parts.append(f'<text x="{_WIDTH - 90}" y="{_HEIGHT + 15}">{amount(length, "ns")}</text>')
    return "".join(parts)


def lines(counted: Statistics) -> str:
    """Return the rates by the second as SVG."""
    if not counted.rates:
        return "<p>no frame passed, no interrupt was sent</p>"
    last = max(*counted.rates, int(counted.seconds)) + 1
    most = max(max(counts.values()) for counts in counted.rates.values())
    rings = occupancy(counted)
    tall = (_HEIGHT + _BOTTOM) * (2 if rings else 1)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {tall}" role="img" aria-label="rates">']
    for number, (name, style) in enumerate(_SERIES):
        places = [
            (
                f"{_LEFT + (second + 0.5) * (_WIDTH - _LEFT) / last:.1f}",
                f"{_HEIGHT - counted.rates.get(second, {}).get(name, 0) / most * (_HEIGHT - 10):.1f}",
            )
            for second in range(last)
        ]
        points = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline class="{style}" points="{points}"/>')
        if last <= _MARKED:  # so few points, or one, that a line alone would not show them
            parts += [f'<circle class="{style}" r="3" cx="{x}" cy="{y}"/>' for x, y in places]
        parts.append(
            f'<text x="{_LEFT + number * 130}" y="{_HEIGHT + 28}">{name}</text>'
            f'<polyline class="{style}" points="{_LEFT + number * 130 - 22},{_HEIGHT + 24}'
            f' {_LEFT + number * 130 - 5},{_HEIGHT + 24}"/>'
        )
    parts.append(f'<text x="0" y="12">{most} /s</text><text x="0" y="{_HEIGHT}">0</text>')
    parts.append(f'<text x="{_WIDTH - 60}" y="{_HEIGHT + 15}">{last} s</text>')
    parts.append(f'<g transform="translate(0 {_HEIGHT + _BOTTOM})">{rings}</g></svg>')
    return "".join(parts)


def page(
    counted: Statistics,
    findings: Sequence[Finding],
    subject: Subject | None = None,
    *,
    interactive: bool | None = None,
) -> str:
    """Return the page; ``interactive``: by Plotly, None: if it is installed."""
    subject = subject or Subject()
    by_plotly = plots.available() if interactive is None else interactive
    rates, histogram = (plots.rates, plots.histogram) if by_plotly else (lines, bars)
    when = f", {subject.when}" if subject.when else ""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>Ringwalk: {escape(subject.what)}</title>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<style>{_STYLE}</style><h1>What the card saw</h1>",
        f"<p>{escape(subject.what)}{escape(when)}. 82574L, reference engine, {counted.seconds:.3f} s.</p>",
        *([plots.script()] if by_plotly else []),
        "<h2>Rates</h2>",
        rates(counted),
    ]
    for one in counted.histograms:
        parts.append(f"<h2>{escape(one.title)}</h2>")
        if subject.played and any(one is other for other in counted.within_an_input):
            parts.append(NOT_DRAWN)
            continue
        if one.number:
            shown = " · ".join(
                f"{name} {amount(value, one.unit)}"
                for name, value in (
                    ("mean", one.mean),
                    *((f"{part * 100:g} %", one.percentile(part)) for part in plots.PERCENTILES),
                    ("most", one.largest),
                )
            )
            parts.append(f"<p>{one.number} values: {shown}</p>")
        parts.append(histogram(one))
    parts.append("<h2>What the driver does wrong</h2>")
    parts += [f"<pre>{escape(str(one))}</pre>" for one in findings] or [
        "<p>Nothing that the rules forbid.</p>"
    ]
    rows = "".join(f"<tr><td>{escape(n)}</td><td>{c}</td></tr>" for n, c in sorted(counted.counts.items()))
    parts.append(f"<h2>Events</h2><table>{rows}</table></html>")
    return "\n".join(parts)
