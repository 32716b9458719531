r"""Reparse: a driver that is asked to open a name answers with another one.

A driver completes a create with STATUS_REPARSE, and says by ``information`` what its ``result`` is: for
IO_REPARSE the whole new name, for a reparse point's tag what that point contains. In the second case part of
the name is behind the point and follows the new one::

    \??\C:\mount\a.txt                 the point at \mount leads to \Device\Volume2
    \Device\Volume2      \a.txt        "\a.txt" was unparsed

Sources: "Reparse Points", [MS-FSCC] 2.1.2.4 and 2.1.2.5, IRP_MJ_CREATE. A path has 63 such points at most.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ntos.io.status import NtError, NtStatus

REPARSES_LIMIT = 63
"""Answers of this kind to one create ("Reparse Points": the limit on any given path)."""
IO_REPARSE = 0
IO_REMOUNT = 1


class ReparseTag(enum.IntEnum):
    """IO_REPARSE_TAG_* that the I/O manager itself resolves ([MS-FSCC] 2.1.2.1)."""

    MOUNT_POINT = 0xA000_0003
    SYMLINK = 0xA000_000C


@dataclass(frozen=True, slots=True)
class ReparsePoint:
    """REPARSE_DATA_BUFFER of a mount point or a symbolic link."""

    substitute: str
    unparsed: int = 0
    """How many characters of the name are behind the point."""
    is_relative: bool = False
    """SYMLINK_FLAG_RELATIVE: the substitute is beside the link."""


def new_name(name: str, information: int, result: object) -> str:
    """Return the name to go on with. NtError(IO_REPARSE_DATA_INVALID) for an answer that gives none."""
    if information in (IO_REPARSE, IO_REMOUNT) and isinstance(result, str):
        return result
    if information not in set(ReparseTag) or not isinstance(result, ReparsePoint):
        raise NtError(NtStatus.IO_REPARSE_DATA_INVALID, f"{information:#x}")
    if not 0 <= result.unparsed <= len(name):
        raise NtError(
            NtStatus.IO_REPARSE_DATA_INVALID, f"{result.unparsed} of {len(name)} characters unparsed"
        )
    cut = len(name) - result.unparsed
    parsed, rest = name[:cut], name[cut:]
    if not result.is_relative:
        return result.substitute + rest
    if information == ReparseTag.MOUNT_POINT:
        raise NtError(NtStatus.IO_REPARSE_DATA_INVALID, "a mount point is not relative")
    return _beside(parsed, result.substitute) + rest


def _beside(link: str, target: str) -> str:
    """Return ``target`` as seen from the directory of ``link``; it does not climb out of the root."""
    parts = link.split("\\")[:-1]
    for part in target.split("\\"):
        if part == "..":
            if len(parts) < 2:
                raise NtError(NtStatus.IO_REPARSE_DATA_INVALID, target[:80])
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "\\".join(parts)
