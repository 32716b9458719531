"""ATP over a bad wire, and AppleTalk nodes that hear anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from formats.appletalk import AARP_SNAP, BROADCAST, DDP_SNAP, Datagram, NodeAddress
from formats.llc import SNAP_SAP, UI, LlcFrame
from ntos.executive.contract import SECOND
from protocols.transports.appletalk.nbp import EntityName
from tests.support.appletalk_lan import Lan

if TYPE_CHECKING:
    from protocols.transports.appletalk.atp import Outcome, Request

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
STRANGER = b"\x02\0\0\0\0\x63"


@SETTINGS
@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.3),
    duplicate=st.floats(0, 0.3),
    reorder=st.sampled_from([0.0, 0.3]),
    counts=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=12),
)
def test_what_is_asked_exactly_once_is_done_once_and_answered_whole(
    seed: int, loss: float, duplicate: float, reorder: float, counts: list[tuple[int, int]]
) -> None:
    """Each transaction ends once; what was answered was done exactly once, what timed out at most once."""
    lan = Lan(seed=seed)
    lan.run()
    near, far = (node.transactions for node in lan.nodes)
    lan.wire.loss, lan.wire.duplicate, lan.wire.reorder = loss, duplicate, reorder
    done: list[bytes] = []

    def serve(request: Request) -> None:
        done.append(request.data)
        at = request.data[0]
        answers = min(counts[at])
        far.respond(request, [(bytes((at, one, 0, 0)), bytes((one,)) * 578) for one in range(answers)])

    there, here = far.open(serve), near.open()
    ended: dict[int, list[Outcome | None]] = {at: [] for at in range(len(counts))}
    for at, (asked, _answers) in enumerate(counts):
        near.request(
            here,
            lan.address(1),
            there,
            bytes(4),
            bytes((at,)),
            asked,
            ended[at].append,
            exactly_once=True,
        )
    lan.run(60 * SECOND)

    for at, (asked, answers) in enumerate(counts):
        assert len(ended[at]) == 1
        outcome = ended[at][0]
        assert done.count(bytes((at,))) == 1 if outcome is not None else done.count(bytes((at,))) <= 1
        if outcome is not None:
            expected = [(bytes((at, one, 0, 0)), bytes((one,)) * 578) for one in range(min(asked, answers))]
            assert outcome.responses == expected
    lan.wire.loss = 0.0
    lan.run(120 * SECOND)
    assert [node.next_deadline() for node in lan.nodes] == [None, None]


def _frame(snap: tuple[bytes, int], payload: bytes) -> bytes:
    body = snap[0] + snap[1].to_bytes(2) + payload
    return LlcFrame(BROADCAST, STRANGER, SNAP_SAP, SNAP_SAP, UI, body).emit()


@SETTINGS
@given(data=st.data())
def test_hostile_packets_raise_nothing_and_no_table_grows_beyond_its_limit(data: st.DataObject) -> None:
    """Any bytes behind AARP's SNAP, and behind DDP's with a right head to each of the node's sockets."""
    lan = Lan(1)
    lan.run()
    node, limits = lan.nodes[0], lan.nodes[0].parameters
    node.transactions.open(lambda _request: None, 0x80 + 9)
    node.names.look_up(_any_name(), lambda _found: None)
    for _ in range(data.draw(st.integers(1, 30))):
        raw = data.draw(st.binary(max_size=80))
        if data.draw(st.booleans()):
            head = bytes.fromhex("0001809b060400") + bytes((data.draw(st.integers(1, 3)),))
            node.receive(_frame(AARP_SNAP, head + raw if data.draw(st.booleans()) else raw), lan.now_ns)
            continue
        source = NodeAddress(data.draw(st.integers(0, 0xFFFF)), data.draw(st.integers(0, 0xFF)))
        socket = data.draw(st.sampled_from([1, 2, 4, 6, 0x80, 0x89]))
        kind = data.draw(st.integers(0, 8))
        datagram = Datagram(NodeAddress(0, 0xFF), source, socket, data.draw(st.integers(0, 255)), kind, raw)
        node.receive(_frame(DDP_SNAP, datagram.emit()), lan.now_ns)
    lan.run(200 * SECOND)

    assert len(node.aarp.mappings) <= limits.mappings_limit
    assert not node.names.lookups
    assert node.names.table == {}


def _any_name() -> EntityName:
    return EntityName(b"=", b"=")
