"""tshark's NetBIOS dissector reads what our stations send, and names each field as we do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from device.wire.capture import CaptureFile
from formats import ethernet
from formats.llc import UI
from formats.pcapng import Direction
from protocols.transports.nbf.frame import Command, NameFrame, SessionFrame
from protocols.transports.nbf.parameters import BROADCAST_NAME
from tests.judges import wireshark
from tests.support.nbf_pair import Client, Lan, name

if TYPE_CHECKING:
    from pathlib import Path

    from formats.llc import LlcFrame

FIELDS = (
    *("netbios.command", "netbios.xmit_corrl", "netbios.resp_corrl", "netbios.nb_name"),
    *("netbios.remote_session", "netbios.local_session", "netbios.flags", "netbios.resync_indicator"),
    *("netbios.num_data_bytes_accepted", "netbios.max_data_recv_size", "netbios.status", "_ws.malformed"),
)
A, B, TEAM = name("ALICE"), name("BOB", 0x20), name("TEAM", 0x1E)
NEVER_SENT = {Command.TERMINATE_TRACE, Command.TERMINATE_TRACE_BOTH}


def test_tshark_names_every_frame_as_we_do(tmp_path: Path) -> None:
    """Every command, with its correlators, names, session numbers, flags and counts."""
    frames = [one for one in _every_command().frames if _parsed(one) is not None]
    file = tmp_path / "nbf.pcapng"
    capture = CaptureFile(str(file), "nbf")
    for number, frame in enumerate(frames):
        capture.write(ethernet.padded(frame.emit()), number * 1000, Direction.OUTBOUND)
    capture.close()
    words = [word for field in FIELDS for word in ("-e", field)]
    words += ["-o", "netbios.defragment:FALSE"]

    told = subprocess.run(
        [*wireshark(), "-r", str(file), "-T", "fields", "-E", "aggregator=|", *words],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    ours = [_parsed(frame) for frame in frames]
    assert {one.command for one in ours if one is not None} == set(Command) - NEVER_SENT
    assert [tuple(line.split("\t")) for line in told] == [_named(one) for one in ours if one is not None]


def _parsed(frame: LlcFrame) -> NameFrame | SessionFrame | None:
    if frame.control == UI:
        return NameFrame.parse(frame.information)
    return SessionFrame.parse(frame.information) if frame.control & 1 == 0 else None


def _every_command() -> Lan:
    """Have three stations say all that there is."""
    lan = Lan(3)
    near, far, third = lan.hosts
    near.add(A)
    far.add(B, listens=True)
    far.add(TEAM, is_group=True)
    lan.settle()
    third.add(B)
    lan.settle()
    lan.wire.loss = 1.0
    third.add(B)
    lan.settle()
    lan.wire.loss = 0.0
    near.nbf.queries.find(B, A, lambda _found: None)
    near.nbf.queries.ask_status(TEAM, 500, lambda _raw, _more: None)
    near.nbf.send_datagram(A, TEAM, b"datagram")
    near.nbf.send_datagram(A, BROADCAST_NAME, b"to all")
    lan.settle()
    far.nbf.names.release(B)
    far.add(B)
    third.nbf.names.release(B)
    lan.settle()
    client = Client()
    far.room = 2000
    session = near.nbf.call(A, B, client)
    lan.settle()
    session.send(bytes(6000), lambda: None)
    lan.settle()
    far.accepted[0].room = None
    assert far.accepted[0].session is not None
    far.accepted[0].session.resume()
    lan.settle()
    far.accepted[0].session.send(b"answer", lambda: None)
    lan.settle(limit_ns=40_000_000_000, quiet_ns=40_000_000_000)
    session.hang_up()
    lan.settle()
    return lan


def _named(one: NameFrame | SessionFrame) -> tuple[str, ...]:
    """Return what the dissector's fields are, if we have made the frame that we meant."""
    shown = _SHOWN[one.command]
    if one.command in _FINDING and one.data2 & 0xFF == 0:  # FIND.NAME has no session
        shown = shown - {"source"} - ({"response"} if one.command is Command.NAME_RECOGNIZED else set())
    names, sessions = "", ("", "")
    if isinstance(one, NameFrame):
        names = "|".join(_text(getattr(one, end)) for end in ("destination", "source") if end in shown)
    else:
        sessions = f"0x{one.destination:02x}", f"0x{one.source:02x}"
    cells = {
        "transmit": f"0x{one.transmit:04x}",
        "response": f"0x{one.response:04x}",
        "flags": f"0x{one.data1:02x}",
        "resync": f"0x{one.data2:04x}",
        "accepted": str(one.data2),
        "size": str(one.data2),
        "status": str(one.data1),
    }
    told = {key: text if key in shown else "" for key, text in cells.items()}
    first = f"0x{one.command:02x}", told["transmit"], told["response"], names, *sessions
    return (*first, *(told[key] for key in ("flags", "resync", "accepted", "size", "status")), "")


def _text(found: bytes) -> str:
    return "".join(f"<{byte:02x}>" if byte < 32 else chr(byte) for byte in found[:15]).rstrip()


_FINDING = (Command.NAME_QUERY, Command.NAME_RECOGNIZED)
_BOTH = {"destination", "source"}
_SHOWN: dict[Command, set[str]] = {
    Command.ADD_GROUP_NAME_QUERY: {"response", "source"},
    Command.ADD_NAME_QUERY: {"response", "source"},
    Command.NAME_IN_CONFLICT: _BOTH,
    Command.STATUS_QUERY: {"response", *_BOTH},
    Command.DATAGRAM: _BOTH,
    Command.DATAGRAM_BROADCAST: {"source"},
    Command.NAME_QUERY: {"response", *_BOTH},
    Command.ADD_NAME_RESPONSE: {"transmit", "status", *_BOTH},
    Command.NAME_RECOGNIZED: {"transmit", "response", *_BOTH},
    Command.STATUS_RESPONSE: {"transmit", *_BOTH},
    Command.DATA_ACK: {"transmit"},
    Command.DATA_FIRST_MIDDLE: {"transmit", "response", "flags", "resync"},
    Command.DATA_ONLY_LAST: {"transmit", "response", "flags", "resync"},
    Command.SESSION_CONFIRM: {"transmit", "response", "flags", "size"},
    Command.SESSION_END: set(),
    Command.SESSION_INITIALIZE: {"transmit", "response", "flags", "size"},
    Command.NO_RECEIVE: {"accepted"},
    Command.RECEIVE_OUTSTANDING: {"accepted"},
    Command.RECEIVE_CONTINUE: {"transmit"},
    Command.SESSION_ALIVE: set(),
}
"""Which fields the dissector has for a command."""
