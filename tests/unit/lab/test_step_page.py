"""The page of statistics, as a browser has it: every plot drawn, nothing loaded from elsewhere."""

from __future__ import annotations

import json
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from device.trace.recording import Recording
from lab.errors import UsageError
from lab.machines import chromium
from lab.stepper import scenario
from lab.stepper.ndis_bench import NdisBench
from lab.stepper.replaying import Replay
from lab.stepper.tools import Tools

if TYPE_CHECKING:
    from pathlib import Path

    from lab.stepper.session import Session, Stop

TITLES = (
    "Rates",
    "descriptors a doorbell",
    "doorbell to write-back",
    "write-back to interrupt",
    "interrupt to acknowledgement",
    "time between interrupts",
    "frame sizes",
)


class Onlooker:
    """Lets everything pass."""

    def stopped(self, session: Session, stop: Stop) -> None:
        """Go on."""


def written(tmp_path: Path, *, interactive: bool = False) -> Path:
    """Return the page of a run of our own driver, with some of everything in it."""
    recording: list[bytes] = []
    bench = NdisBench("serialized", Onlooker(), write=recording.append)
    bench.session.detach()
    bench.work(scenario.parse(["send 5 200", "large 20000", "receive 9 1000", "wait 3000", "send 4"]))
    replay = Replay(Recording(b"".join(recording)), Onlooker())
    replay.session.detach()
    tools = Tools(replay.session)
    replay.run()
    path = tmp_path / "page.html"
    tools.statistics(path, interactive=interactive)
    return path


def pixels(png: bytes) -> set[bytes]:
    """Return the colours of an 8-bit RGB or RGBA PNG without interlace (its rows' filters undone)."""
    width, height, _, kind = struct.unpack_from(">IIBB", png, 16)
    size = {2: 3, 6: 4}[kind]
    chunks, at = b"", 8
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        chunks += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw, stride = zlib.decompress(chunks), width * size
    above, colours = bytes(stride), set()
    for row in range(height):
        start = row * (stride + 1)
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], above, size)
        colours |= {above[n : n + 3] for n in range(0, stride, size)}
    return colours


def _unfiltered(kind: int, row: bytes, above: bytes, size: int) -> bytes:
    """Undo a row's filter (PNG specification, 9.2)."""
    out = bytearray(row)
    for n in range(len(out)):
        left = out[n - size] if n >= size else 0
        up, corner = above[n], above[n - size] if n >= size else 0
        guess = left + up - corner
        paeth = min((left, up, corner), key=lambda one: abs(guess - one))
        out[n] = (out[n] + (0, left, up, (left + up) // 2, paeth)[kind]) & 0xFF
    return bytes(out)


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    """It is one file: to be mailed, kept, and opened without a network."""
    text = written(tmp_path).read_text()

    assert not re.search(r"<script|<link|<img|src=|url\(|@import|https?://", text)
    assert text.count("<svg") == len(TITLES)


def test_the_page_says_what_it_is_of_and_draws_no_latency_that_a_replay_makes_up(tmp_path: Path) -> None:
    """Its percentiles are no edges of buckets, and the rings' fill is beside the rates."""
    text = written(tmp_path).read_text()

    assert "<p>a recording, page made " in text
    assert text.count("not drawn: in a recording that is played") == 2
    assert "tx0: the card owned, of " in text
    assert re.search(r"\d+ values: mean .* · 50 % .* · 90 % .* · 99 % .* · 99\.9 % .* · most ", text)
    assert "doubling from bar to bar" in text


def figures(text: str) -> list[dict[str, Any]]:
    """Return what the page gives Plotly to draw: its traces and its layout."""
    found, reader = [], json.JSONDecoder()
    for start in re.finditer(r"Plotly\.newPlot\(\s*\"[^\"]*\",\s*", text):
        traces, end = reader.raw_decode(text, start.end())
        layout, _ = reader.raw_decode(text, end + len(re.match(r",\s*", text[end:])[0]))  # type: ignore[index]  # it is there
        found.append({"traces": traces, "layout": layout})
    return found


def test_plotly_s_page_loads_nothing_and_has_its_axes_percentiles_and_rings(tmp_path: Path) -> None:
    """The script is in the page; a latency that a replay makes up is not drawn; hover tells."""
    pytest.importorskip("plotly", reason="the plots extra is not installed")
    text = written(tmp_path, interactive=True).read_text()

    scripts = re.findall(r"<script([^>]*)>", text)
    drawn = figures(text)
    assert all("src" not in one for one in scripts)
    assert not re.search(r"<link|<img|@import", text.split("<script>")[0])
    assert text.count("not drawn: in a recording that is played") == 2
    names = [[trace["name"] for trace in one["traces"]] for one in drawn]
    assert names[0] == ["tx frames", "rx frames", "interrupts"]
    assert any(name.startswith("tx0: the card owned, of ") for name in names[1])
    histograms = drawn[2:]
    assert len(histograms) == len(TITLES) - 1 - 2
    for one in histograms:
        bars, marks = one["traces"]
        assert one["layout"]["xaxis"]["type"] == "log"
        assert one["layout"]["xaxis"]["title"]["text"]
        assert ", ".join(marks["text"]) == "50 %, 90 %, 99 %, 99.9 %"
        assert len(bars["text"]) == len(bars["customdata"])
        assert "%{text}" in bars["hovertemplate"]


@pytest.mark.extra
@pytest.mark.timeout(900)
def test_chromium_draws_every_figure_of_plotly_s_page(tmp_path: Path) -> None:
    """The figures are in the document after the script has run, without a network."""
    pytest.importorskip("plotly", reason="the plots extra is not installed")
    page = written(tmp_path, interactive=True)
    try:
        browser = chromium.find(tmp_path / "browser")
    except UsageError as error:
        pytest.skip(f"no Chromium can be had here: {error}")

    document = browser.dom(page)

    assert document.count('class="main-svg"') >= len(figures(page.read_text()))
    assert document.count('class="point"') >= len(TITLES)


@pytest.mark.extra
@pytest.mark.timeout(900)
def test_chromium_draws_every_plot_of_the_page(tmp_path: Path) -> None:
    """Fetched headless Chromium: the document it has in the end, and the picture that it draws."""
    page = written(tmp_path)
    try:
        browser = chromium.find(tmp_path / "browser")
    except UsageError as error:
        pytest.skip(f"no Chromium can be had here: {error}")

    document = browser.dom(page)
    picture = browser.picture(page, tmp_path / "page.png").read_bytes()

    headings = re.findall(r"<h2>(.*?)</h2>", document)
    assert headings[: len(TITLES)] == list(TITLES)
    plots = document.split("<h2>")[1 : len(TITLES) + 1]
    assert all("<rect" in plot or "<polyline" in plot for plot in plots), headings
    bars = re.findall(r'<rect [^>]*width="([\d.]+)" height="([\d.]+)"', document)
    assert bars
    assert all(float(width) > 0 and float(height) >= 0 for width, height in bars)
    assert picture.startswith(b"\x89PNG")
    assert bytes.fromhex("2f6fb0") in pixels(picture)  # the bars' own colour, drawn
