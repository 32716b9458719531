"""What an engine knows of the cable: a file descriptor, and how frames lie in it.

It knows nothing of where the cable goes. ``device.wire.spec.open_wire`` makes the objects that fit
this.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol, runtime_checkable

LARGEST_FRAME_BYTES: Final = 14 + 2 * 4 + 65535
"""The most that may follow a header: Ethernet, two VLAN tags, and the largest IP packet."""

SMALLEST_FRAME_BYTES: Final = 14
"""An Ethernet header. Padding to 60 bytes is the sender's affair (IEEE 802.3 clause 4.2.3.3)."""


class Framing(enum.Enum):
    """How a frame lies in the bytes that are read from and written to a wire's descriptor."""

    VNET = "vnet"
    """A 10-byte ``struct virtio_net_hdr`` in native order, then the frame; one message a frame."""
    DATAGRAM = "datagram"
    """One plain frame a message."""
    STREAM = "stream"
    """A 4-byte big-endian length before each frame (QEMU's ``-netdev stream``, passt)."""
    NONE = "none"
    """No cable: the descriptor is -1 and what is sent is lost."""


class Wire(Protocol):
    """A cable with one end here.

    ``fd`` is non-blocking, keeps its number while the wire is open, and may be polled, read and
    written by a C thread. Reading from it gives plain frames with whole checksums (gso_type NONE,
    no NEEDS_CSUM) unless the wire was opened with ``offload``; writing to VNET framing may use
    either. The wire owns the descriptor: stop using it before ``close()``.

    Errors that pass and that a user of ``fd`` answers by dropping the frame and going on: ENOBUFS,
    EIO and ENETDOWN (interface down), ECONNREFUSED, ENOTCONN, EDESTADDRREQ (peer away), EMSGSIZE,
    EINVAL (the kernel refused the header), EPERM. EAGAIN on a write: the frame may be kept and
    offered again. A read of length 0 is the end of a STREAM and of a pumped wire.
    """

    @property
    def fd(self) -> int:
        """The descriptor; -1 with ``Framing.NONE`` and once closed."""

    @property
    def framing(self) -> Framing:
        """How frames lie in what is read and written."""

    @property
    def spec(self) -> str:
        """The specification this wire was opened with."""

    @property
    def link(self) -> bool:
        """Whether something is at the other end now: the carrier that the PHY may report.

        True where the wire cannot know. Looked at a few times a second.
        """

    def close(self) -> None:
        """Give up what the wire holds: descriptors, threads, programs. Idempotent."""


@runtime_checkable
class TellsLink(Protocol):
    """A wire that can tell its other end."""

    def offer(self, *, link: bool) -> None:
        """Say whether there is a link at this end; any thread may call it, as often as it likes."""


class WireError(ValueError):
    """A wire could not be opened. The message is one line: what is wrong, and the remedy."""


class WireClosed(Exception):  # noqa: N818 - it is the end of a stream, not somebody's error
    """The other end of a stream or of a pump went away."""


class MalformedFrame(ValueError):  # noqa: N818 - named for what it describes, as in the RFCs
    """Bytes that are no frame: a wrong virtio-net header, a length out of bounds."""
