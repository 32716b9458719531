"""The IOVA map against the simplest model of it: a set with one item a byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from device.vfio_user import DmaError, DmaMap, Protection, RequestRefused

regions = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.booleans()), max_size=12)
ranges = st.lists(st.tuples(st.integers(0, 70), st.integers(1, 30)), max_size=3)


class Echo:
    """Memory, with an fd and without, whose bytes are their addresses; it keeps what is mapped."""

    def __init__(self) -> None:
        self.mapped: set[int] = set()

    def map(self, fd: int, offset: int, size: int, protection: Protection) -> int:
        """Use the offset as the address."""
        assert (fd, protection, size > 0) == (3, Protection.READ, True)
        self.mapped.add(offset)
        return offset

    def unmap(self, address: int) -> None:
        """Each once."""
        self.mapped.remove(address)

    def read(self, address: int, count: int) -> bytes:
        """Return the addresses."""
        return bytes(range(address, address + count))

    dma_read = read

    def write(self, address: int, data: bytes) -> None:
        """Never, these regions are for reading."""
        raise AssertionError(address, data)

    dma_write = write


def change(dma: DmaMap, model: set[int], wanted: list[tuple[int, int, bool]]) -> None:
    """Map what can be mapped, in both; they have to agree on what cannot."""
    for iova, size, with_fd in wanted:
        span = set(range(iova, iova + size))
        try:
            dma.map(iova, size, Protection.READ, 3 if with_fd else None, iova)
        except RequestRefused:
            assert span & model
        else:
            assert not span & model
            model |= span


def unmap(dma: DmaMap, model: set[int], iova: int, size: int) -> None:
    """Unmap a range in both, unless a region sticks out of it."""
    inside = set(range(iova, iova + size))
    spans = [set(range(r.iova, r.end)) for r in dma.regions]
    try:
        dma.unmap(iova, size)
    except RequestRefused:
        assert any(span & inside and span - inside for span in spans)
    else:
        assert not any(span & inside and span - inside for span in spans)
        model -= inside


@settings(max_examples=300)
@given(regions, ranges, st.integers(0, 70), st.integers(0, 20))
def test_the_map_reads_what_a_set_of_bytes_would(
    wanted: list[tuple[int, int, bool]], unwanted: list[tuple[int, int]], address: int, length: int
) -> None:
    """After any maps and unmaps: covered bytes are read, others fault, and nothing stays mapped."""
    memory = Echo()
    dma = DmaMap(memory, memory)
    model: set[int] = set()
    change(dma, model, wanted)
    for iova, size in unwanted:
        unmap(dma, model, iova, size)

    covered = model.issuperset(range(address, address + length))
    try:
        found = dma.read(address, length)
    except DmaError:
        assert not covered
    else:
        assert covered
        assert found == bytes(range(address, address + length))

    dma.clear()
    assert memory.mapped == set()
