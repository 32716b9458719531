"""tshark's AppleTalk dissectors read what our nodes send: none is malformed, all have the names we mean."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from device.wire.capture import CaptureFile
from formats import ethernet
from formats.appletalk import AARP_SNAP, Datagram, DdpType, NodeAddress
from formats.llc import LlcFrame, parse_snap
from formats.pcapng import Direction
from ntos.executive.contract import SECOND
from protocols.transports.appletalk.nbp import EntityName
from protocols.transports.appletalk.zones import GET_MY_ZONE
from tests.judges import wireshark
from tests.support.appletalk_lan import Lan, RouterEnd

if TYPE_CHECKING:
    from pathlib import Path

    from protocols.transports.appletalk.atp import Request

FIELDS = ("frame.protocols", "ddp.src.net", "ddp.src.node", "ddp.dst_socket", "ddp.type", "_ws.malformed")
DISSECTORS = {
    DdpType.RTMP: "rtmp",
    DdpType.NBP: "nbp",
    DdpType.ATP: "atp",
    DdpType.AEP: "ddp",
    DdpType.ZIP: "zip",
}


def test_tshark_names_every_frame_as_we_do(tmp_path: Path) -> None:
    """A life of a node with a router: every protocol that it has."""
    frames = _every_kind()
    file = tmp_path / "appletalk.pcapng"
    capture = CaptureFile(str(file), "appletalk")
    for number, frame in enumerate(frames):
        capture.write(ethernet.padded(frame.emit()), number * 1000, Direction.OUTBOUND)
    capture.close()
    words = [word for name in FIELDS for word in ("-e", name)]

    told = subprocess.run(
        [*wireshark(), "-r", str(file), "-T", "fields", *words], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    kinds = {one.kind for one in map(_datagram, frames) if one is not None}
    assert kinds == set(DISSECTORS)
    assert [_read(line) for line in told] == [_ours(frame) for frame in frames]


def _every_kind() -> list[LlcFrame]:
    lan = Lan()
    near, far = lan.nodes
    router = RouterEnd(far, (100, 110))

    def answer(request: Request) -> None:
        far.transactions.respond(request, [(bytes((1, 0, 0, 1)), b"\x08Twilight")])

    far.transactions.responders[6] = answer
    lan.run(8 * SECOND)
    router.announce()
    lan.run()
    socket = far.transactions.open(
        lambda asked: far.transactions.respond(asked, [(bytes(4), b"x" * 578)] * 8)
    )
    far.names.register(EntityName(b"Laser", b"LaserWriter"), socket, lambda _is_free: None)
    lan.run()
    here = near.transactions.open()
    to = lan.address(1)
    near.transactions.request(here, to, socket, bytes(4), b"q", 8, lambda _told: None, exactly_once=True)
    near.send(to, 4, here, DdpType.AEP, b"\1hello")
    near.router = None
    near.names.look_up(EntityName(b"=", b"="), lambda _found: None)
    lan.run()
    router.announce()
    lan.run()
    near.zones.read(GET_MY_ZONE, lambda _zones: None)
    lan.run()
    return lan.frames


def _datagram(frame: LlcFrame) -> Datagram | None:
    found = parse_snap(frame)
    assert found is not None
    return Datagram.parse(found[2]) if found[:2] != AARP_SNAP else None


def _read(line: str) -> tuple[str, NodeAddress | None, str, str, str]:
    protocols, network, node, socket, kind, malformed = line.split("\t")
    names = protocols.split(":")
    address = NodeAddress(int(network, 0), int(node, 0)) if network else None
    last = next(one for one in reversed(names) if one in {"aarp", "ddp", *DISSECTORS.values()})
    return last, address, socket, kind, malformed


def _ours(frame: LlcFrame) -> tuple[str, NodeAddress | None, str, str, str]:
    datagram = _datagram(frame)
    if datagram is None:
        return "aarp", None, "", "", ""
    name = DISSECTORS[DdpType(datagram.kind)]
    if name == "atp" and 6 in {datagram.to_socket, datagram.from_socket}:
        name = "zip"  # ZIP's own transactions
    return name, datagram.source, str(datagram.to_socket), str(datagram.kind), ""
