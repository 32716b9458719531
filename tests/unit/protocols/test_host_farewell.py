"""A host that goes down ends its connections: nobody at a far end waits for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = bytes(range(256)) * 300
PATIENCE_S = 60


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two hosts; the tests take the second one down."""
    made = Pair()
    yield made
    made.hosts[0].close()
    for end in made.ends:
        end.close()
    assert made.reports() == []


def connected(pair: Pair) -> tuple[Any, Any]:
    """Return both ends of a connection from the second host to the first."""
    listener = pair.modules[0].socket()
    listener.bind(("", 5000))
    listener.listen(1)
    listener.settimeout(PATIENCE_S)
    far = pair.modules[1].socket()
    far.settimeout(PATIENCE_S)
    far.connect(("10.0.0.1", 5000))
    near, _ = listener.accept()
    near.settimeout(PATIENCE_S)
    listener.close()
    return near, far


def test_what_was_sent_and_closed_arrives_with_its_end_though_the_host_goes_down_at_once(pair: Pair) -> None:
    """The FIN is acknowledged before the card is taken away."""
    near, far = connected(pair)

    far.sendall(DATA)
    far.close()
    pair.hosts[1].close()

    got = bytearray()
    while piece := near.recv(1 << 14):
        got += piece
    assert bytes(got) == DATA
    near.close()


def test_a_connection_that_nobody_closed_is_reset_when_its_host_goes_down(pair: Pair) -> None:
    """The far end hears at once that nobody is there any more."""
    near, far = connected(pair)

    pair.hosts[1].close()

    with pytest.raises(ConnectionResetError):
        near.recv(1)
    assert far is not None


def test_a_host_that_is_down_is_woken_no_more(pair: Pair) -> None:
    """A program may close its sockets later; the descriptor may by then be somebody else's."""
    sock = pair.modules[1].socket()
    pair.hosts[1].close()
    reused, theirs = os.pipe()

    sock.close()
    pair.hosts[1].executive.wake()

    os.set_blocking(reused, False)
    with pytest.raises(BlockingIOError):
        os.read(reused, 1)
    os.close(reused)
    os.close(theirs)
