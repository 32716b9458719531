"""The recording's format: what is written is read, and damage of any kind is told."""

from __future__ import annotations

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.effects import GsoType, Offload
from device.trace.recording import About, Place, Recording, RecordingError, Writer
from device.trace.records import Kind, Record, frame_data, frame_of

ABOUT = About("52:54:00:82:57:01", offload=True, comment="a test", epoch_ns=7)
RECORDS = st.builds(
    Record,
    st.sampled_from([Kind.ADVANCE, Kind.READ, Kind.WRITE, Kind.ANSWER, Kind.DMA_READ, Kind.FRAME]).map(int),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, (1 << 64) - 1),
    st.binary(max_size=40),
)


def written(records: list[Record], *, close: bool = True, limit: int | None = None) -> bytes:
    """Return a recording's bytes."""
    out = io.BytesIO()
    writer = Writer(out.write, ABOUT, limit=limit)
    for record in records:
        writer.add(*record)
    if close:
        writer.close("over")
    return out.getvalue()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RECORDS, max_size=60))
def test_what_was_written_is_read(records: list[Record]) -> None:
    """With its header and its end."""
    recording = Recording(written(records))

    read = [record for _, record in recording.records()]

    assert recording.about == ABOUT
    assert read == [*records, Record(Kind.END, data=b"over")]


def test_reading_goes_on_from_any_place() -> None:
    """Over the border of a block."""
    records = [Record(Kind.WRITE, 0, 0, n, bytes(10)) for n in range(1500)]
    recording = Recording(written(records))
    places = [Place(), *(place for place, _ in recording.records())]

    for start in (0, 1, 511, 512, 513, 1024, 1499, 1500):
        rest = [record for _, record in recording.records(places[start])]

        assert [record.value for record in rest[:-1]] == list(range(start, 1500))


def test_every_cut_is_noticed() -> None:
    """At each byte of a small file."""
    whole = written([Record(Kind.WRITE, 0, 0, n, b"data") for n in range(5)])

    for length in range(len(whole)):
        with pytest.raises(RecordingError):
            Recording(whole[:length])


def test_every_flipped_byte_is_noticed() -> None:
    """In the header, in a block's header, in its payload; but for two bytes that mean nothing yet."""
    whole = written([Record(Kind.WRITE, 0, 0, n, b"data") for n in range(3)])

    for at in set(range(len(whole))) - {10, 11}:
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        with pytest.raises(RecordingError):
            Recording(bytes(damaged))


def test_what_is_whole_of_a_damaged_recording_can_be_used() -> None:
    """As after a crash of the machine."""
    records = [Record(Kind.WRITE, 0, 0, n, bytes(100)) for n in range(1500)]
    cut = written(records)[:-200]

    recording = Recording(cut, partial=True)

    kept = [record.value for _, record in recording.records()]
    assert kept == list(range(len(kept)))
    assert len(kept) == 1024
    assert "cut short" in str(recording.damage)


def test_a_recording_without_its_end_is_refused() -> None:
    """The writer was killed, or still writes."""
    unfinished = written([Record(Kind.WRITE, 0, 0, n, bytes(70)) for n in range(1024)], close=False)

    with pytest.raises(RecordingError, match="no end"):
        Recording(unfinished)


def test_a_file_of_another_version_names_both_versions() -> None:
    """So that its reader knows what to update."""
    whole = bytearray(written([]))
    whole[8] = 9

    with pytest.raises(RecordingError, match="version 9, this program reads 2"):
        Recording(bytes(whole))


def test_another_file_is_no_recording() -> None:
    """Whatever it is."""
    with pytest.raises(RecordingError, match="no Ringwalk recording"):
        Recording(b"\x7fELF" + bytes(100))


def test_the_writer_tells_when_its_limit_is_reached() -> None:
    """The caller then ends it between two inputs."""
    writer = Writer(lambda _: None, ABOUT, limit=100_000)
    before = writer.full

    for n in range(1024):
        writer.add(Kind.WRITE, 0, 0, n, bytes(100))

    assert (before, writer.full) == (False, True)


@pytest.mark.parametrize(
    "offload",
    [
        None,
        Offload(csum_start=34, csum_offset=16, needs_csum=True),
        Offload(34, 16, needs_csum=True, gso=GsoType.TCPV6, hdr_len=74, gso_size=1440, ecn=True),
    ],
)
def test_a_frame_keeps_its_offload(offload: Offload | None) -> None:
    """All its fields."""
    index, data = frame_data(b"frame", offload)

    assert frame_of(Record(Kind.FRAME, index, 0, 0, data)) == (b"frame", offload)
