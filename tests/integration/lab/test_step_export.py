"""What is exported is read by the programs it is for; and the statistics count what happened."""

from __future__ import annotations

import io
import json
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket

from device.trace import events as ev
from device.trace.latency import Histogram, Statistics
from device.trace.recording import Recording
from lab.errors import UsageError
from lab.stepper.export import export
from lab.stepper.page import page
from lab.stepper.replaying import Replay
from lab.stepper.tools import Tools
from lab.stepper.workbench import build
from tests.judges import wireshark

if TYPE_CHECKING:
    from pathlib import Path

    from lab.stepper.session import Session, Stop


class Passing:
    """A front end that lets everything pass."""

    def stopped(self, session: Session, stop: Stop) -> None:  # noqa: ARG002 - the seam's shape
        """Go on."""
        session.run()


def exported(path: Path, frames: int = 5) -> Tools:
    """Export a small driver's life to a file; return the tools that watched."""
    out = io.BytesIO()
    build(write=out.write).work(frames)
    recording = Recording(out.getvalue())
    replay = Replay(recording, Passing())
    tools = Tools(replay.session)
    finish = export(path, replay.session, recording)
    replay.run()
    finish()
    return tools


def comments(path: Path) -> list[str]:
    """Return the comments of a capture's packets."""
    with path.open("rb") as file:
        return [
            str(block.options["opt_comment"])
            for block in FileScanner(file)
            if isinstance(block, EnhancedPacket)
        ]


def test_each_frame_of_a_capture_says_what_the_card_did(tmp_path: Path) -> None:
    """Queue, descriptors, write-back, interrupt; as python-pcapng reads it."""
    path = tmp_path / "run.pcapng"

    exported(path)

    said = comments(path)
    assert len(said) == 10
    assert said[2] == (
        "tx queue 0 descriptors 1; written back tx[0].desc[1]; causes TXDW TXQ0 TXQE; interrupt vector 1"
    )
    assert said[3] == (
        "accepted by RAL[0]; rx queue 0 descriptor 1; written back rx[0].desc[1]; causes RXQ0 RXT0;"
        " interrupt vector 0"
    )


def test_tshark_shows_the_comments(tmp_path: Path) -> None:
    """Frame by frame, with the direction."""
    path = tmp_path / "run.pcapng"
    exported(path)

    told = subprocess.run(
        [*wireshark(), "-r", path, "-T", "fields", "-e", "frame.len", "-e", "frame.comment"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()

    assert len(told) == 10
    assert all(line.split("\t")[0] == "64" for line in told)
    assert "descriptors 0" in told[0]


def test_perfetto_s_own_reader_takes_the_timeline(tmp_path: Path) -> None:
    """Tracks, slices that begin and end, and a flow from a doorbell to its interrupt."""
    protos = pytest.importorskip(
        "perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="the perfetto package is not installed"
    )
    path = tmp_path / "run.pftrace"
    exported(path)

    trace = protos.Trace()
    trace.ParseFromString(path.read_bytes())

    tracks = {
        p.track_descriptor.uuid: p.track_descriptor.name
        for p in trace.packet
        if p.HasField("track_descriptor")
    }
    slices = [p for p in trace.packet if p.HasField("track_event")]
    begins = [p for p in slices if p.track_event.type == 1]
    assert len(begins) * 2 == len(slices)
    times = [p.timestamp for p in slices]
    assert times == sorted(times)
    first = next(p for p in begins if p.track_event.name == "write TDT0" and p.track_event.flow_ids)
    flow = first.track_event.flow_ids[0]
    way = [
        (tracks[p.track_event.track_uuid], p.track_event.name.split()[0])
        for p in begins
        if flow in p.track_event.flow_ids
    ]
    assert ("tx queue 0", "write") in way


def test_a_flow_joins_the_stages_of_one_doorbell(tmp_path: Path) -> None:
    """In Chrome's format, whose every event has what its description demands."""
    path = tmp_path / "run.json"
    exported(path)

    told = json.loads(path.read_text())["traceEvents"]

    slices = [e for e in told if e["ph"] == "X"]
    starts = {e["id"]: e["ts"] for e in told if e["ph"] == "s"}
    assert all({"pid", "tid", "ts", "dur", "name"} <= e.keys() for e in slices)
    assert all(e["ts"] > starts[e["id"]] for e in told if e["ph"] == "t")
    door = next(e for e in slices if e["args"]["what"].startswith("write     TDT0 <- 0x1"))
    flow = next(e["id"] for e in told if e["ph"] == "s" and e["ts"] == door["ts"])
    on_way = {e["ts"] for e in told if e["ph"] in "st" and e["id"] == flow}
    names = [e["name"].split()[0] for e in slices if e["ts"] in on_way]
    assert names == ["write", "fetch", "data", "frame", "writeback", "cause", "irq"]


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    """With those that are known."""
    with pytest.raises(UsageError, match=r"\.pcapng, \.pftrace, \.json"):
        exported(tmp_path / "run.xyz")


def test_the_statistics_time_a_doorbell_to_its_acknowledgement() -> None:
    """Each stage 100 ns after the one before."""
    counted = Statistics()
    stages: list[ev.Event] = [
        ev.RegisterWritten(0x3818, 2),
        ev.DescriptorFetched("tx", 0, 0, 0, bytes(16)),
        ev.DescriptorFetched("tx", 0, 1, 16, bytes(16)),
        ev.DescriptorWrittenBack("tx", 0, 1, 28, b"\1"),
        ev.InterruptSent(1),
        ev.RegisterRead(0xC0, 1),
        ev.RegisterWritten(0x3818, 3),
    ]

    for number, stage in enumerate(stages):
        counted.observe(100 * number, stage)

    means = {one.title: one.mean for one in counted.histograms if one.number}
    assert means == {
        "descriptors a doorbell": 2,
        "doorbell to write-back": 300,
        "write-back to interrupt": 100,
        "interrupt to acknowledgement": 100,
    }


def test_a_histogram_keeps_every_value_in_its_bucket() -> None:
    """Powers of two; the percentile is a bound."""
    one = Histogram("x", "ns")

    for value in (0, 1, 2, 3, 4, 1000, 1 << 60):
        one.add(value)

    assert one.filled()[:4] == [(0, 1, 1), (1, 2, 1), (2, 4, 2), (4, 8, 1)]
    assert sum(count for _, _, count in one.filled()) == one.number == 7
    assert one.percentile(0.5) == 4
    assert one.largest == 1 << 60


class _Balance(HTMLParser):
    """Notes what a page loads, and tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.rects = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rects += tag == "rect"
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")] + (
            [tag] if tag in ("script", "link", "img", "iframe") else []
        )


def test_the_page_has_plots_and_loads_nothing(tmp_path: Path) -> None:
    """One file that can be mailed."""
    tools = exported(tmp_path / "run.json", frames=20)

    text = page(tools.counted, tools.checker.findings(), interactive=False)

    seen = _Balance()
    seen.feed(text)
    assert seen.loads == []
    assert seen.rects > 3
    assert "http" not in text.replace("http-equiv", "")
    for one in tools.counted.histograms:
        assert one.title in text
