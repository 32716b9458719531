"""The statistics as one self-contained page: HTML and SVG, no script, nothing loaded from anywhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

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
.rx { stroke: #2f6fb0 } .tx { stroke: #c2571a } .irq { stroke: #3f7f3f }
polyline { fill: none; stroke-width: 2 } circle { fill: none; stroke-width: 2 }
table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0 } td + td { text-align: right }
pre { background: #f4f4f2; padding: .6rem; overflow-x: auto; white-space: pre-wrap }
@media (prefers-color-scheme: dark) {
 body { color: #ddd; background: #191b1e } text { fill: #bbb } pre { background: #24272b } }
"""
_MARKED: Final = 60
"""Up to so many seconds each is marked by a dot."""
_SERIES: Final = (("tx frames", "tx"), ("rx frames", "rx"), ("interrupts", "irq"))


def amount(value: float, unit: str) -> str:
    """Return a value with its unit: nanoseconds as people say them."""
    if unit != "ns":
        return f"{value:g}"
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} ns"


def bars(one: Histogram) -> str:
    """Return a histogram as SVG."""
    buckets = one.filled()
    if not buckets:
        return "<p>nothing was seen</p>"
    most = max(count for _, _, count in buckets)
    step = (_WIDTH - _LEFT) / len(buckets)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _BOTTOM}" role="img" aria-label="{escape(one.title)}">']
    every = max(1, len(buckets) // 12)
    for number, (low, high, count) in enumerate(buckets):
        height = count / most * (_HEIGHT - 10)
        left = _LEFT + number * step
        told = f"{amount(low, one.unit)} to {amount(high, one.unit)}: {count}"
        parts.append(
            f'<rect x="{left:.1f}" y="{_HEIGHT - height:.1f}" width="{step * 0.9:.1f}" height="{height:.1f}">'
            f"<title>{told}</title></rect>"
        )
        if number % every == 0:
            parts.append(f'<text x="{left:.1f}" y="{_HEIGHT + 15}">{amount(low, one.unit)}</text>')
    parts.append(f'<text x="0" y="12">{most}</text><text x="0" y="{_HEIGHT}">0</text></svg>')
    return "".join(parts)


def lines(counted: Statistics) -> str:
    """Return the rates by the second as SVG."""
    if not counted.rates:
        return "<p>no frame passed, no interrupt was sent</p>"
    last = max(*counted.rates, int(counted.seconds)) + 1
    most = max(max(counts.values()) for counts in counted.rates.values())
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _BOTTOM}" role="img" aria-label="rates">']
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
    parts.append(f'<text x="{_WIDTH - 60}" y="{_HEIGHT + 15}">{last} s</text></svg>')
    return "".join(parts)


def page(counted: Statistics, findings: Sequence[Finding]) -> str:
    """Return the page."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Ringwalk: what the card saw</title>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<style>{_STYLE}</style><h1>What the card saw</h1>",
        f"<p>{counted.seconds:.3f} s of the card's time.</p>",
        "<h2>Rates</h2>",
        lines(counted),
    ]
    for one in counted.histograms:
        parts.append(f"<h2>{escape(one.title)}</h2>")
        if one.number:
            parts.append(
                f"<p>{one.number} values; mean {amount(one.mean, one.unit)}; half below"
                f" {amount(one.percentile(0.5), one.unit)}; 99 % below"
                f" {amount(one.percentile(0.99), one.unit)}; most {amount(one.largest, one.unit)}</p>"
            )
        parts.append(bars(one))
    parts.append("<h2>What the driver does wrong</h2>")
    parts += [f"<pre>{escape(str(one))}</pre>" for one in findings] or [
        "<p>Nothing that the rules forbid.</p>"
    ]
    rows = "".join(f"<tr><td>{escape(n)}</td><td>{c}</td></tr>" for n, c in sorted(counted.counts.items()))
    parts.append(f"<h2>Events</h2><table>{rows}</table></html>")
    return "\n".join(parts)
