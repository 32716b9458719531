"""LLC and SNAP frames: what is read is what was written, and a length that lies is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats import ethernet, llc
from formats.llc import LlcFrame

ONE, TWO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


@given(
    dsap=st.integers(0, 255),
    ssap=st.integers(0, 255),
    control=st.integers(0, 0xFFFF),
    information=st.binary(max_size=1496),
)
def test_a_frame_is_read_as_it_was_written(dsap: int, ssap: int, control: int, information: bytes) -> None:
    """Also behind the padding that a short frame gets on the wire."""
    control = control & 0xFF if control & 3 == 3 else control
    frame = LlcFrame(ONE, TWO, dsap, ssap, control, information)

    assert LlcFrame.parse(ethernet.padded(frame.emit())) == frame


@given(st.binary(max_size=64))
def test_no_bytes_raise(data: bytes) -> None:
    """A frame from the wire may be anything."""
    frame = LlcFrame.parse(data)

    if frame is not None:
        llc.parse_snap(frame)


@pytest.mark.parametrize("length", [0, 2, 47, 1501, 0xFFFF])
def test_a_length_that_lies_is_refused(length: int) -> None:
    """Too short for a header, longer than what came, or a type and no length."""
    frame = ONE + TWO + length.to_bytes(2) + b"\xf0\xf0\x03" + bytes(43)

    assert LlcFrame.parse(frame) is None


def test_a_numbered_frame_has_two_control_bytes() -> None:
    """An I frame with N(S) 1 and N(R) 2 and the poll bit (ISO/IEC 8802-2, 5.3.1)."""
    raw = ONE + TWO + b"\x00\x05" + b"\x04\x05\x02\x05X"

    frame = LlcFrame.parse(raw)

    assert frame == LlcFrame(ONE, TWO, 0x04, 0x05, 0x0502, b"X")


def test_snap_carries_an_ethertype() -> None:
    """RFC 1042: OUI zero, then the type."""
    body = llc.snap(llc.RFC1042, ethernet.IPV4) + b"payload"
    frame = LlcFrame.parse(ONE + TWO + len(body).to_bytes(2) + body)

    assert frame is not None
    assert llc.parse_snap(frame) == (llc.RFC1042, ethernet.IPV4, b"payload")
