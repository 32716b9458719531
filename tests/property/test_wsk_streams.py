"""A WSK connection under any order of calls: every byte comes once and in order, every IRP is completed once.

One end sends; the other receives by IRPs of every kind, by events that accept, accept in part, refuse and
retain, releases in any order, cancels, enables and disables. The wire may lose and reorder.
"""

# ruff: noqa: D102, ANN401 - the operations' names say what they do

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.host.virtual_wire import PERFECT, Impairment
from ntos.io.status import NtStatus
from protocols.apis.winsock.constants import Sol
from protocols.apis.wsk.constants import ControlType, Event, ReceiveFlag, SoWsk
from protocols.apis.wsk.npi import ConnectionDispatch, DataIndication, EventCallbackControl, SizeOut, WskBuf
from tests.support.wsk_world import WskWorld

BAD = Impairment(loss=0.05, reorder=0.1, duplicate=0.05)
SIZES = st.sampled_from([1, 2, 100, 1460, 5000, 40_000, 200_000])
ANSWERS = st.sampled_from(["all", "part", "refuse", "retain"])
OPERATIONS = st.one_of(
    st.tuples(st.just("send"), SIZES),
    st.tuples(st.sampled_from(["receive", "wait for all"]), SIZES),
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.sampled_from(["resume", "enable", "disable"]), st.just(0)),
    st.tuples(st.sampled_from(["release", "cancel"]), st.integers(0, 5)),
    st.tuples(st.just("receive in the callback"), SIZES),
    st.tuples(st.just("run"), st.sampled_from([0.0001, 0.01, 1.0])),
)


class Reader:
    """The far end, with all that it has consumed."""

    def __init__(self, world: WskWorld) -> None:
        self.world = world
        self.got = bytearray()
        self.answer = "all"
        self.kept: list[DataIndication] = []
        self.pending: list[Any] = []
        self.in_callback = 0
        dispatch = ConnectionDispatch(receive_event=self.receive_event)
        self.near, self.far = world.pair(far=dispatch)

    def receive_event(
        self, _context: Any, _flags: Any, indication: DataIndication | None, size: int, out: SizeOut
    ) -> NtStatus:
        assert indication is not None
        data, wanted = indication.buffer.data(), self.in_callback
        if wanted:
            self.in_callback = 0
            if self.answer in ("refuse", "part"):
                self.receive(wanted)
        if self.answer == "refuse":
            return NtStatus.DATA_NOT_ACCEPTED
        taken = (size + 1) // 2 if self.answer == "part" else size
        self.got += data[:taken]
        out.value = taken
        if self.answer == "retain":
            self.kept.append(indication)
            return NtStatus.PENDING
        return NtStatus.SUCCESS

    def receive(self, size: int, flags: ReceiveFlag = ReceiveFlag.NONE) -> Any:
        buffer = bytearray(size)

        def done(irp: Any) -> None:
            self.pending.remove(irp)
            self.got += buffer[: irp.information]

        irp = self.world.far.client.allocate_irp(done)
        self.pending.append(irp)
        self.far.receive(WskBuf((buffer,)), irp, flags)
        return irp

    def control(self, events: Event) -> None:
        self.far.control_socket(
            ControlType.SET_OPTION, SoWsk.EVENT_CALLBACK, Sol.SOCKET, EventCallbackControl(events)
        )

    def do(self, what: str, value: Any) -> None:
        match what:
            case "receive":
                self.receive(value)
            case "wait for all":
                self.receive(value, ReceiveFlag.WAITALL)
            case "answer":
                self.answer = value
            case "resume":
                self.world.far.start(self.far.receive, WskBuf(()))
            case "enable":
                self.control(Event.RECEIVE)
            case "disable":
                self.control(Event.RECEIVE | Event.DISABLE)
            case "release" if self.kept:
                assert self.far.release(self.kept.pop(value % len(self.kept))) is NtStatus.SUCCESS
            case "cancel" if self.pending:
                assert self.world.net.hosts[1].io.cancel(self.pending[value % len(self.pending)])
            case "receive in the callback":
                self.in_callback = value

    def finish(self) -> None:
        """Receive to the end, whatever was going on."""
        self.control(Event.RECEIVE | Event.DISABLE)
        for one in self.kept:
            assert self.far.release(one) is NtStatus.SUCCESS
        for _ in range(400):
            irp = self.receive(65536)
            self.world.run(lambda irp=irp: irp.completed, 300.0)  # type: ignore[misc]  # bound at once
            assert irp.status is NtStatus.SUCCESS
            if not irp.information:
                return
        raise AssertionError("no end came")


@pytest.mark.parametrize("wire", [PERFECT, BAD], ids=["good", "bad"])
@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 200_000), answer=ANSWERS, operations=st.lists(OPERATIONS, max_size=40))
def test_every_byte_comes_once_and_in_order(
    wire: Impairment, first: int, answer: str, operations: list[tuple[str, Any]]
) -> None:
    """And both applications can leave."""
    world = WskWorld()
    reader = Reader(world)
    world.net.network.impair(wire)
    sent, sends = bytearray(), []

    begin = [("send", first), ("answer", answer), ("receive in the callback", 100), ("run", 0.01)]
    for what, value in [*begin, ("enable", 0), ("receive", 1000), ("run", 0.01), *operations]:
        if what == "send":
            data = bytes((len(sent) + at) * 7 % 251 for at in range(value))
            sent += data
            sends.append(world.near.start(reader.near.send, WskBuf((data,))))
        elif what == "run":
            world.run(seconds=value)
        else:
            reader.do(what, value)
    fin = world.near.start(reader.near.disconnect, None)
    reader.finish()
    world.far.start(reader.far.disconnect, None)
    world.run(lambda: fin.completed, 300.0)

    assert reader.got == sent
    assert {irp.status for irp in [*sends, fin]} == {NtStatus.SUCCESS}
    world.near.close(reader.near)
    world.far.close(reader.far)
    for app in (world.near, world.far):
        app.leave()
    world.finish()
