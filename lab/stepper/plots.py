"""The plots of the statistics page, by Plotly: its JavaScript goes into the page, which loads nothing.

Plotly is an extra (``plots``); without it the page has the plain drawings of ``lab.stepper.page``.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

from device.trace.latency import amount, span

if TYPE_CHECKING:
    from device.trace.latency import Histogram, Statistics

PERCENTILES: Final = (0.5, 0.9, 0.99, 0.999)
_SERIES: Final = (("tx frames", "#c2571a"), ("rx frames", "#2f6fb0"), ("interrupts", "#3f7f3f"))
_COLOURS: Final = ("#c2571a", "#2f6fb0", "#3f7f3f", "#8a4fb0")
_AXES: Final = {"ns": "time, ns", "bytes": "length, bytes"}
_UNEVEN: Final = 50
"""Where counts differ by more, they are drawn on a logarithmic axis."""


def available() -> bool:
    """Tell whether Plotly is installed."""
    return importlib.util.find_spec("plotly") is not None


def script() -> str:
    """Return Plotly's JavaScript, whole: some 5 MB."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, and slow to import; it has no types

    return f"<script>{get_plotlyjs()}</script>"


def histogram(one: Histogram) -> str:
    """Return a histogram with logarithmic axes; what a bar counts, and the percentiles, are told on hover."""
    buckets = [(max(low, 0.7), max(high, 1), low, high, count) for low, high, count in one.eighths()]
    if not buckets:
        return "<p>nothing was seen</p>"
    most = max(count for *_, count in buckets)
    least = min(count for *_, count in buckets)
    bars = {
        "type": "bar",
        "name": "values",
        "x": [(left * right) ** 0.5 for left, right, *_ in buckets],
        "width": [(right - left) * 0.92 for left, right, *_ in buckets],
        "y": [count for *_, count in buckets],
        "text": [span(low, high, one.unit) for _, _, low, high, _ in buckets],
        "customdata": [100 * count / one.number for *_, count in buckets],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{y} values, %{customdata:.2f} %<extra></extra>",
        "marker": {"color": "#2f6fb0"},
    }
    places: dict[int, list[str]] = {}
    for part in PERCENTILES:
        places.setdefault(one.percentile(part), []).append(f"{part * 100:g} %")
    marks = {
        "type": "scatter",
        "name": "percentiles",
        "mode": "markers+text",
        "x": [max(1, value) for value in places],
        "y": [most * 1.15] * len(places),
        "text": [", ".join(parts) for parts in places.values()],
        "textposition": "top center",
        "cliponaxis": False,
        "customdata": [amount(value, one.unit) for value in places],
        "hovertemplate": "%{text} of the values are at most %{customdata}<extra></extra>",
        "marker": {"color": "#c2571a", "symbol": "triangle-down", "size": 9},
    }
    axis = _AXES.get(one.unit, one.unit)
    scale = "log" if most > _UNEVEN * least else "linear"
    return _drawn([bars, marks], {"title": axis, "type": "log"}, {"title": "values", "type": scale})


def rates(counted: Statistics) -> str:
    """Return the rates by the second, and how many slots of each ring the card owned."""
    if not counted.rates:
        return "<p>no frame passed, no interrupt was sent</p>"
    seconds = range(max(*counted.rates, int(counted.seconds)) + 1)
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": list(seconds),
            "y": [counted.rates.get(second, {}).get(name, 0) for second in seconds],
            "line": {"color": colour},
            "hovertemplate": f"second %{{x}}: %{{y}} {name}<extra></extra>",
        }
        for name, colour in _SERIES
    ]
    drawn = _drawn(lines, {"title": "card time, s"}, {"title": "a second", "rangemode": "tozero"})
    return drawn + occupancy(counted)


def occupancy(counted: Statistics) -> str:
    """Return how many slots of each ring the card owned, over time."""
    rings = {name: ring for name, ring in sorted(counted.occupancy.items()) if ring.samples}
    if not rings:
        return ""
    first = min(ring.samples[0][0] for ring in rings.values())
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{name}: the card owned, of {ring.count}",
            "x": [(at - first) / 1e9 for at, _ in ring.samples],
            "y": [owned for _, owned in ring.samples],
            "line": {"color": _COLOURS[number % len(_COLOURS)], "shape": "hv"},
            "hovertemplate": f"%{{x:.6f}} s: %{{y}} of {ring.count} with the card<extra>{name}</extra>",
        }
        for number, (name, ring) in enumerate(rings.items())
    ]
    return _drawn(lines, {"title": "card time, s"}, {"title": "slots", "rangemode": "tozero"})


def _drawn(traces: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any]) -> str:
    """Return a figure as a part of a page that has the script."""
    from plotly import graph_objects  # type: ignore[import-untyped]  # noqa: PLC0415 - the same

    layout = {
        "xaxis": x | {"title": {"text": x["title"]}},
        "yaxis": y | {"title": {"text": y["title"]}},
        "height": 320,
        "margin": {"l": 70, "r": 20, "t": 30, "b": 50},
        "legend": {"orientation": "h", "y": 1.15},
        "template": "plotly_white",
    }
    figure = graph_objects.Figure(data=traces, layout=layout)
    return str(
        figure.to_html(
            full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}
        )
    )
