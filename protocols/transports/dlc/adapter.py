"""An adapter of DLC: one network card, and the commands that are issued for it. Sans I/O.

``issue`` takes a CCB; it is completed at once or later, from within ``serve``. Frames come in through the LLC
station's SAPs and ``direct``; raw frames go out by ``send_raw``. Every table is bounded by a limit of ours.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from formats import ethernet
from ntos.executive.contract import MILLISECOND
from protocols.interfaces.llc import (
    BusyReason,
    DataAcknowledged,
    DataReceived,
    DownReason,
    Kind,
    LinkDown,
    LinkUp,
    LlcError,
    LlcProblem,
    PduReceived,
)
from protocols.transports.dlc.ccb import (
    ANY_STATION,
    DIRECT,
    PARAMETERS,
    Ccb,
    Code,
    Command,
    Event,
    Frame,
    Happened,
    LinkStatus,
    Received,
)
from protocols.transports.dlc.stations import LinkStation, SapStation
from protocols.transports.dlc.timers import DlcError, link_parameters

if TYPE_CHECKING:
    from protocols.interfaces.llc import Link
    from protocols.interfaces.llc import Station as LlcStation
    from protocols.transports.dlc import ccb as control

HALF_SECOND: Final = 500 * MILLISECOND
LARGEST_TIMER: Final = 13107
COMMANDS_LIMIT: Final = 256
EVENTS_LIMIT: Final = 512
LARGEST_POOL: Final = 1 << 20
COUNTERS: Final = ("commands", "refused", "frames_lost", "events_lost", "direct_in", "direct_out")
_CODES: Final = {
    LlcProblem.BAD_SAP: Code.INVALID_SAP_VALUE,
    LlcProblem.SAP_OPEN: Code.INVALID_SAP_VALUE,
    LlcProblem.SAP_CLOSED: Code.INVALID_STATION_ID,
    LlcProblem.LINK_EXISTS: Code.RESOURCES_NOT_AVAILABLE,
    LlcProblem.TOO_MANY_LINKS: Code.RESOURCES_NOT_AVAILABLE,
    LlcProblem.NOT_CONNECTED: Code.LINK_NOT_TRANSMITTING,
    LlcProblem.TOO_LONG: Code.INVALID_FRAME_LENGTH,
    LlcProblem.QUEUE_FULL: Code.MAX_COMMANDS_EXCEEDED,
    LlcProblem.BAD_ADDRESS: Code.INVALID_REMOTE_ADDRESS,
}
_DOWN: Final = {
    DownReason.CLOSED_BY_PEER: LinkStatus.DISC_RECEIVED,
    DownReason.REFUSED: LinkStatus.DISC_RECEIVED,
    DownReason.RESET: LinkStatus.SABME_RECEIVED_OPEN,
    DownReason.REJECTED: LinkStatus.FRMR_RECEIVED,
    DownReason.PROTOCOL_ERROR: LinkStatus.FRMR_SENT,
}
_LINKLESS: Final = {
    (Kind.UI, True): Frame.UI,
    (Kind.XID, True): Frame.XID_COMMAND,
    (Kind.XID, False): Frame.XID_RESPONSE,
    (Kind.TEST, False): Frame.TEST_RESPONSE,
}


class Card(Protocol):
    """The network card below an adapter."""

    def send_raw(self, frame: bytes) -> None:
        """Send a frame as it is."""

    def listen_to(self, ethertypes: frozenset[int]) -> None:
        """Receive frames of these EtherTypes, too."""

    def set_groups(self, addresses: frozenset[bytes]) -> None:
        """Receive these group addresses."""


class DlcAdapter:
    """An adapter, closed at first."""

    def __init__(self, llc: LlcStation, card: Card) -> None:
        self.llc = llc
        self.now_ns = 0
        self.is_open = False
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.saps: dict[int, SapStation] = {}
        self.ethertypes: frozenset[int] = frozenset()
        self.pool = self.pool_free = 0
        """Bytes of the buffer pool, and those of it that nobody has."""
        self._card = card
        self._receives: dict[int, Ccb] = {}
        self._reads: deque[Ccb] = deque()
        self._events: deque[Happened] = deque()
        self._timers: dict[Ccb, int] = {}
        self._commands = {command: getattr(self, f"_{command.name.lower()}") for command in Command}

    # From above

    def issue(self, block: Ccb) -> Code:
        """Do a command; return its code: PENDING when it is completed later."""
        self.counters["commands"] += 1
        try:
            self._check(block)
            self._commands[block.command](block, block.parameters)
        except DlcError as error:
            self.counters["refused"] += 1
            block.complete(error.code)
        except LlcError as error:
            self.counters["refused"] += 1
            block.complete(_CODES[error.problem])
        return block.code

    def _check(self, block: Ccb) -> None:
        if block.command not in self._commands:
            raise DlcError(Code.INVALID_COMMAND)
        if not isinstance(block.parameters, PARAMETERS[block.command]):
            raise DlcError(Code.INVALID_PARAMETER_TABLE)
        if self.is_open is (block.command is Command.DIR_OPEN_ADAPTER):
            raise DlcError(Code.ADAPTER_OPEN if self.is_open else Code.ADAPTER_CLOSED)

    # From below

    def serve(self, now_ns: int) -> None:
        """Take what has come over LLC, and let time pass."""
        self.now_ns = now_ns
        for block in [one for one, due in self._timers.items() if due <= now_ns]:
            del self._timers[block]
            block.complete(Code.SUCCESS)
        for station in list(self.saps.values()):
            for event in station.sap.take(now_ns):
                self._take(station, event)

    def direct(self, frame: bytes) -> None:
        """Take a DIX frame."""
        kind = ethernet.ethertype(frame)
        if self.is_open and kind in self.ethertypes:
            self.counters["direct_in"] += 1
            data = frame[ethernet.HEADER_BYTES :]
            self._deliver(Received(DIRECT, Frame.DIX, frame[6:12], kind, data))

    def next_deadline(self) -> int | None:
        """Return when ``serve`` is due, in ns."""
        return min(self._timers.values(), default=None)

    def close(self, code: Code = Code.CLOSE_IN_PROGRESS) -> None:
        """End all commands and links: DIR.CLOSE.ADAPTER, or the card goes."""
        self.is_open = False
        self._direct_types(frozenset())
        blocks = [*self._timers, *self._receives.values(), *self._reads]
        self._timers.clear()
        self._receives.clear()
        self._reads.clear()
        self._events.clear()
        for sap in list(self.saps.values()):
            blocks += [one for link in sap.links.values() for one in _pending(link)]
            blocks += [sap.closing] if sap.closing is not None else []
            self.llc.close_sap(sap.sap, self.now_ns)
        self.saps.clear()
        for block in blocks:
            block.complete(code)

    # DIR.*

    def _dir_open_adapter(self, block: Ccb, _asked: control.NoParameters) -> None:
        self.is_open = True
        self.pool = self.pool_free = 0
        block.complete(Code.SUCCESS, {"node": self.llc.mac, "maximum_frame": self.llc.mtu})

    def _dir_close_adapter(self, block: Ccb, _asked: control.NoParameters) -> None:
        self.close()
        block.complete(Code.SUCCESS)

    def _dir_status(self, block: Ccb, _asked: control.NoParameters) -> None:
        links = sum(len(one.links) for one in self.saps.values())
        told = {"node": self.llc.mac, "saps": sorted(self.saps), "link_stations": links}
        block.complete(Code.SUCCESS, {**told, **self.counters, **self.llc.counters})

    def _dir_set_multicast_address(self, block: Ccb, asked: control.Multicast) -> None:
        if any(len(one) != ethernet.ADDRESS_BYTES or not one[0] & 1 for one in asked.addresses):
            raise DlcError(Code.INVALID_NODE_ADDRESS)
        self._card.set_groups(asked.addresses)
        block.complete(Code.SUCCESS)

    def _dir_timer_set(self, block: Ccb, asked: control.Timer) -> None:
        if not 0 < asked.half_seconds <= LARGEST_TIMER:
            raise DlcError(Code.TIMER_ERROR)
        if len(self._timers) >= COMMANDS_LIMIT:
            raise DlcError(Code.MAX_COMMANDS_EXCEEDED)
        self._timers[block] = self.now_ns + asked.half_seconds * HALF_SECOND

    def _dir_timer_cancel(self, block: Ccb, asked: control.Cancel) -> None:
        if self._timers.pop(asked.ccb, None) is None:
            raise DlcError(Code.TIMER_ERROR)
        asked.ccb.complete(Code.CANCELLED_BY_USER)
        block.complete(Code.SUCCESS)

    def _dir_timer_cancel_group(self, block: Ccb, _asked: control.NoParameters) -> None:
        timers, self._timers = list(self._timers), {}
        for one in timers:
            one.complete(Code.CANCELLED_BY_USER)
        block.complete(Code.SUCCESS)

    def _dir_open_direct(self, block: Ccb, asked: control.OpenDirect) -> None:
        if self.ethertypes:
            raise DlcError(Code.DUPLICATE_COMMAND)
        if not asked.ethertypes or any(
            not ethernet.LARGEST_LENGTH < one <= 0xFFFF for one in asked.ethertypes
        ):
            raise DlcError(Code.INVALID_OPTION)
        self._direct_types(asked.ethertypes)
        block.complete(Code.SUCCESS)

    def _dir_close_direct(self, block: Ccb, _asked: control.NoParameters) -> None:
        if not self.ethertypes:
            raise DlcError(Code.INVALID_STATION_ID)
        self._direct_types(frozenset())
        receive = self._receives.pop(DIRECT, None)
        if receive is not None:
            receive.complete(Code.CANCELLED_BY_USER)
        block.complete(Code.SUCCESS)

    # BUFFER.*

    def _buffer_create(self, block: Ccb, asked: control.Pool) -> None:
        if self.pool:
            raise DlcError(Code.DUPLICATE_COMMAND)
        if not 0 < asked.length <= LARGEST_POOL:
            raise DlcError(Code.INVALID_BUFFER_LENGTH)
        self.pool = self.pool_free = asked.length
        block.complete(Code.SUCCESS, asked.length)

    def _buffer_get(self, block: Ccb, asked: control.Pool) -> None:
        if not 0 < asked.length <= self.pool_free:
            raise DlcError(Code.INADEQUATE_BUFFERS)
        self.pool_free -= asked.length
        block.complete(Code.SUCCESS, self.pool_free)

    def _buffer_free(self, block: Ccb, asked: control.Pool) -> None:
        if not 0 <= asked.length <= self.pool - self.pool_free:
            raise DlcError(Code.INVALID_BUFFER_LENGTH)
        self.pool_free += asked.length
        block.complete(Code.SUCCESS, self.pool_free)
        self._deliver_held()

    # DLC.*

    def _dlc_open_sap(self, block: Ccb, asked: control.OpenSap) -> None:
        if not 0 <= asked.stations <= 255:
            raise DlcError(Code.PARAMETER_EXCEEDS_MAXIMUM)
        opened = self.llc.open_sap(
            asked.sap,
            listens=asked.stations > 0,
            parameters=link_parameters(asked),
            links_limit=asked.stations,
            answers_xid=asked.answers_xid,
        )
        number = asked.sap << 8
        self.saps[number] = SapStation(number, opened, asked.stations)
        block.complete(Code.SUCCESS, number)

    def _dlc_close_sap(self, block: Ccb, asked: control.Station) -> None:
        sap = self._sap(asked.station_id)
        if sap.links:
            raise DlcError(Code.LINK_STATIONS_OPEN)
        self._forget_sap(sap)
        block.complete(Code.SUCCESS)

    def _dlc_reset(self, block: Ccb, asked: control.Station) -> None:
        """Close a SAP with all of its link stations, or, with 0, all."""
        chosen = [self._sap(asked.station_id)] if asked.station_id else list(self.saps.values())
        for sap in chosen:
            for link in list(sap.links.values()):
                self._forget_link(sap, link, Code.CANCELLED_BY_USER)
            self._forget_sap(sap)
        block.complete(Code.SUCCESS)

    def _dlc_open_station(self, block: Ccb, asked: control.OpenStation) -> None:
        sap = self._sap(asked.station_id)
        if len(asked.remote_node) != ethernet.ADDRESS_BYTES or asked.remote_node[0] & 1:
            raise DlcError(Code.INVALID_REMOTE_ADDRESS)
        if not 0 < asked.remote_sap <= 0xFE or asked.remote_sap & 1:
            raise DlcError(Code.INVALID_SAP_VALUE)
        number = sap.free_number()
        peers = {(one.remote_node, one.remote_sap) for one in sap.links.values()}
        if number is None or (asked.remote_node, asked.remote_sap) in peers:
            raise DlcError(Code.RESOURCES_NOT_AVAILABLE)
        sap.links[number] = LinkStation(number, asked.remote_node, asked.remote_sap)
        block.complete(Code.SUCCESS, number)

    def _dlc_connect_station(self, block: Ccb, asked: control.Station) -> None:
        sap, link = self._link(asked.station_id)
        if link.connecting is not None or link.closing is not None:
            raise DlcError(Code.COMMAND_IN_PROGRESS)
        if link.link is None:
            link.link = sap.sap.connect(link.remote_node, link.remote_sap, self.now_ns)
            link.connecting = block
        elif link.is_accepted:
            raise DlcError(Code.LINK_PROTOCOL_ERROR)
        else:
            link.is_accepted = True
            block.complete(Code.SUCCESS)
            self._deliver_held()

    def _dlc_close_station(self, block: Ccb, asked: control.Station) -> None:
        sap, link = self._link(asked.station_id)
        if link.closing is not None:
            raise DlcError(Code.COMMAND_IN_PROGRESS)
        if link.link is None:
            self._forget_link(sap, link, Code.CANCELLED_BY_USER)
            block.complete(Code.SUCCESS)
        else:
            link.closing = block
            link.link.disconnect(self.now_ns)

    def _dlc_flow_control(self, block: Ccb, asked: control.FlowControl) -> None:
        is_sap = asked.station_id in self.saps
        links = (
            list(self._sap(asked.station_id).links.values()) if is_sap else [self._link(asked.station_id)[1]]
        )
        for one in links:
            one.is_busy = asked.is_busy
            self._deliver_from(one)
        block.complete(Code.SUCCESS)

    def _dlc_statistics(self, block: Ccb, asked: control.Station) -> None:
        if asked.station_id in self.saps:
            block.complete(Code.SUCCESS, dict(self._sap(asked.station_id).sap.counters))
            return
        link = self._link(asked.station_id)[1].link
        if link is None:
            raise DlcError(Code.LINK_PROTOCOL_ERROR)
        block.complete(Code.SUCCESS, {**link.counters, "state": link.state.name})

    # TRANSMIT.*

    def _transmit_i_frame(self, block: Ccb, asked: control.Transmit) -> None:
        link = self._link(asked.station_id)[1]
        if link.link is None or not link.is_accepted:
            raise DlcError(Code.LINK_NOT_TRANSMITTING)
        link.link.send(asked.data, self.now_ns)
        link.transmits.append(block)

    def _transmit_ui_frame(self, block: Ccb, asked: control.Transmit) -> None:
        self._sap(asked.station_id).sap.send_ui(asked.remote_node, asked.remote_sap, asked.data)
        block.complete(Code.SUCCESS)

    def _transmit_xid_cmd(self, block: Ccb, asked: control.Transmit) -> None:
        sap = self._sap(asked.station_id).sap
        sap.send_xid(asked.remote_node, asked.remote_sap, asked.data, pf=asked.pf)
        block.complete(Code.SUCCESS)

    def _transmit_xid_resp_final(self, block: Ccb, asked: control.Transmit) -> None:
        if len(asked.remote_node) != ethernet.ADDRESS_BYTES:
            raise DlcError(Code.INVALID_REMOTE_ADDRESS)
        question = PduReceived(Kind.XID, asked.remote_node, asked.remote_sap, True, asked.pf, b"")  # noqa: FBT003 - a command
        self._sap(asked.station_id).sap.answer_xid(question, asked.data)
        block.complete(Code.SUCCESS)

    def _transmit_test_cmd(self, block: Ccb, asked: control.Transmit) -> None:
        sap = self._sap(asked.station_id).sap
        sap.send_test(asked.remote_node, asked.remote_sap, asked.data, pf=asked.pf)
        block.complete(Code.SUCCESS)

    def _transmit_dir_frame(self, block: Ccb, asked: control.Transmit) -> None:
        if asked.station_id != DIRECT or not ethernet.LARGEST_LENGTH < asked.ethertype <= 0xFFFF:
            raise DlcError(Code.INVALID_STATION_ID)
        if len(asked.remote_node) != ethernet.ADDRESS_BYTES:
            raise DlcError(Code.INVALID_NODE_ADDRESS)
        if len(asked.data) > self.llc.mtu:
            raise DlcError(Code.INVALID_FRAME_LENGTH)
        head = ethernet.header(asked.remote_node, self.llc.mac, asked.ethertype)
        self.counters["direct_out"] += 1
        self._card.send_raw(head + asked.data)
        block.complete(Code.SUCCESS)

    # RECEIVE, READ

    def _receive(self, block: Ccb, asked: control.Receive) -> None:
        if asked.station_id == DIRECT:
            if not self.ethertypes:
                raise DlcError(Code.INVALID_STATION_ID)
        elif asked.station_id not in self.saps:
            self._link(asked.station_id)
        if asked.station_id in self._receives:
            raise DlcError(Code.DUPLICATE_COMMAND)
        self._receives[asked.station_id] = block
        self._deliver_held()

    def _receive_cancel(self, block: Ccb, asked: control.Cancel) -> None:
        number = next((n for n, one in self._receives.items() if one is asked.ccb), None)
        if number is None:
            raise DlcError(Code.INVALID_STATION_ID)
        del self._receives[number]
        asked.ccb.complete(Code.CANCELLED_BY_USER)
        block.complete(Code.SUCCESS)

    def _read(self, block: Ccb, _asked: control.Read) -> None:
        if len(self._reads) >= COMMANDS_LIMIT:
            raise DlcError(Code.MAX_COMMANDS_EXCEEDED)
        self._reads.append(block)
        self._match()

    def _read_cancel(self, block: Ccb, asked: control.Cancel) -> None:
        if asked.ccb not in self._reads:
            raise DlcError(Code.INVALID_STATION_ID)
        self._reads.remove(asked.ccb)
        asked.ccb.complete(Code.CANCELLED_BY_USER)
        block.complete(Code.SUCCESS)

    # What LLC tells

    def _take(self, sap: SapStation, event: object) -> None:
        match event:
            case LinkUp(link, is_incoming):
                self._up(sap, link, is_incoming=is_incoming)
            case LinkDown(link, reason):
                self._down(sap, link, reason)
            case DataReceived(link, data):
                station = sap.by_link(link)
                if station is not None:
                    frame = Received(station.number, Frame.I, link.peer, link.peer_sap, data)
                    station.held.append(frame)
                    self._deliver_from(station)
            case DataAcknowledged(link, count):
                station = sap.by_link(link)
                for _ in range(min(count, len(station.transmits)) if station is not None else 0):
                    self._transmitted(station, Code.SUCCESS)
            case PduReceived(kind, source, ssap, is_command, pf, data):
                told = _LINKLESS.get((kind, is_command))
                if told is not None:
                    self._deliver(Received(sap.number, told, source, ssap & 0xFE, data, pf))

    def _up(self, sap: SapStation, link: Link, *, is_incoming: bool) -> None:
        station = sap.by_link(link)
        if station is not None and not is_incoming:
            station.is_accepted = True
            block, station.connecting = station.connecting, None
            if block is not None:
                block.complete(Code.SUCCESS)
            return
        if station is None:
            key = link.peer, link.peer_sap
            station = next((s for s in sap.links.values() if (s.remote_node, s.remote_sap) == key), None)
        if station is None:
            number = sap.free_number()
            if number is None:
                link.disconnect(self.now_ns)
                return
            station = sap.links[number] = LinkStation(number, link.peer, link.peer_sap)
        station.link, station.is_accepted = link, False
        link.set_busy(BusyReason.USER, self.now_ns)  # until CONNECT.STATION takes it
        self._happen(
            Happened(
                Event.STATUS_CHANGE,
                station.number,
                LinkStatus.SABME_RECEIVED,
                source=link.peer,
                sap=link.peer_sap,
            )
        )

    def _down(self, sap: SapStation, link: Link, reason: DownReason) -> None:
        station = sap.by_link(link)
        if station is None:
            return
        station.link, station.is_accepted = None, False
        station.held.clear()
        while station.transmits:
            self._transmitted(station, Code.LINK_NOT_TRANSMITTING)
        connecting, station.connecting = station.connecting, None
        if connecting is not None:
            connecting.complete(Code.CONNECT_FAILED)
        elif station.closing is None:
            status = _DOWN.get(reason, LinkStatus.LINK_LOST)
            self._happen(Happened(Event.STATUS_CHANGE, station.number, status))
        closing = station.closing
        if closing is not None:
            self._forget_link(sap, station, Code.CANCELLED_BY_USER)
            closing.complete(Code.SUCCESS)

    def _transmitted(self, station: LinkStation | None, code: Code) -> None:
        if station is not None:
            station.transmits.popleft().complete(code)

    # Delivery

    def _deliver(self, frame: Received) -> bool:
        """Give a frame to RECEIVE; False: there is none, or no buffer. One of no link is lost then."""
        number = frame.station_id
        block = self._receives.get(number) or self._receives.get(number & 0xFF00 if number else DIRECT)
        if block is None or len(frame.data) > self.pool_free or len(self._events) >= EVENTS_LIMIT:
            self.counters["frames_lost"] += frame.kind is not Frame.I
            return False
        self.pool_free -= len(frame.data)
        if block.parameters.is_standing:
            self._happen(Happened(Event.RECEIVE_DATA, number, frame=frame))
        else:
            del self._receives[block.parameters.station_id]
            block.complete(Code.SUCCESS, frame)
        return True

    def _deliver_from(self, station: LinkStation) -> None:
        """Deliver what a link station holds; while something is left its link is busy."""
        while station.held and station.is_accepted and not station.is_busy:
            frame = station.held.popleft()  # first: the post routine may come back to here
            if not self._deliver(frame):
                station.held.appendleft(frame)
                break
        link = station.link
        if link is None:
            return
        if station.held or station.is_busy or not station.is_accepted:
            link.set_busy(BusyReason.USER, self.now_ns)
        else:
            link.clear_busy(BusyReason.USER, self.now_ns)

    def _deliver_held(self) -> None:
        for sap in self.saps.values():
            for station in list(sap.links.values()):
                self._deliver_from(station)

    def _happen(self, event: Happened) -> None:
        if len(self._events) >= EVENTS_LIMIT:
            self.counters["events_lost"] += 1
            return
        self._events.append(event)
        self._match()

    def _match(self) -> None:
        """Complete the reads that an event is there for, the oldest first."""
        for block in list(self._reads):
            asked: control.Read = block.parameters
            found = next((one for one in self._events if _wants(asked, one)), None)
            if found is not None and block in self._reads:  # a post routine may have cancelled it
                self._events.remove(found)
                self._reads.remove(block)
                block.complete(Code.SUCCESS, found)

    # Tables

    def _sap(self, number: int) -> SapStation:
        found = self.saps.get(number)
        if found is None:
            raise DlcError(Code.INVALID_STATION_ID)
        return found

    def _link(self, number: int) -> tuple[SapStation, LinkStation]:
        sap = self._sap(number & 0xFF00)
        found = sap.links.get(number)
        if found is None:
            raise DlcError(Code.INVALID_STATION_ID)
        return sap, found

    def _forget_sap(self, sap: SapStation) -> None:
        del self.saps[sap.number]
        receive = self._receives.pop(sap.number, None)
        self.llc.close_sap(sap.sap, self.now_ns)
        if receive is not None:
            receive.complete(Code.CANCELLED_BY_USER)

    def _forget_link(self, sap: SapStation, link: LinkStation, code: Code) -> None:
        del sap.links[link.number]
        receive = self._receives.pop(link.number, None)
        if link.link is not None:
            link.link.disconnect(self.now_ns)
        for block in [*_pending(link, but=link.closing), *([receive] if receive is not None else [])]:
            block.complete(code)

    def _direct_types(self, ethertypes: frozenset[int]) -> None:
        self.ethertypes = ethertypes
        self._card.listen_to(ethertypes)


def _pending(link: LinkStation, but: Ccb | None = None) -> list[Ccb]:
    found = [*link.transmits, link.connecting, link.closing]
    return [one for one in found if one is not None and one is not but]


def _wants(asked: control.Read, event: Happened) -> bool:
    is_station = asked.station_id in (ANY_STATION, event.station_id, event.station_id & 0xFF00)
    return is_station and bool(asked.events & event.event)
