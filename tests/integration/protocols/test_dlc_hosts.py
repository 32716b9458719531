"""DLC between two live hosts over descriptor rings, loaded by its INF file, with NBF and TCP/IP beside it."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.host.control_socket import QuestionError
from lab.host.tools import answer
from protocols.transports.dlc import ccb
from protocols.transports.dlc.ccb import Ccb, Code, Command, Event, Frame
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocols.transports.dlc.edge import DlcEdge

SAP, ETHERTYPE = 0x04, 0x88B5
MACS = [bytes((2, 0, 0, 0, 0, number)) for number in (1, 2)]
LIMIT_NS = 20_000_000_000


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
    assert made.reports() == []


class End:
    """A host's DLC."""

    def __init__(self, pair: Pair, number: int) -> None:
        self.host = pair.hosts[number]
        with self.host.executive.entry:
            self.host.loader.load("netnbf")
            self.host.loader.load("netdlc")
        self.edge: DlcEdge = self.host.loader.objects.of["DLC"].edge  # type: ignore[attr-defined]  # DLC's object
        self.card = next(iter(self.edge.adapters))

    def issue(self, command: Command, parameters: object = None) -> Ccb:
        """Issue a command."""
        block = Ccb(command, parameters or ccb.NoParameters())
        with self.host.executive.entry:
            self.edge.issue(self.card, block)
        return block

    def must(self, block: Ccb) -> Any:  # noqa: ANN401 - each command's own
        """Wait for its end, and return its result."""
        executive = self.host.executive
        with executive.entry:
            executive.wait(lambda: block.code is not Code.PENDING, "DLC", LIMIT_NS)
        assert block.code is Code.SUCCESS, block.code.name
        return block.result


def test_a_link_a_datagram_and_a_dix_frame_between_two_hosts(pair: Pair) -> None:
    near, far = End(pair, 0), End(pair, 1)
    for end in (near, far):
        end.must(end.issue(Command.DIR_OPEN_ADAPTER))
        end.must(end.issue(Command.BUFFER_CREATE, ccb.Pool(10_000)))
        end.must(end.issue(Command.DLC_OPEN_SAP, ccb.OpenSap(SAP, stations=4)))
        end.must(end.issue(Command.DIR_OPEN_DIRECT, ccb.OpenDirect(frozenset({ETHERTYPE}))))
        end.issue(Command.RECEIVE, ccb.Receive(0, is_standing=True))
        end.issue(Command.RECEIVE, ccb.Receive(SAP << 8, is_standing=True))
    calling = far.issue(Command.READ, ccb.Read(events=Event.STATUS_CHANGE))
    station = near.must(near.issue(Command.DLC_OPEN_STATION, ccb.OpenStation(SAP << 8, SAP, MACS[1])))
    near.must(near.issue(Command.DLC_CONNECT_STATION, ccb.Station(station)))
    far.must(far.issue(Command.DLC_CONNECT_STATION, ccb.Station(far.must(calling).station_id)))

    sent = [
        (Command.TRANSMIT_I_FRAME, ccb.Transmit(station, b"over the link")),
        (Command.TRANSMIT_UI_FRAME, ccb.Transmit(SAP << 8, b"datagram", MACS[1], SAP)),
        (Command.TRANSMIT_DIR_FRAME, ccb.Transmit(0, b"direct".ljust(46), MACS[1], ethertype=ETHERTYPE)),
    ]
    for command, parameters in sent:
        near.must(near.issue(command, parameters))
    reads = [far.must(far.issue(Command.READ, ccb.Read(events=Event.RECEIVE_DATA))).frame for _ in sent]

    assert {(one.kind, one.data.rstrip()) for one in reads} == {
        (Frame.I, b"over the link"),
        (Frame.UI, b"datagram"),
        (Frame.DIX, b"direct"),
    }
    told = answer("dlc", near.host.upper, [])
    assert "SAPs 04" in told.text
    assert "0401  02:00:00:00:00:02 SAP 04  NORMAL" in told.text


def test_the_tool_says_that_dlc_is_not_loaded(pair: Pair) -> None:
    with pytest.raises(QuestionError, match="not loaded"):
        answer("dlc", pair.hosts[0].upper, [])


def test_it_unloads_with_links_and_commands_open(pair: Pair) -> None:
    end = End(pair, 0)
    end.must(end.issue(Command.DIR_OPEN_ADAPTER))
    read = end.issue(Command.READ, ccb.Read())

    with end.host.executive.entry:
        end.host.loader.unload("DLC")

    assert read.code is Code.CLOSE_IN_PROGRESS
    assert end.issue(Command.DIR_STATUS).code is Code.ADAPTER_CLOSED
