"""INF files as they are shipped: sections, quoting, continuation, %strings%. Bytes in, data out.

Source: "General Syntax Rules for INF Files" (Windows driver documentation).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

_BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"))
_TOKEN = re.compile(r'"(?:[^"]|"")*"|[^",;]+|,|;.*|"')
_STRING = re.compile(r"%([^%]*)%")


class InfError(Exception):
    """A file that is not an INF. ``line`` counts from 1."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {what}" if line else what)
        self.line = line


@dataclass(frozen=True, slots=True)
class InfLine:
    """One entry: ``key = value, value, …``; without ``=`` the key is empty."""

    key: str
    values: tuple[str, ...]

    def value(self, at: int) -> str:
        """Return a value, empty when there are fewer."""
        return self.values[at] if at < len(self.values) else ""


@dataclass(slots=True)
class Inf:
    """A parsed file. Section names and keys compare without case; equal sections are one."""

    sections: dict[str, list[InfLine]] = field(default_factory=dict)

    def section(self, name: str) -> list[InfLine]:
        """Return the lines of a section, none when it is missing."""
        return self.sections.get(name.lower(), [])

    def get(self, section: str, key: str) -> InfLine | None:
        """Return the first line of a section with this key."""
        wanted = key.lower()
        return next((x for x in self.section(section) if x.key.lower() == wanted), None)

    def all(self, section: str, key: str) -> list[str]:
        """Return the values of every line with this key."""
        wanted = key.lower()
        return [v for x in self.section(section) if x.key.lower() == wanted for v in x.values if v]

    @classmethod
    def parse(cls, raw: bytes) -> Inf:
        """Read a file.

        UTF-16 or UTF-8 with a byte order mark, else Windows-1252. Raises InfError.
        """
        inf = cls()
        lines: list[InfLine] | None = None
        for number, text in _logical_lines(_decode(raw)):
            if text.startswith("["):
                name, closed, _rest = text[1:].partition("]")
                if not closed:
                    raise InfError("section without ]", number)
                name = name.strip().strip('"').lower().replace(".,", ".")
                lines = inf.sections.setdefault(name, [])
            elif lines is None:
                raise InfError("an entry before the first section", number)
            else:
                lines.append(_entry(text, number))
        inf._substitute()
        signature = inf.get("Version", "Signature")
        if signature is None or signature.value(0).lower() not in {
            "$windows nt$",
            "$windows 95$",
            "$chicago$",
        }:
            raise InfError("no [Version] with a Signature")
        return inf

    def _substitute(self) -> None:
        strings = {x.key.lower(): x.value(0) for x in self.section("Strings")}

        def expand(text: str) -> str:
            # An unknown name stays as it is: %SystemRoot% is expanded later, and directory numbers
            # too.
            return _STRING.sub(lambda m: "%" if not m[1] else strings.get(m[1].lower(), m[0]), text)

        for name, lines in self.sections.items():
            if name != "strings":
                lines[:] = [InfLine(expand(x.key), tuple(map(expand, x.values))) for x in lines]


def _decode(raw: bytes) -> str:
    for bom, name in _BOMS:
        if raw.startswith(bom):
            return raw.decode(name)
    return raw.decode("cp1252", errors="replace")


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Join continued lines; drop comments and empty lines."""
    found = []
    kept, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = _without_comment(line).strip()
        first = first or number
        if bare.endswith("\\") and not bare.endswith('"\\'):
            kept += bare[:-1].rstrip() + " "
            continue
        if bare.endswith('"\\'):
            kept += bare[:-1]
            continue
        whole = (kept + bare).strip()
        if whole:
            found.append((first, whole))
        kept, first = "", 0
    return found


def _without_comment(line: str) -> str:
    quoted = False
    for at, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            return line[:at]
    return line


def _entry(text: str, number: int) -> InfLine:
    key, equals, rest = _split_key(text)
    return InfLine(key if equals else "", tuple(_values(rest if equals else text, number)))


def _split_key(text: str) -> tuple[str, bool, str]:
    quoted = False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "=" and not quoted:
            return text[:at].strip().strip('"'), True, text[at + 1 :]
    return "", False, text


def _values(text: str, number: int) -> list[str]:
    values = [""]
    for piece in _TOKEN.findall(text):
        if piece == ",":
            values.append("")
        elif piece == '"':
            raise InfError("a quote is not closed", number)
        elif piece.startswith('"'):
            values[-1] += piece[1:-1].replace('""', '"')
        else:
            values[-1] = (values[-1] + piece.strip()) if values[-1] else piece.strip()
    return values
