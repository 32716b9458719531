"""Every rule of the verifier: a driver that breaks it is reported, one that does not is left alone."""

from __future__ import annotations

# ruff: noqa: ARG002, ARG005, D101, D102, D103, FBT001 - a scenario is named after its rule, and takes "broken"
import contextlib
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ndis.attributes import Attribute
from ndis.events import Kind
from ndis.filter8023 import PacketFilter
from ndis.hardware import Fault, Resource
from ndis.offload import Checksum, Offload, PacketChecksum
from ndis.oids import MANDATORY, Oid, PowerState
from ndis.packet import Packet, PacketInfo
from ndis.requests import InformationBuffer, Request
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.samples.scripted import ADDRESS, FreeScript, Script
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder, frame
from ndis.verifier.core import Verifier
from ndis.verifier.faults import inject_all
from ndis.verifier.rules import RULES
from ntos.errors import BugCheckError
from ntos.executive.contract import SECOND
from ntos.executive.irql import Irql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.miniport import Medium
    from ndis.upcalls import Upcalls

OK = Status.SUCCESS
PATIENT = Attribute.IGNORE_PACKET_TIMEOUT | Attribute.IGNORE_REQUEST_TIMEOUT

Scenario = Callable[[Verifier, bool], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Enter a scenario under the number in its name."""
    SCENARIOS[function.__name__.upper()] = function
    return function


def started(verifier: Verifier, kind: type = Script, **more: Any) -> Machine:  # noqa: ANN401 - passed on
    return Machine(kind, observer=verifier, **more)


class Patient(Script):
    attributes = PATIENT


def receive(machine: Machine, data: bytes, status: Status = OK) -> Packet:
    packet = machine.driver.ndis.packet_pool(4).allocate(data)
    packet.status = status
    machine.driver.ndis.indicate_receive_packets([packet])
    return packet


@scenario
def v01(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    (packet,) = machine.send(frame(0))
    for _ in range(2 if broken else 1):
        machine.driver.ndis.send_complete(packet, OK)


@scenario
def v02(verifier: Verifier, broken: bool) -> None:
    class Late(Script):
        def handle_interrupt(self) -> None:
            (packet,) = self.got
            if not broken:
                assert packet.data
            self.ndis.send_complete(packet, OK)
            if broken:
                assert packet.data

    machine = started(verifier, Late)
    machine.send(frame(0))
    driver = machine.driver
    assert isinstance(driver, Late)
    machine.adapter.gate.post(lambda: machine.adapter.enter("handle_interrupt", driver.handle_interrupt))


@scenario
def v03(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    packets = machine.send(frame(0), frame(1))
    frames = [p.snapshot() for p in packets]
    for data in reversed(frames) if broken else frames:
        machine.adapter.emit(Kind.WIRE, "wire", data)


@scenario
def v04(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, FreeScript)
    if broken:
        machine.driver.verdicts = [Status.RESOURCES]
    (packet,) = machine.send(frame(0))
    machine.driver.ndis.send_complete(packet, OK)


@scenario
def v05(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    machine.driver.verdicts = [Status.RESOURCES]
    machine.send(frame(0))
    if not broken:
        machine.driver.verdicts = [OK]
        machine.driver.ndis.send_resources_available()
    machine.executive.advance(8 * SECOND)


@scenario
def v06(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    contexts = [0]
    machine.executive.context = lambda: contexts[0]  # type: ignore[method-assign]  # a second CPU

    def inside() -> bool:
        if broken:  # another CPU enters past the gate
            contexts[0] = 1
            machine.adapter.enter("check_for_hang", lambda: False)
            contexts[0] = 0
        return False

    machine.adapter.gate.post(lambda: machine.adapter.enter("check_for_hang", inside))


@scenario
def v07(verifier: Verifier, broken: bool) -> None:
    class Locking(FreeScript):
        def __init__(self, ndis: Upcalls) -> None:
            super().__init__(ndis)
            self.lock = ndis.spin_lock("tx")

        def send_packets(self, packets: list[Packet]) -> None:
            with self.lock:
                for packet in packets:
                    packet.status = Status.PENDING
                    if broken:
                        self.ndis.send_complete(packet, OK)
            if not broken:
                self.ndis.send_complete(packets[0], OK)

    started(verifier, Locking).send(frame(0))


@scenario
def v08(verifier: Verifier, broken: bool) -> None:
    class Raising(Script):
        def check_for_hang(self) -> bool:
            if broken:
                self.ndis._adapter.irql.swap(Irql.DEVICE)
            return False

    started(verifier, Raising).executive.advance(3 * SECOND)


@scenario
def v09(verifier: Verifier, broken: bool) -> None:
    class Peeking(Script):
        packet: Packet

        def handle_interrupt(self) -> None:
            self.packet = self.ndis.packet_pool(1).allocate(frame(0, ADDRESS))
            self.ndis.indicate_receive_packets([self.packet])
            if broken:
                assert self.packet.data

    machine = started(verifier, Peeking, client=Recorder(keep=1))
    driver = machine.driver
    assert isinstance(driver, Peeking)
    machine.adapter.gate.post(lambda: machine.adapter.enter("handle_interrupt", driver.handle_interrupt))


@scenario
def v10(verifier: Verifier, broken: bool) -> None:
    class Keeping(Recorder):
        def receive_packet(self, packet: Packet) -> int:
            return 1 if broken else 0

    receive(started(verifier, client=Keeping()), frame(0, ADDRESS), Status.RESOURCES)


@scenario
def v11(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, client=Recorder(keep=1))
    packet = receive(machine, frame(0, ADDRESS))
    for _ in range(2 if broken else 1):
        machine.open.return_packets([packet])


@scenario
def v12(verifier: Verifier, broken: bool) -> None:
    class Careless(Script):
        def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
            self.timer = self.ndis.timer(lambda: None)
            self.timer.set(10_000)
            return super().initialize(media)

        def halt(self) -> None:
            if not broken:
                self.timer.cancel()

    machine = started(verifier, Careless)
    machine.ndis.remove_adapter(machine.adapter)


class Failing(Script):
    """Takes a timer and fails."""

    leaks = True

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        timer = self.ndis.timer(lambda: None)
        timer.set(10_000)
        if not self.leaks:
            timer.cancel()
        return Status.FAILURE, media[0]


class FailingCleanly(Failing):
    leaks = False


@scenario
def v13(verifier: Verifier, broken: bool) -> None:
    with contextlib.suppress(Exception):
        started(verifier, Failing if broken else FailingCleanly)


@scenario
def v15(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    machine.driver.pend = {Oid.GEN_VENDOR_ID}
    machine.query(Oid.GEN_VENDOR_ID)
    for _ in range(2 if broken else 1):
        machine.driver.ndis.query_information_complete(Status.NOT_SUPPORTED)


@scenario
def v16(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    machine.driver.pend = {Oid.GEN_VENDOR_ID}
    request = machine.query(Oid.GEN_VENDOR_ID)
    machine.open.request(request if broken else Request.query(Oid.GEN_VENDOR_ID))


@scenario
def v17(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, Patient)
    machine.driver.pend = {Oid.GEN_VENDOR_ID}
    machine.query(Oid.GEN_VENDOR_ID)
    machine.executive.advance((15 if broken else 11) * SECOND)


@scenario
def v18(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, Patient)
    (old,) = machine.send(frame(0))
    for _ in range(7):  # others make progress meanwhile
        machine.executive.advance(5 * SECOND)
        (packet,) = machine.send(frame(1))
        machine.driver.ndis.send_complete(packet, OK)
        if not broken and old in machine.adapter.sends.outstanding:
            machine.driver.ndis.send_complete(old, OK)


@scenario
def v19(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, Patient)
    machine.send(frame(0))
    machine.executive.advance((26 if broken else 20) * SECOND)


@scenario
def v21(verifier: Verifier, broken: bool) -> None:
    class Sloppy(Script):
        def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
            if oid == Oid.GEN_VENDOR_ID and broken:
                buffer.raw[buffer.length] = 0
                return OK
            if oid == Oid.GEN_VENDOR_ID:
                return buffer.write_number(1)
            return super().query_information(oid, buffer)

    started(verifier, Sloppy).query(Oid.GEN_VENDOR_ID, 4)


@scenario
def v22(verifier: Verifier, broken: bool) -> None:
    class Listing(Script):
        def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
            if oid == Oid.GEN_SUPPORTED_LIST:
                listed = sorted(MANDATORY - {Oid.GEN_VENDOR_ID} if broken else MANDATORY)
                return buffer.write(struct.pack(f"<{len(listed)}I", *listed))
            return super().query_information(oid, buffer)

    started(verifier, Listing).query(Oid.GEN_SUPPORTED_LIST)


@scenario
def v23(verifier: Verifier, broken: bool) -> None:
    class Hasty(Script):
        def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
            if broken:
                packet = self.ndis.packet_pool(1).allocate(frame(0, ADDRESS))
                self.ndis.indicate_receive_packets([packet])
            return super().initialize(media)

    receive(started(verifier, Hasty), frame(0, ADDRESS))


@scenario
def v24(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    machine.driver.reset_result = (Status.PENDING, False)
    machine.open.reset()
    if not broken:
        machine.driver.ndis.reset_complete(OK, addressing_reset=False)
    machine.executive.advance(14 * SECOND)


@scenario
def v25(verifier: Verifier, broken: bool) -> None:
    class Refusing(Script):
        def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
            refuse = broken and "reset" in self.log
            return Status.FAILURE if refuse else super().set_information(oid, buffer)

    machine = started(verifier, Refusing)
    machine.driver.reset_result = (OK, True)
    machine.open.reset()


@scenario
def v26(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, packet_filter=PacketFilter.DIRECTED)
    receive(machine, frame(0, b"\x02\0\0\0\0\x99" if broken else ADDRESS))


@scenario
def v27(verifier: Verifier, broken: bool) -> None:
    receive(started(verifier), frame(0, ADDRESS, 1600 if broken else 1514))


@scenario
def v28(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    resources = machine.adapter.resources
    mapping = resources.map_dma(None, 0x10_0000, 0x1000)
    resources.dma(0x10_0800, 0x900 if broken else 0x800)
    resources.give(mapping)


class Memory:
    """A bus with one BAR of 4 KiB."""

    def map_io_space(self, bar: int) -> tuple[Memory, int]:
        return self, 0x1000

    def read32(self, offset: int) -> int:
        return 0

    def write32(self, offset: int, value: int) -> None:
        pass


@scenario
def v29(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, hardware=Memory())
    registers = machine.driver.ndis.map_io_space(0)
    registers.read32(0x1000 if broken else 0xFFC)


@scenario
def v30(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, FreeScript)
    packet = machine.pool.allocate(frame(0))
    packet.info[PacketInfo.CANCEL_ID] = 5
    machine.open.send_packets([packet])
    machine.open.cancel_sends(5)
    machine.driver.ndis.send_complete(packet, Status.FAILURE if broken else Status.REQUEST_ABORTED)


@scenario
def v31(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, client=Recorder(keep=1))
    packet = receive(machine, frame(0, ADDRESS))
    if not broken:
        machine.open.return_packets([packet])
    machine.open.close()


@scenario
def v33(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier, hardware=Memory())
    registers = machine.driver.ndis.map_io_space(0)
    if broken:
        machine.adapter.power = PowerState.D3
    registers.write32(0, 1)


@scenario
def v34(verifier: Verifier, broken: bool) -> None:
    class Line:
        def connect_interrupt(self, message: int, service: Callable[[], bool]) -> object:
            self.service = service
            return service

    class Claiming(Script):
        def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
            self.interrupt = self.ndis.register_interrupt()
            return super().initialize(media)

        def isr(self) -> tuple[bool, bool]:
            return broken, broken

    line = Line()
    started(verifier, Claiming, hardware=line)
    for _ in range(verifier.storm_limit + 5):
        line.service()


@scenario
def v36(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    pool = machine.ndis.packet_pool(2)
    packet = pool.allocate(b"x")
    if not broken:
        pool.free(packet)
    machine.ndis.free_packet_pool(pool)


@scenario
def v37(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    if not broken:
        machine.adapter.offload = Offload(v4_transmit=Checksum.TCP)
    packet = machine.pool.allocate(frame(0))
    packet.info[PacketInfo.TCP_IP_CHECKSUM] = PacketChecksum.TX_V4 | PacketChecksum.TX_TCP
    machine.open.send_packets([packet])


@scenario
def v38(verifier: Verifier, broken: bool) -> None:
    machine = started(verifier)
    for status in (Status.MEDIA_DISCONNECT, Status.MEDIA_CONNECT):
        machine.driver.ndis.indicate_status(status)
    if broken:
        machine.driver.ndis.indicate_status(Status.MEDIA_CONNECT)


@pytest.mark.parametrize("number", sorted(SCENARIOS))
def test_a_driver_that_breaks_the_rule_is_reported(number: str) -> None:
    """With this rule's number."""
    verifier = Verifier()

    with contextlib.suppress(BugCheckError):
        SCENARIOS[number](verifier, True)  # noqa: FBT003 - broken

    assert number in verifier.broken


@pytest.mark.parametrize("number", sorted(SCENARIOS))
def test_the_control_breaks_no_rule(number: str) -> None:
    """Not this one, and no other."""
    verifier = Verifier()

    SCENARIOS[number](verifier, False)  # noqa: FBT003 - broken

    assert [str(r) for r in verifier.reports] == []


def test_each_rule_has_a_scenario() -> None:
    """V14 is a procedure; V20, V32 and V35 are with lists, filters and circuits."""
    elsewhere = {"V20", "V32", "V35"}

    assert {rule.NUMBER for rule in RULES} == set(SCENARIOS) | elsewhere
    assert len(RULES) == 37


def test_v14_finds_a_driver_that_leaks_when_a_resource_is_missing() -> None:
    """A driver that maps its BAR, then cannot register the interrupt and forgets the BAR."""

    class Taking(Script):
        cleans = False

        def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
            self.timer = self.ndis.timer(lambda: None)
            self.timer.set(60_000)
            try:
                self.ndis.resources.may_fail(Fault.REGISTER_INTERRUPT)
            except Exception:  # noqa: BLE001 - the double's own way to fail
                if self.cleans:
                    self.timer.cancel()
                return Status.RESOURCES, media[0]
            return super().initialize(media)

        def halt(self) -> None:
            self.timer.cancel()

    class Cleaning(Taking):
        cleans = True

    found = {}
    for kind in (Taking, Cleaning):
        machine = Machine()
        driver = machine.ndis.register_miniport(machine.adapter.characteristics.of(kind))
        found[kind] = inject_all(
            lambda fault, m=machine, d=driver: m.ndis.add_adapter(d, "faulty", inject=fault),  # type: ignore[misc]  # bound for this turn
            machine.ndis.remove_adapter,
        )

    assert [r.adapter for r in found[Taking]] == ["REGISTER_INTERRUPT"]
    assert "still holds timer" in found[Taking][0].what
    assert found[Cleaning] == []


def test_a_report_says_who_what_when_and_the_packets_history() -> None:
    """The history is the packet's own, oldest first."""
    verifier = Verifier()
    machine = started(verifier)
    (packet,) = machine.send(frame(0))
    machine.executive.advance(SECOND)
    machine.driver.ndis.send_complete(packet, OK)

    with contextlib.suppress(BugCheckError):
        machine.driver.ndis.send_complete(packet, OK)

    (report,) = verifier.reports
    kinds = [line.split()[4] for line in report.history]
    assert (report.rule, report.adapter, report.at_ns) == ("V01", "card0", SECOND)
    assert kinds == [
        "SUBMIT",
        "SEND",
        "SEND_STATUS",
        "SEND_COMPLETE",
        "COMPLETED",
        "SEND_COMPLETE",
    ]
    assert "card0 on CPU 0" in str(report)


def test_without_a_verifier_no_event_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero cost when off: emit is never even called, and packets are the plain kind."""
    calls: list[str] = []
    monkeypatch.setattr("ndis.adapter.Event", lambda *a: calls.append("event"))

    machine = Machine(LoopbackAdapter)
    packets = machine.send(frame(0, ADDRESS))
    machine.executive.advance(SECOND)

    assert calls == []
    assert type(packets[0]) is Packet
    assert len(machine.recorder.received) == 1


@pytest.mark.parametrize("deserialized", [False, True])
def test_the_sample_driver_breaks_no_rule(deserialized: bool) -> None:
    """Sends, receives, requests, resets, cancels and halts."""
    verifier = Verifier()
    machine = started(verifier, LoopbackAdapter, configuration={"Deserialized": deserialized})
    machine.send(*(frame(n, ADDRESS) for n in range(20)))
    machine.executive.advance(5 * SECOND)
    for oid in (Oid.GEN_SUPPORTED_LIST, *MANDATORY):
        machine.query(oid, 1024)
    machine.send(frame(0, ADDRESS))
    machine.open.reset()
    machine.executive.advance(5 * SECOND)
    machine.ndis.remove_adapter(machine.adapter)

    assert [str(r) for r in verifier.reports] == []
    assert len(machine.recorder.received) >= 20


def test_a_resource_released_twice_stops_the_machine() -> None:
    """It is not held any more."""
    machine = Machine()
    resource = Resource("timer", None)
    machine.adapter.resources.take(resource)
    machine.adapter.resources.give(resource)

    with pytest.raises(BugCheckError, match="released that is not held"):
        machine.adapter.resources.give(resource)
