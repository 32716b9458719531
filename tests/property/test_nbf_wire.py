"""NBF over a bad wire: messages arrive once, whole and in order, or the session ends and says so."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.transports.nbf.parameters import EndReason
from tests.support.nbf_pair import Client, Lan, name

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
A, B = name("ALICE"), name("BOB")
SIZES = st.lists(st.sampled_from([0, 1, 700, 1482, 1483, 9000, 66_000]), min_size=1, max_size=6)
ENDS = {EndReason.LINK_LOST, EndReason.NAME_NOT_FOUND, EndReason.TIMED_OUT, EndReason.PEER_ABORTED}


@SETTINGS
@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.2),
    duplicate=st.floats(0, 0.2),
    reorder=st.sampled_from([0.0, 0.0, 0.1]),
    sizes=SIZES,
    room=st.sampled_from([None, 1000, 5000]),
)
def test_messages_arrive_once_and_in_order_or_the_session_says_that_it_ended(  # noqa: PLR0917 - hypothesis gives them by name
    seed: int, loss: float, duplicate: float, reorder: float, sizes: list[int], room: int | None
) -> None:
    """Both ways at once; the far end takes ``room`` bytes, and asks for more when all is quiet."""
    lan = Lan(seed=seed)
    near, far = lan.hosts
    near.add(A)
    far.add(B, listens=True)
    lan.settle()
    lan.wire.loss, lan.wire.duplicate, lan.wire.reorder = loss, duplicate, reorder
    far.room = room
    client = Client()
    session = client.session = near.nbf.call(A, B, client)
    lan.settle()
    sent = [bytes([65 + at]) * size for at, size in enumerate(sizes)]
    done: list[list[int]] = [[], []]
    ends = [client, *far.accepted]
    for end, one in enumerate(ends if client.opens else []):
        for at, data in enumerate(sent):
            if one.session is not None and one.session.is_open:
                one.session.send(data, lambda end=end, at=at: done[end].append(at))  # type: ignore[misc]  # bound

    for _ in range(100):
        lan.settle()
        if room is None or len(ends) < 2 or ends[1].reasons or len(ends[1].messages) == len(sent):
            break
        ends[1].room = room * 40
        assert ends[1].session is not None
        ends[1].session.resume()

    for end, one in enumerate(ends):
        assert one.messages == sent[: len(one.messages)]
        if len(ends) == 2:
            assert done[end] == list(range(len(done[end])))
            assert len(done[end]) <= len(ends[1 - end].messages)
    if client.opens and not any(one.reasons for one in ends):
        assert [one.messages for one in ends] == [sent, sent]
        assert done == [list(range(len(sent)))] * 2
        session.hang_up()
    else:
        assert set(client.reasons) <= ENDS
        assert client.reasons or ends[-1].reasons
    lan.wire.loss = 0.0
    lan.settle(quiet_ns=90_000_000_000)
    if not reorder:
        assert [host.nbf.sessions for host in lan.hosts] == [{}, {}]
