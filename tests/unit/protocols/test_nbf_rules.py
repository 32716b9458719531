"""NBF frame by frame: names, sessions, flow control, status, datagrams."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest

from formats.llc import UI
from ntos.executive.contract import SECOND
from protocols.transports.nbf.frame import Command, DataFlag, NameFrame, SessionFrame
from protocols.transports.nbf.parameters import BROADCAST_NAME, EndReason, NbfError, NbfParameters
from protocols.transports.nbf.states import NameState, SessionState
from tests.support.nbf_pair import Client, Lan, name

A, B, GROUP_NAME = name("ALICE"), name("BOB", 0x20), name("GROUP", 0x1E)


def _names(lan: Lan) -> list[str]:
    """Return the NetBIOS frames that were sent, by their commands."""
    found = []
    for frame in lan.frames:
        kind = NameFrame if frame.control == UI else SessionFrame
        parsed = kind.parse(frame.information) if frame.control & 3 != 1 else None
        if parsed is not None:
            found.append(parsed.command.name)
    return found


def _connected(room: int | None = None) -> tuple[Lan, Client, Client]:
    lan = Lan()
    near, far = lan.hosts
    near.add(A)
    far.add(B, listens=True)
    far.room = room
    lan.settle()
    lan.frames.clear()
    client = Client()
    client.session = near.nbf.call(A, B, client)
    lan.settle()
    assert (client.opens, len(far.accepted)) == (1, 1)
    return lan, client, far.accepted[0]


def test_a_name_is_asked_for_three_times_and_then_ours() -> None:
    lan = Lan()

    lan.hosts[0].add(A)
    lan.settle()

    assert _names(lan) == ["ADD_NAME_QUERY"] * 3
    assert lan.hosts[0].added == {A: None}
    assert lan.now_ns == SECOND + 1_500_000_000


@pytest.mark.parametrize(
    ("theirs", "ours", "reason"),
    [
        (False, False, EndReason.NAME_IN_USE),
        (True, False, EndReason.NAME_IN_USE),
        (False, True, EndReason.NAME_IN_USE),
        (True, True, None),
    ],
)
def test_only_groups_share_a_name(theirs: bool, ours: bool, reason: EndReason | None) -> None:  # noqa: FBT001 - a table
    lan = Lan()
    lan.hosts[0].add(A, is_group=theirs)
    lan.settle()

    lan.hosts[1].add(A, is_group=ours)
    lan.settle()

    assert lan.hosts[1].added == {A: reason}
    assert (A in lan.hosts[1].nbf.names.names) is (reason is None)


def test_of_two_that_claim_a_name_at_once_the_first_that_is_asked_objects() -> None:
    lan = Lan()

    for host in lan.hosts:
        host.add(A)
    lan.settle()

    assert sorted(str(host.added[A]) for host in lan.hosts) != ["None", "None"]


def test_names_that_are_none_and_names_of_ours_are_refused() -> None:
    lan = Lan(parameters=NbfParameters(names_limit=2))
    host = lan.hosts[0]
    host.add(A)
    host.add(B)

    for bad in (A, bytes(16), BROADCAST_NAME, host.nbf.permanent):
        with pytest.raises(NbfError) as error:
            host.add(bad)
        assert error.value.reason is EndReason.NAME_IN_USE
    with pytest.raises(NbfError) as error:
        host.add(name("THIRD"))
    assert error.value.reason is EndReason.TABLE_FULL


def test_a_session_is_found_linked_initialized_confirmed_and_ended() -> None:
    lan, client, far = _connected()
    assert client.session is not None

    client.session.send(b"hello", lambda: far.messages.append(b"acknowledged"))
    lan.settle()
    client.session.hang_up()
    lan.settle()

    assert _names(lan) == [
        *("NAME_QUERY", "NAME_RECOGNIZED", "SESSION_INITIALIZE", "SESSION_CONFIRM"),
        *("DATA_ONLY_LAST", "DATA_ACK", "SESSION_END"),
    ]
    assert far.messages == [b"hello", b"acknowledged"]
    assert (client.reasons, far.reasons) == ([EndReason.HUNG_UP], [EndReason.PEER_ENDED])
    assert [host.nbf.sessions for host in lan.hosts] == [{}, {}]


def test_a_link_without_a_session_is_taken_down_after_a_while() -> None:
    lan, client, _far = _connected()
    assert client.session is not None

    client.session.hang_up()
    lan.settle(quiet_ns=20 * SECOND)

    assert [host.nbf.sap.links for host in lan.hosts] == [{}, {}]


def test_a_long_message_is_cut_and_its_first_frame_asks_whether_to_go_on() -> None:
    lan, client, far = _connected()
    assert client.session is not None
    data = bytes(range(256)) * 20
    lan.frames.clear()

    client.session.send(data, lambda: None)
    lan.settle()

    assert far.messages == [data]
    assert _names(lan) == [
        *("DATA_FIRST_MIDDLE", "RECEIVE_CONTINUE", "DATA_FIRST_MIDDLE", "DATA_FIRST_MIDDLE"),
        *("DATA_ONLY_LAST", "DATA_ACK"),
    ]


@pytest.mark.parametrize("size", [0, 1, 1000, 1482, 1483, 70_000, 131_070])
def test_a_receiver_that_takes_some_bytes_at_a_time_has_all_of_a_message(size: int) -> None:
    lan, client, far = _connected(room=0)
    assert client.session is not None
    assert far.session is not None
    data = (b"0123456789abcdef" * 8192)[:size]
    done: list[int] = []

    client.session.send(data, lambda: done.append(1))
    lan.settle()
    assert (done, far.messages, far.partial) == ([], [], b"")
    for _ in range(60):
        far.room = 3000
        far.session.resume()
        lan.settle()
        if done:
            break

    assert (done, far.messages) == ([1], [data])
    assert {"NO_RECEIVE", "RECEIVE_OUTSTANDING"} <= set(_names(lan))


def test_an_answer_carries_the_acknowledgment() -> None:
    lan, client, far = _connected(room=0)
    assert client.session is not None
    assert far.session is not None
    client.session.send(b"question", lambda: None)
    lan.settle()
    lan.frames.clear()
    far.room = None
    first = far.receive

    def answering(data: bytes, *, is_last: bool) -> int | None:
        assert far.session is not None
        far.session.send(b"answer", lambda: None)
        return first(data, is_last=is_last)

    far.receive = answering  # type: ignore[method-assign]  # a client that answers from its receive

    far.session.resume()
    lan.settle()

    assert client.messages == [b"answer"]
    assert _names(lan) == ["RECEIVE_OUTSTANDING", "DATA_ONLY_LAST", "DATA_ONLY_LAST", "DATA_ACK"]
    answer = next(f for f in map(_session_frame, lan.frames) if f is not None and f.data == b"answer")
    assert answer.data1 == DataFlag.ACK_INCLUDED | DataFlag.ACK_WITH_DATA_ALLOWED


def _session_frame(frame: object) -> SessionFrame | None:
    information: bytes = frame.information  # type: ignore[attr-defined]  # an LlcFrame
    return SessionFrame.parse(information)


def test_sixty_sessions_share_one_link() -> None:
    lan, _client, _far = _connected()
    near, far = lan.hosts

    clients = [Client() for _ in range(60)]
    for client in clients:
        client.session = near.nbf.call(A, B, client)
    lan.settle()
    for number, client in enumerate(clients):
        assert client.session is not None
        client.session.send(b"%d" % number * 1000, lambda: None)
    lan.settle()

    assert [one.messages for one in far.accepted[1:]] == [[b"%d" % n * 1000] for n in range(60)]
    assert len(near.nbf.sap.links) == 1


def test_calls_that_nobody_takes_say_why() -> None:
    lan = Lan()
    near, far = lan.hosts
    near.add(A)
    far.add(B)
    lan.settle()
    clients = [Client(), Client()]

    near.nbf.call(A, name("NOBODY"), clients[0])
    near.nbf.call(A, B, clients[1])
    lan.settle()

    assert [one.reasons for one in clients] == [[EndReason.NAME_NOT_FOUND], [EndReason.NO_LISTEN]]
    assert [host.nbf.sessions for host in lan.hosts] == [{}, {}]


def test_a_station_without_room_says_so_and_its_offers_expire() -> None:
    lan = Lan(parameters=NbfParameters(offers_limit=2))
    near, far = lan.hosts
    far.add(B, listens=True)
    lan.settle()
    for number in range(1, 6):
        query = NameFrame(Command.NAME_QUERY, B, A, data2=number, response=number)
        far.nbf._take_name_query(b"\2\0\0\0\0\x63", query)

    client = Client()
    near.nbf.call(A, B, client)
    lan.settle(limit_ns=SECOND)
    assert client.reasons == [EndReason.CANNOT]
    lan.settle(limit_ns=10 * SECOND, quiet_ns=10 * SECOND)

    assert (far.nbf.sessions, far.nbf.counters["offers_expired"]) == ({}, 2)
    assert far.nbf.counters["offers_refused"] == 4


def test_a_lost_link_ends_its_sessions_at_both_ends() -> None:
    lan, client, far = _connected()
    assert client.session is not None
    lan.wire.loss = 1.0

    client.session.send(b"lost", lambda: None)
    lan.settle(quiet_ns=60 * SECOND)

    assert (client.reasons, far.reasons) == ([EndReason.LINK_LOST], [EndReason.LINK_LOST])


def test_a_quiet_session_asks_its_link() -> None:
    lan, client, _far = _connected()

    lan.settle(limit_ns=70 * SECOND, quiet_ns=40 * SECOND)

    assert _names(lan).count("SESSION_ALIVE") >= 2
    assert client.reasons == []


def test_an_abort_ends_both_and_says_that_it_was_one() -> None:
    lan, client, far = _connected()
    assert client.session is not None

    client.session.send(bytes(100_000), lambda: None)
    client.session.abort()
    lan.settle()

    assert (client.reasons, far.reasons) == ([EndReason.ABORTED], [EndReason.PEER_ABORTED])


def test_hanging_up_waits_for_what_was_sent() -> None:
    lan, client, far = _connected()
    assert client.session is not None

    client.session.send(bytes(50_000), lambda: None)
    client.session.hang_up()
    assert client.session.state is SessionState.DRAINING
    lan.settle()

    assert far.messages == [bytes(50_000)]
    assert (client.reasons, far.reasons) == ([EndReason.HUNG_UP], [EndReason.PEER_ENDED])


def test_datagrams_reach_a_name_a_group_and_everybody() -> None:
    lan = Lan(3)
    one, two, three = lan.hosts
    one.add(A)
    two.add(B)
    for host in (one, two):
        host.add(GROUP_NAME, is_group=True)
    lan.settle()

    for destination in (B, GROUP_NAME, BROADCAST_NAME):
        one.nbf.send_datagram(A, destination, b"data")
    lan.settle()

    to_group, to_all = (GROUP_NAME, A, b"data"), (BROADCAST_NAME, A, b"data")
    assert one.datagrams == [to_group, to_all]
    assert two.datagrams == [(B, A, b"data"), to_group, to_all]
    assert three.datagrams == [to_all]
    with pytest.raises(NbfError):
        one.nbf.send_datagram(A, B, bytes(513))


def test_find_name_tells_who_has_a_unique_name_and_all_of_a_group() -> None:
    lan = Lan(3)
    one, two, three = lan.hosts
    two.add(B)
    for host in (two, three):
        host.add(GROUP_NAME, is_group=True)
    lan.settle()
    found: dict[bytes, list[tuple[bytes, bool]]] = {}

    for asked in (B, GROUP_NAME, A):
        one.nbf.queries.find(
            asked,
            one.nbf.permanent,
            lambda came, asked=asked: found.update({asked: [(f.station, f.is_group) for f in came]}),  # type: ignore[misc]  # bound
        )
    lan.settle()

    assert found == {B: [(two.mac, False)], GROUP_NAME: [(two.mac, True), (three.mac, True)], A: []}


def test_the_status_of_a_station_has_its_names_however_many_frames_it_takes() -> None:
    lan = Lan()
    near, far = lan.hosts
    for number in range(120):
        far.add(name(f"NAME{number}"))
    lan.settle()
    came: list[tuple[bytes, bool]] = []

    for room in (60 + 18 * 120, 60 + 18 * 3):
        near.nbf.queries.ask_status(name("NAME7"), room, lambda raw, more: came.append((raw, more)))
        lan.settle()
    near.nbf.queries.ask_status(A, 100, lambda raw, more: came.append((raw, more)))
    lan.settle()

    (whole, is_cut), (short, is_short), nothing = came
    assert (len(whole), is_cut, whole[:6]) == (60 + 18 * 120, False, far.mac)
    assert whole[60 : 60 + 18] == name("NAME0") + b"\x02\x04"
    assert (len(short), is_short, nothing) == (60 + 18 * 3, True, (b"", False))


def test_two_owners_of_a_unique_name_are_told_and_stop_using_it() -> None:
    lan = Lan(3)
    asker, two, three = lan.hosts
    two.add(A)
    lan.settle()
    three.listening.add(A)
    lan.wire.loss = 1.0
    three.add(A)  # while it is cut off
    lan.settle()
    lan.wire.loss = 0.0

    asker.nbf.queries.find(A, asker.nbf.permanent, lambda _found: None)
    lan.settle()

    assert [host.conflicts for host in lan.hosts].count([A]) == 1
    states = {host.nbf.names.names[A].state for host in (two, three)}
    assert states == {NameState.REGISTERED, NameState.CONFLICT}


def test_the_card_going_ends_everything_with_a_word() -> None:
    lan, client, _far = _connected()
    host = lan.hosts[0]
    host.add(name("LATER"))
    found: list[object] = []
    host.nbf.queries.find(B, A, found.append)

    host.nbf.stop()

    assert client.reasons == [EndReason.UNBOUND]
    assert host.added[name("LATER")] is EndReason.UNBOUND
    assert found == [[]]
    assert host.nbf.next_deadline() is None or not host.nbf.sessions
