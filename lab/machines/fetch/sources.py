"""Where Debian packages come from on this machine: a mirror and the keyring that vouches for it.

Sans I/O but for ``discover``: the parsers take the text of apt's files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import UsageError

MIRROR_VARIABLE = "RINGWALK_DEBIAN_MIRROR"
KEYRING_VARIABLE = "RINGWALK_DEBIAN_KEYRING"
KEYRINGS = tuple(
    Path("/usr/share/keyrings") / name
    for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A Debian archive and the keyring that its indexes are signed with."""

    uri: str
    keyring: Path


def one_line_uris(text: str) -> list[str]:
    """Return the archive URIs of a ``sources.list`` (sources.list(5), one-line style)."""
    return re.findall(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+", text, re.MULTILINE)


def deb822_uris(text: str) -> list[str]:
    """Return the archive URIs of a ``.sources`` file (sources.list(5), deb822 style)."""
    uris: list[str] = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", stanza))
        if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
            uris += fields.get("URIs", "").split()
    return uris


def debian_mirror(uris: list[str]) -> str | None:
    """Return the first URI that is a whole Debian archive: its path ends in ``debian``."""
    for uri in uris:
        if re.fullmatch(r"(https?|file|ftp)://\S+/debian/?", uri) or (
            re.fullmatch(r"(https?)://\S+/debian/?", uri.removeprefix("mirror+"))
        ):
            return uri.rstrip("/")
    return None


def discover(etc: Path = Path("/etc/apt")) -> Mirror:
    """Return the mirror that this machine's own apt uses, or the one the environment names.

    Raises ``UsageError`` when there is no mirror or no keyring to check it with.
    """
    uri = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    if not uri:
        uris: list[str] = []
        for path in sorted([etc / "sources.list", *(etc / "sources.list.d").glob("*")]):
            read = {".list": one_line_uris, ".sources": deb822_uris}.get(path.suffix)
            if read and path.is_file() and os.access(path, os.R_OK):
                uris += read(path.read_text(errors="replace"))
        uri = debian_mirror(uris) or ""
    if not uri:
        raise UsageError(
            f"no Debian mirror among this machine's apt sources: set {MIRROR_VARIABLE} to the address of one"
            " (it ends in /debian)"
        )
    return Mirror(uri, keyring())


def keyring() -> Path:
    """Return the Debian archive's keyring; ``UsageError`` when there is none."""
    named = os.environ.get(KEYRING_VARIABLE)
    for path in (Path(named),) if named else KEYRINGS:
        if path.is_file():
            return path
    raise UsageError(
        "the Debian archive's keyring is missing, and nothing unsigned is used: install the package"
        f" debian-archive-keyring (Fedora: debian-keyring), or set {KEYRING_VARIABLE}"
    )
