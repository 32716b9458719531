"""What the two sides agree on in VERSION: the JSON text, read strictly, and what we answer.

Knows the text, not the message around it. Source: QEMU's docs/interop/vfio-user.rst
("VFIO_USER_VERSION") and hw/vfio-user/proxy.c (``caps_parse``), which warns of every name that it
does not know and refuses a reply longer than its own proposal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from .errors import MalformedError
from .protocol import (
    DEFAULT_MAX_DATA_XFER_BYTES,
    DEFAULT_MAX_DMA_MAPS,
    DEFAULT_MAX_MSG_FDS,
    MAX_MSG_FDS,
    PAGE_BYTES,
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One side's capabilities; the defaults are what an absent name means."""

    max_msg_fds: int = DEFAULT_MAX_MSG_FDS
    max_data_xfer_size: int = DEFAULT_MAX_DATA_XFER_BYTES
    max_dma_maps: int = DEFAULT_MAX_DMA_MAPS
    pgsizes: int = PAGE_BYTES
    write_multiple: bool = False
    twin_socket: bool = False
    migration: bool = False
    named: frozenset[str] = frozenset()
    """The names that the text gave, known or not."""

    @classmethod
    def parse(cls, text: bytes) -> Capabilities:
        """Read the JSON of a VERSION; empty means all defaults.

        MalformedError says what is wrong.
        """
        if not text:
            return cls()
        try:
            top = json.loads(text)
        except (ValueError, RecursionError) as bad:
            raise MalformedError(f"the capabilities are not JSON: {bad}") from bad
        found = _member(_object(top, "version data"), "capabilities", {})
        given = _object(found, "capabilities")
        twin = _object(_member(given, "twin_socket", {}), "twin_socket")
        _object(_member(given, "migration", {}), "migration")
        return cls(
            max_msg_fds=_number(given, "max_msg_fds", DEFAULT_MAX_MSG_FDS),
            max_data_xfer_size=_number(given, "max_data_xfer_size", DEFAULT_MAX_DATA_XFER_BYTES),
            max_dma_maps=_number(given, "max_dma_maps", DEFAULT_MAX_DMA_MAPS),
            pgsizes=_number(given, "pgsizes", PAGE_BYTES),
            write_multiple=_boolean(given, "write_multiple"),
            twin_socket=_boolean(twin, "supported"),
            migration="migration" in given,
            named=frozenset(given),
        )

    def emit(self) -> bytes:
        """Return the JSON that a client proposes."""
        given: dict[str, object] = {
            "max_msg_fds": self.max_msg_fds,
            "max_data_xfer_size": self.max_data_xfer_size,
            "max_dma_maps": self.max_dma_maps,
            "pgsizes": self.pgsizes,
            "write_multiple": self.write_multiple,
        }
        if self.twin_socket:
            given["twin_socket"] = {"supported": True}
        return _text(given)

    def answer(self, proposed: Capabilities) -> bytes:
        """Return the JSON with which a server of these capabilities answers a proposal.

        Only names of the proposal are answered ("a subset of those proposed"); QEMU warns of any
        other, and has room for no more than it sent. Twin-socket mode is refused; migration is left
        out, which means that it is not supported.
        """
        given: dict[str, object] = {
            "max_msg_fds": min(self.max_msg_fds, MAX_MSG_FDS),
            "max_data_xfer_size": self.max_data_xfer_size,
            "max_dma_maps": min(self.max_dma_maps, proposed.max_dma_maps),
            "pgsizes": self.pgsizes,
            "twin_socket": {"supported": False},
        }
        if self.write_multiple and proposed.write_multiple:
            given["write_multiple"] = True
        answered = {name: value for name, value in given.items() if name in proposed.named}
        return _text(answered) if proposed.named else b""


def _text(given: dict[str, object]) -> bytes:
    return json.dumps({"capabilities": given}, separators=(",", ":")).encode()


def _object(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedError(f"{name} is not an object")
    return cast("dict[str, object]", value)


def _member(of: dict[str, object], name: str, default: object) -> object:
    return of.get(name, default)


def _number(of: dict[str, object], name: str, default: int) -> int:
    value = of.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise MalformedError(f"{name} is not an unsigned number")
    return value


def _boolean(of: dict[str, object], name: str) -> bool:
    value = of.get(name, False)
    if not isinstance(value, bool):
        raise MalformedError(f"{name} is not a boolean")
    return value
