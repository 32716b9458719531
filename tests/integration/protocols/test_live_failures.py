"""A live host survives what its code does wrong with one packet; other sockets do not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 20
POISON = b"poison" * 4


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Run two hosts."""
    made = Pair()
    yield made
    made.close()


def test_a_datagram_that_a_bug_trips_over_ends_no_other_socket_s_work(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted and logged; the host's thread lives, and the next datagrams come."""
    stack = pair.hosts[1].stack
    receive = stack.ip.receive

    def trip(interface: Any, frame: Any) -> None:  # noqa: ANN401 - as the layer's own
        if POISON in bytes(frame.data):
            raise ValueError("a bug")
        receive(interface, frame)

    near, far = (module.socket(2, 2) for module in pair.modules)
    far.bind(("10.0.0.2", 5000))
    far.settimeout(PATIENCE_S)
    near.sendto(b"before", ("10.0.0.2", 5000))
    before = far.recvfrom(100)[0]
    monkeypatch.setattr(stack.ip, "receive", trip)

    with capture_logs() as logs:
        for data in (POISON, b"after", POISON, b"at last"):
            near.sendto(data, ("10.0.0.2", 5000))
        after = [far.recvfrom(100)[0] for _ in range(2)]

    executive = pair.hosts[1].executive
    assert (before, after) == (b"before", [b"after", b"at last"])
    assert executive.is_running
    assert executive.failures["tcpip"] == 2
    assert [one["event"] for one in logs] == ["executive.routine.failed"] * 2
    near.close()
    far.close()
