"""DLC's commands: each by its return code, links, buffers, READ and RECEIVE, direct access, a printer."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.trials.interop.jetdirect import ID, Printer, job
from ntos.executive.contract import MILLISECOND, SECOND
from protocols.interfaces.llc import DataReceived, LinkUp, Station
from protocols.transports.dlc import ccb
from protocols.transports.dlc.adapter import DlcAdapter
from protocols.transports.dlc.ccb import Ccb, Code, Command, Event, Frame, LinkStatus
from protocols.transports.dlc.timers import DlcError, timer_ns

if TYPE_CHECKING:
    from protocols.interfaces.llc import Sap

MACS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
SAP = 0x04
MINE = SAP << 8


class Card:
    """A card that keeps what it is asked."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.ethertypes: frozenset[int] = frozenset()
        self.groups: frozenset[bytes] = frozenset()

    def send_raw(self, frame: bytes) -> None:
        """Keep it."""
        self.raw.append(frame)

    def listen_to(self, ethertypes: frozenset[int]) -> None:
        """Keep them."""
        self.ethertypes = ethertypes

    def set_groups(self, addresses: frozenset[bytes]) -> None:
        """Keep them."""
        self.groups = addresses


class World:
    """Two adapters on a wire, in virtual time."""

    def __init__(self) -> None:
        self.now_ns = SECOND
        self.stations = [Station(mac) for mac in MACS]
        self.cards = [Card(), Card()]
        self.adapters = [DlcAdapter(*pair) for pair in zip(self.stations, self.cards, strict=True)]
        self.is_cut = False
        self.printer: Sap | None = None
        self.script = Printer()
        self.run()

    def run(self, time_ns: int = SECOND) -> None:
        """Carry frames, and let time pass."""
        end = self.now_ns + time_ns
        while self.now_ns < end:
            self.now_ns += MILLISECOND
            for at, station in enumerate(self.stations):
                station.advance(self.now_ns)
                self.adapters[at].serve(self.now_ns)
                while station.outbox:
                    frame = station.outbox.popleft()
                    if not self.is_cut:
                        self.stations[1 - at].receive(frame.emit(), self.now_ns)
            self._print()

    def ask(self, who: int, command: Command, parameters: object = None) -> Ccb:
        """Issue a command."""
        block = Ccb(command, parameters or ccb.NoParameters())
        self.adapters[who].issue(block)
        return block

    def must(self, who: int, command: Command, parameters: object = None) -> Any:  # noqa: ANN401 - each command's own
        """Issue a command that succeeds, and return its result."""
        block = self.ask(who, command, parameters)
        self.run(50 * MILLISECOND)
        assert block.code is Code.SUCCESS, block.code.name
        return block.result

    def opened(self, *, pool: int = 10_000) -> World:
        """Open both adapters, a pool and SAP 04 of each."""
        for who in (0, 1):
            self.must(who, Command.DIR_OPEN_ADAPTER)
            self.must(who, Command.BUFFER_CREATE, ccb.Pool(pool))
            assert self.must(who, Command.DLC_OPEN_SAP, ccb.OpenSap(SAP, stations=4)) == MINE
        return self

    def connected(self) -> tuple[int, int]:
        """Make a link; return its station numbers."""
        ours = self.must(0, Command.DLC_OPEN_STATION, ccb.OpenStation(MINE, SAP, MACS[1]))
        read = self.ask(1, Command.READ, ccb.Read(events=Event.STATUS_CHANGE))
        self.must(0, Command.DLC_CONNECT_STATION, ccb.Station(ours))
        assert (read.code, read.result.status) == (Code.SUCCESS, LinkStatus.SABME_RECEIVED)
        self.must(1, Command.DLC_CONNECT_STATION, ccb.Station(read.result.station_id))
        return ours, read.result.station_id

    def _print(self) -> None:
        """Have the printer, where one listens, take jobs and answer."""
        for event in self.printer.take(self.now_ns) if self.printer is not None else []:
            if isinstance(event, DataReceived) and (said := self.script.receive(event.data)):
                event.link.send(said, self.now_ns)
            assert isinstance(event, (DataReceived, LinkUp)) or event is not None


@pytest.mark.parametrize("command", [one for one in Command if one is not Command.DIR_OPEN_ADAPTER])
def test_every_command_wants_an_open_adapter_and_its_own_parameters(command: Command) -> None:
    world = World()
    kind = ccb.PARAMETERS[command]
    wrong = world.ask(0, command, object())
    plain = world.ask(0, command, ccb.NoParameters()) if kind is ccb.NoParameters else None

    assert wrong.code is Code.INVALID_PARAMETER_TABLE
    assert plain is None or plain.code is Code.ADAPTER_CLOSED


def test_an_adapter_is_opened_once_and_its_close_ends_what_is_out() -> None:
    world = World()
    assert world.must(0, Command.DIR_OPEN_ADAPTER)["node"] == MACS[0]
    again = world.ask(0, Command.DIR_OPEN_ADAPTER)
    read, timer = world.ask(0, Command.READ, ccb.Read()), world.ask(0, Command.DIR_TIMER_SET, ccb.Timer(9))

    world.must(0, Command.DIR_CLOSE_ADAPTER)

    assert again.code is Code.ADAPTER_OPEN
    assert (read.code, timer.code) == (Code.CLOSE_IN_PROGRESS, Code.CLOSE_IN_PROGRESS)


@pytest.mark.parametrize(
    ("command", "parameters", "code"),
    [
        (Command.DLC_OPEN_SAP, ccb.OpenSap(SAP), Code.INVALID_SAP_VALUE),
        (Command.DLC_OPEN_SAP, ccb.OpenSap(0x05), Code.INVALID_SAP_VALUE),
        (Command.DLC_OPEN_SAP, ccb.OpenSap(0x08, timer_t1=11), Code.PARAMETER_EXCEEDS_MAXIMUM),
        (Command.DLC_OPEN_SAP, ccb.OpenSap(0x08, maximum_out=200), Code.PARAMETER_EXCEEDS_MAXIMUM),
        (Command.DLC_OPEN_SAP, ccb.OpenSap(0x08, stations=256), Code.PARAMETER_EXCEEDS_MAXIMUM),
        (Command.DLC_CLOSE_SAP, ccb.Station(0x0800), Code.INVALID_STATION_ID),
        (Command.DLC_OPEN_STATION, ccb.OpenStation(MINE, 0x05, MACS[1]), Code.INVALID_SAP_VALUE),
        (Command.DLC_OPEN_STATION, ccb.OpenStation(MINE, SAP, b"\xff" * 6), Code.INVALID_REMOTE_ADDRESS),
        (Command.DLC_OPEN_STATION, ccb.OpenStation(0x0800, SAP, MACS[1]), Code.INVALID_STATION_ID),
        (Command.DLC_CONNECT_STATION, ccb.Station(MINE | 9), Code.INVALID_STATION_ID),
        (Command.DLC_STATISTICS, ccb.Station(MINE | 9), Code.INVALID_STATION_ID),
        (Command.TRANSMIT_I_FRAME, ccb.Transmit(MINE | 9, b""), Code.INVALID_STATION_ID),
        (Command.TRANSMIT_UI_FRAME, ccb.Transmit(MINE, b"", b"", SAP), Code.INVALID_REMOTE_ADDRESS),
        (Command.TRANSMIT_UI_FRAME, ccb.Transmit(MINE, bytes(1600), MACS[1], SAP), Code.INVALID_FRAME_LENGTH),
        (Command.TRANSMIT_DIR_FRAME, ccb.Transmit(0, b"", MACS[1], ethertype=100), Code.INVALID_STATION_ID),
        (Command.TRANSMIT_DIR_FRAME, ccb.Transmit(0, b"", b"", ethertype=0x6000), Code.INVALID_NODE_ADDRESS),
        (Command.RECEIVE, ccb.Receive(0), Code.INVALID_STATION_ID),
        (Command.RECEIVE, ccb.Receive(0x0800), Code.INVALID_STATION_ID),
        (Command.DIR_TIMER_SET, ccb.Timer(0), Code.TIMER_ERROR),
        (Command.DIR_TIMER_CANCEL, ccb.Cancel(Ccb(Command.DIR_TIMER_SET)), Code.TIMER_ERROR),
        (Command.READ_CANCEL, ccb.Cancel(Ccb(Command.READ)), Code.INVALID_STATION_ID),
        (Command.BUFFER_CREATE, ccb.Pool(100), Code.DUPLICATE_COMMAND),
        (Command.BUFFER_GET, ccb.Pool(100_000), Code.INADEQUATE_BUFFERS),
        (Command.BUFFER_FREE, ccb.Pool(1), Code.INVALID_BUFFER_LENGTH),
        (Command.DIR_OPEN_DIRECT, ccb.OpenDirect(frozenset({1500})), Code.INVALID_OPTION),
        (Command.DIR_CLOSE_DIRECT, ccb.NoParameters(), Code.INVALID_STATION_ID),
        (Command.DIR_SET_MULTICAST_ADDRESS, ccb.Multicast(frozenset({MACS[0]})), Code.INVALID_NODE_ADDRESS),
    ],
)
def test_a_command_that_cannot_be_done_says_why(command: Command, parameters: object, code: Code) -> None:
    assert World().opened().ask(0, command, parameters).code is code


def test_a_link_carries_frames_and_its_statistics_count_them() -> None:
    world = World().opened()
    ours, theirs = world.connected()

    receive = world.ask(1, Command.RECEIVE, ccb.Receive(theirs))
    sent = world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, b"hello"))
    assert sent.code is Code.PENDING
    world.run()

    assert (sent.code, receive.code, receive.result.data) == (Code.SUCCESS, Code.SUCCESS, b"hello")
    assert world.must(0, Command.DLC_STATISTICS, ccb.Station(ours))["i_sent"] == 1
    long = world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, bytes(601)))
    assert long.code is Code.INVALID_FRAME_LENGTH


def test_a_link_without_a_receive_is_busy_and_nothing_is_lost() -> None:
    world = World().opened()
    ours, theirs = world.connected()
    frames = [b"%d" % number for number in range(20)]

    sent = [world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, data)) for data in frames]
    world.run()
    assert sum(one.code is Code.SUCCESS for one in sent) <= 2
    world.must(1, Command.RECEIVE_CANCEL, ccb.Cancel(_standing(world, theirs)))
    standing = _standing(world, theirs)
    world.run(5 * SECOND)
    reads = [world.must(1, Command.READ, ccb.Read(theirs)) for _ in frames]

    assert [one.frame.data for one in reads] == frames
    assert {one.code for one in sent} == {Code.SUCCESS}
    assert standing.code is Code.PENDING


def _standing(world: World, number: int) -> Ccb:
    return world.ask(1, Command.RECEIVE, ccb.Receive(number, is_standing=True))


def test_a_full_pool_holds_the_link_until_buffers_are_freed() -> None:
    world = World().opened(pool=250)
    ours, theirs = world.connected()
    _standing(world, theirs)

    for _ in range(6):
        world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, bytes(100)))
    world.run(3 * SECOND)
    came = [world.must(1, Command.READ, ccb.Read(theirs, Event.RECEIVE_DATA)) for _ in range(2)]
    assert world.adapters[1].pool_free == 50
    for _ in range(4):
        world.must(1, Command.BUFFER_FREE, ccb.Pool(100))
        world.run(3 * SECOND)
        came.append(world.must(1, Command.READ, ccb.Read(theirs, Event.RECEIVE_DATA)))

    assert [len(one.frame.data) for one in came] == [100] * 6


def test_a_post_routine_may_free_and_read_again_at_once() -> None:
    """An echo that does all of its work in post routines, with a pool of one frame."""
    world = World().opened(pool=600)
    ours, theirs = world.connected()
    _standing(world, theirs)
    answers = world.ask(0, Command.RECEIVE, ccb.Receive(ours, is_standing=True))
    frames = [b"%d" % number * 100 for number in range(100)]

    def echo(block: Ccb) -> None:
        data = block.result.frame.data
        for command, parameters in (
            (Command.TRANSMIT_I_FRAME, ccb.Transmit(theirs, data)),
            (Command.BUFFER_FREE, ccb.Pool(len(data))),
        ):
            world.adapters[1].issue(Ccb(command, parameters))
        world.adapters[1].issue(Ccb(Command.READ, ccb.Read(theirs, Event.RECEIVE_DATA), echo))

    world.adapters[1].issue(Ccb(Command.READ, ccb.Read(theirs, Event.RECEIVE_DATA), echo))
    came = []
    for data in frames:
        world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, data))
        came.append(world.must(0, Command.READ, ccb.Read(ours)).frame.data)
        world.must(0, Command.BUFFER_FREE, ccb.Pool(len(data)))

    assert came == frames
    assert answers.code is Code.PENDING


def test_flow_control_stops_a_link_and_lets_it_go_on() -> None:
    world = World().opened()
    ours, theirs = world.connected()
    receive = world.ask(1, Command.RECEIVE, ccb.Receive(theirs))

    world.must(1, Command.DLC_FLOW_CONTROL, ccb.FlowControl(theirs, is_busy=True))
    sent = world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, b"later"))
    world.run()
    assert (sent.code, receive.code) == (Code.PENDING, Code.PENDING)
    world.must(1, Command.DLC_FLOW_CONTROL, ccb.FlowControl(MINE, is_busy=False))
    world.run(3 * SECOND)

    assert (sent.code, receive.code) == (Code.SUCCESS, Code.SUCCESS)


def test_ui_xid_and_test_frames() -> None:
    world = World().opened()
    receive = world.ask(1, Command.RECEIVE, ccb.Receive(MINE))
    world.must(0, Command.TRANSMIT_UI_FRAME, ccb.Transmit(MINE, b"datagram", MACS[1], SAP))
    _standing_own = world.ask(0, Command.RECEIVE, ccb.Receive(MINE, is_standing=True))
    world.must(0, Command.TRANSMIT_XID_CMD, ccb.Transmit(MINE, b"", MACS[1], SAP))
    world.must(0, Command.TRANSMIT_TEST_CMD, ccb.Transmit(MINE, b"echo", MACS[1], 0))

    answers = [world.must(0, Command.READ, ccb.Read(MINE)).frame for _ in range(2)]

    assert (receive.result.kind, receive.result.data) == (Frame.UI, b"datagram")
    assert [one.kind for one in answers] == [Frame.XID_RESPONSE, Frame.TEST_RESPONSE]
    assert (answers[0].data[0], answers[1].data) == (0x81, b"echo")


def test_an_application_answers_xid_itself() -> None:
    world = World().opened()
    number = world.must(1, Command.DLC_OPEN_SAP, ccb.OpenSap(0x08, answers_xid=True))
    question = world.ask(1, Command.RECEIVE, ccb.Receive(number))
    answer = world.ask(0, Command.RECEIVE, ccb.Receive(MINE))
    world.must(0, Command.TRANSMIT_XID_CMD, ccb.Transmit(MINE, b"who", MACS[1], 0x08))

    frame = question.result
    reply = ccb.Transmit(number, b"node", frame.source, frame.sap, pf=frame.pf)
    world.must(1, Command.TRANSMIT_XID_RESP_FINAL, reply)

    assert (frame.kind, frame.data) == (Frame.XID_COMMAND, b"who")
    assert (answer.result.kind, answer.result.data) == (Frame.XID_RESPONSE, b"node")


def test_a_peer_that_closes_is_told_of_and_one_that_is_not_there_is_no_link() -> None:
    world = World().opened()
    ours, theirs = world.connected()
    read = world.ask(1, Command.READ, ccb.Read(theirs))
    still_open = world.ask(0, Command.DLC_CLOSE_SAP, ccb.Station(MINE))
    world.must(0, Command.DLC_CLOSE_STATION, ccb.Station(ours))
    world.must(0, Command.DLC_CLOSE_SAP, ccb.Station(MINE))
    world.must(0, Command.DLC_OPEN_SAP, ccb.OpenSap(0x0C))
    nobody = world.must(0, Command.DLC_OPEN_STATION, ccb.OpenStation(0x0C00, 0x40, MACS[1]))

    calling = world.ask(0, Command.DLC_CONNECT_STATION, ccb.Station(nobody))
    world.run(20 * SECOND)

    assert (read.result.status, still_open.code) == (LinkStatus.DISC_RECEIVED, Code.LINK_STATIONS_OPEN)
    assert calling.code is Code.CONNECT_FAILED


def test_a_lost_link_ends_its_transmits_and_says_so() -> None:
    world = World().opened()
    ours, _theirs = world.connected()
    read = world.ask(0, Command.READ, ccb.Read(ours))
    world.is_cut = True

    sent = world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(ours, b"lost"))
    world.run(30 * SECOND)

    assert (sent.code, read.result.status) == (Code.LINK_NOT_TRANSMITTING, LinkStatus.LINK_LOST)


def test_a_reset_closes_all_saps_and_cancels_their_commands() -> None:
    world = World().opened()
    ours, _theirs = world.connected()
    receive = world.ask(0, Command.RECEIVE, ccb.Receive(ours))

    world.must(0, Command.DLC_RESET, ccb.Station(0))

    assert receive.code is Code.CANCELLED_BY_USER
    assert world.must(0, Command.DIR_STATUS)["saps"] == []


def test_timers_run_in_half_seconds_and_can_be_cancelled() -> None:
    world = World()
    world.must(0, Command.DIR_OPEN_ADAPTER)
    timers = [world.ask(0, Command.DIR_TIMER_SET, ccb.Timer(count)) for count in (2, 4, 6, 8)]
    world.run(1100 * MILLISECOND)
    world.must(0, Command.DIR_TIMER_CANCEL, ccb.Cancel(timers[1]))
    world.must(0, Command.DIR_TIMER_CANCEL_GROUP)

    assert [one.code for one in timers] == [Code.SUCCESS] + [Code.CANCELLED_BY_USER] * 3


def test_ibms_timer_values() -> None:
    assert [timer_ns("t1", value) // MILLISECOND for value in (0, 1, 5, 6, 10)] == [
        1000,
        200,
        1000,
        1000,
        5000,
    ]
    with pytest.raises(DlcError):
        timer_ns("t1", 11)


def test_direct_access_carries_dix_frames() -> None:
    world = World().opened()
    world.must(0, Command.DIR_OPEN_DIRECT, ccb.OpenDirect(frozenset({0x6000})))
    receive = world.ask(0, Command.RECEIVE, ccb.Receive(0))
    world.must(0, Command.TRANSMIT_DIR_FRAME, ccb.Transmit(0, b"out", MACS[1], ethertype=0x6000))

    world.adapters[0].direct(MACS[0] + MACS[1] + b"\x60\x01other")
    world.adapters[0].direct(MACS[0] + MACS[1] + b"\x60\x00in")

    assert world.cards[0].raw == [MACS[1] + MACS[0] + b"\x60\x00out"]
    assert (receive.result.kind, receive.result.data, receive.result.sap) == (Frame.DIX, b"in", 0x6000)
    world.must(0, Command.DIR_CLOSE_DIRECT)
    assert world.cards[0].ethertypes == frozenset()


def test_a_printer_takes_a_job_and_answers() -> None:
    world = World()
    world.must(0, Command.DIR_OPEN_ADAPTER)
    world.must(0, Command.BUFFER_CREATE, ccb.Pool(5000))
    world.must(0, Command.DLC_OPEN_SAP, ccb.OpenSap(SAP))
    world.printer = world.stations[1].open_sap(SAP, listens=True)
    station = world.must(0, Command.DLC_OPEN_STATION, ccb.OpenStation(MINE, SAP, MACS[1]))
    world.must(0, Command.DLC_CONNECT_STATION, ccb.Station(station))
    answer = world.ask(0, Command.RECEIVE, ccb.Receive(station))
    page = b"\x1bE page of text \x0c" * 100

    data = b"@PJL INFO ID\r\n" + job(page)
    for at in range(0, len(data), 600):
        world.ask(0, Command.TRANSMIT_I_FRAME, ccb.Transmit(station, data[at : at + 600]))
    world.run(3 * SECOND)

    assert world.script.jobs == [page]
    assert ID in answer.result.data
