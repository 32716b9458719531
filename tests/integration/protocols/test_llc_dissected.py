"""tshark's LLC dissector reads what our stations send, and names every frame as we do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from device.wire.capture import CaptureFile
from formats import ethernet
from formats.llc import GLOBAL_SAP, NULL_SAP, LlcFrame
from formats.pcapng import Direction
from protocols.interfaces.llc import BusyReason, Kind, Link, LinkUp, Pdu
from protocols.interfaces.llc.pdu import NUMBERED, SUPERVISORY, control
from tests.judges import wireshark
from tests.support.llc_pair import MACS, SAP, Pair

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = ("llc.dsap", "llc.ssap", "_ws.col.Info", "_ws.malformed")


def test_tshark_names_every_frame_as_we_do(tmp_path: Path) -> None:
    """Every kind of PDU, with its numbers and its P or F; none is malformed."""
    frames = _every_kind()
    file = tmp_path / "llc.pcapng"
    capture = CaptureFile(str(file), "llc")
    for number, frame in enumerate(frames):
        capture.write(ethernet.padded(frame.emit()), number * 1000, Direction.OUTBOUND)
    capture.close()
    words = [word for name in FIELDS for word in ("-e", name)]
    words += ["--disable-protocol", "sna"]  # which it takes SAP 04 for

    told = subprocess.run(
        [*wireshark(), "-r", str(file), "-T", "fields", *words], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert {Pdu.of(frame).kind for frame in frames} == set(Kind)
    assert [_read(line) for line in told] == [_ours(frame) for frame in frames]


def _every_kind() -> list[LlcFrame]:
    """Return the frames of two links' lives: data, loss, a busy end, a refusal, a broken rule."""
    pair = Pair()
    near, far = pair.saps
    near.send_ui(b"\xff" * 6, GLOBAL_SAP, b"to all")
    near.send_xid(MACS[1], NULL_SAP)
    near.send_test(MACS[1], SAP, b"echo")
    link = near.connect(MACS[1], SAP, pair.now_ns)
    pair.settle()
    up = next(event.link for event in pair.events[1] if isinstance(event, LinkUp))
    _send_around_a_loss(pair, link)
    up.set_busy(BusyReason.USER, pair.now_ns)
    pair.settle()
    up.clear_busy(BusyReason.USER, pair.now_ns)
    pair.settle()
    bad = LlcFrame(MACS[1], MACS[0], SAP, SAP, control(Kind.RR, nr=99), b"")
    pair.stations[1].receive(bad.emit(), pair.now_ns)
    pair.settle()
    far.listens = False
    near.connect(MACS[1], SAP, pair.now_ns)
    pair.settle()
    return pair.frames


def _send_around_a_loss(pair: Pair, link: Link) -> None:
    link.send(b"first", pair.now_ns)
    lost = pair.stations[0].outbox.pop()
    link.send(b"second", pair.now_ns)
    pair.settle()
    assert lost.information == b"first"


def _read(line: str) -> tuple[str, ...]:
    dsap, ssap, info, malformed = line.split("\t")
    return dsap, ssap, info.split(";")[0], malformed


def _ours(frame: LlcFrame) -> tuple[str, ...]:
    """Return what the dissector's summary is, if we have made the frame that we meant."""
    pdu = Pdu.of(frame)
    assert pdu.kind is not None
    form = "I" if pdu.kind is Kind.I else "S" if pdu.kind in SUPERVISORY else "U"
    words = [f"{form} {'P' if pdu.is_command else 'F'}" if pdu.pf else form]
    words += [] if pdu.kind is Kind.I else [f"func={pdu.kind.name}"]
    words += [f"N(R)={pdu.nr}"] if pdu.kind in NUMBERED else []
    words += [f"N(S)={pdu.ns}"] if pdu.kind is Kind.I else []
    summary = "Basic Format" if pdu.kind is Kind.XID else ", ".join(words)  # the summary of IEEE's XID format
    return f"0x{frame.dsap:02x}", f"0x{frame.ssap:02x}", summary, ""
