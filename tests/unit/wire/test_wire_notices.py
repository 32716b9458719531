"""Link messages between two cards of ours: when they are sent, and that nobody else minds them."""

from __future__ import annotations

from device.wire.frame import Frame
from device.wire.notices import DOWN, REPEAT_NS, UP, UP_MESSAGES, LinkNotices
from device.wire.stage import Way

DATA = Frame(bytes(range(64)))


def sent(notices: LinkNotices, now_ns: int) -> list[bytes]:
    """Return what is due."""
    return [frame.data for _, frame in notices.collect(now_ns)]


def test_a_message_is_an_xon_that_any_mac_consumes() -> None:
    """IEEE 802.3, 31B: opcode 1, no quanta; the reserved bytes are ignored by who does not know them."""
    heads = {message[:18] for message in (DOWN, UP)}

    assert heads == {bytes.fromhex("0180c2000001 020000000000 8808 0001 0000")}
    assert {len(DOWN), len(UP)} == {60}
    assert DOWN != UP


def test_two_ends_with_links_say_nothing() -> None:
    """A cable between our card and a QEMU carries what it carried before."""
    notices = LinkNotices()

    news = notices.offer(link=True)

    assert (news, notices.next_due_ns, sent(notices, 10**12)) == (False, None, [])


def test_a_link_that_is_down_is_repeated_and_one_that_came_up_said_a_few_times() -> None:
    """A datagram may be lost, and the far end restart."""
    notices = LinkNotices()

    news = notices.offer(link=False)
    down = [sent(notices, step * REPEAT_NS) for step in range(10)]
    between = sent(notices, 9 * REPEAT_NS + 1)
    notices.offer(link=True)
    up = [sent(notices, (20 + step) * REPEAT_NS) for step in range(UP_MESSAGES + 2)]

    assert news
    assert down == [[DOWN]] * 10
    assert between == []
    assert up == [[UP]] * UP_MESSAGES + [[], []]


def test_a_message_is_taken_out_and_any_other_frame_says_that_there_is_a_link() -> None:
    """A card without a link sends no frames."""
    notices = LinkNotices()

    seen = []
    for data in (DOWN, UP, DOWN, DATA.data):
        passed = list(notices.push(Way.RECEIVE, Frame(data), 0))
        seen.append((len(passed), notices.far_link))

    assert seen == [(0, False), (0, True), (0, False), (1, True)]


def test_what_our_card_sends_passes_whatever_it_is() -> None:
    """Also bytes that look like a message: they are the guest's."""
    notices = LinkNotices()

    assert list(notices.push(Way.TRANSMIT, Frame(DOWN), 0)) == [Frame(DOWN)]
    assert notices.far_link


def test_a_new_far_end_is_told_at_once_of_a_link_that_is_down() -> None:
    """It thinks that we have one."""
    notices = LinkNotices()
    notices.offer(link=False)
    sent(notices, 0)

    notices.connected()

    assert sent(notices, 1) == [DOWN]
