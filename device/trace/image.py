"""Guest memory as a recording knows it: the bytes that were read or written so far, and no others.

Pages are copied only when they change after a ``snapshot``; so a snapshot costs a dictionary.
"""

from __future__ import annotations

from typing import Final

PAGE: Final = 4096
_EMPTY: Final = bytes(PAGE)


class _Page:
    __slots__ = ("data", "generation", "known")

    def __init__(
        self, generation: int, data: bytes | bytearray = _EMPTY, known: bytes | bytearray = _EMPTY
    ) -> None:
        self.generation = generation
        self.data = bytearray(data)
        self.known = bytearray(known)


class Image:
    """Sparse memory that knows which of its bytes are known."""

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}
        self._generation = 0

    def put(self, address: int, data: bytes) -> None:
        """Learn bytes."""
        done, length = 0, len(data)
        while done < length:
            number, at = divmod(address + done, PAGE)
            take = min(PAGE - at, length - done)
            page = self._writable(number)
            page.data[at : at + take] = data[done : done + take]
            page.known[at : at + take] = b"\1" * take
            done += take

    def get(self, address: int, length: int) -> bytes | None:
        """Return bytes; None where not every one is known."""
        out = bytearray()
        while len(out) < length:
            number, at = divmod(address + len(out), PAGE)
            take = min(PAGE - at, length - len(out))
            page = self._pages.get(number)
            if page is None or 0 in page.known[at : at + take]:
                return None
            out += page.data[at : at + take]
        return bytes(out)

    def _writable(self, number: int) -> _Page:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = _Page(self._generation)
        elif page.generation != self._generation:
            page = self._pages[number] = _Page(self._generation, page.data, page.known)
        return page

    def snapshot(self) -> dict[int, _Page]:
        """Return the present content; later changes do not touch it."""
        self._generation += 1
        return dict(self._pages)

    def restore(self, snapshot: dict[int, _Page]) -> None:
        """Take a snapshot back, any number of times."""
        self._generation += 1
        self._pages = dict(snapshot)
