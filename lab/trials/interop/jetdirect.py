"""A printer of the JetDirect kind, scripted: it takes jobs over a link and answers PJL.

It imports nothing of ours: it is the same script behind our LLC and, in a guest, behind Linux's ``llc2``.
Source: HP, "Printer Job Language Technical Reference": UEL, ``INFO ID``, ``INFO STATUS``, ``ECHO``.
"""

from __future__ import annotations

UEL = b"\x1b%-12345X"
"""Universal exit language: the bounds of a job."""
ID = b'"RINGWALK LASERJET"'
ANSWERS = {
    b"@PJL INFO ID": b"@PJL INFO ID\r\n" + ID + b"\r\n\x0c",
    b"@PJL INFO STATUS": b'@PJL INFO STATUS\r\nCODE=10001\r\nDISPLAY="READY"\r\nONLINE=TRUE\r\n\x0c',
}
LARGEST_LINE = 256


class Printer:
    """The printer: ``receive`` takes bytes and returns what it says back."""

    def __init__(self) -> None:
        """Have printed nothing."""
        self.jobs: list[bytes] = []
        """What was printed, job by job: the bytes between PJL and UEL."""
        self._line = b""
        self._page = b""
        self._is_language = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes, however they are cut."""
        said = b""
        for at in range(len(data)):
            said += self._take(data[at : at + 1])
        return said

    def _take(self, byte: bytes) -> bytes:
        if self._is_language:
            self._page += byte
            if self._page.endswith(UEL):
                self.jobs.append(self._page[: -len(UEL)])
                self._page, self._is_language = b"", False
            return b""
        self._line += byte
        if self._line.endswith(UEL):
            self._line = b""
        elif byte == b"\n" or len(self._line) >= LARGEST_LINE:
            line, self._line = self._line.strip(), b""
            if line.startswith(b"@PJL ENTER LANGUAGE"):
                self._is_language = True
            elif line.startswith(b"@PJL ECHO"):
                return line + b"\r\n\x0c"
            return ANSWERS.get(line, b"")
        return b""


def job(data: bytes) -> bytes:
    """Return a job: its data in PCL, between exits."""
    return UEL + b"@PJL ENTER LANGUAGE=PCL\r\n" + data + UEL
