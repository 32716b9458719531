"""DHCP messages (RFC 2131 2, RFC 2132): a codec.

::

    op htype hlen hops | xid | secs flags | ciaddr yiaddr siaddr giaddr | chaddr (16)
    sname (64) file (128) | magic 63 82 53 63 | options: code length data ... 255
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.checksum import Buffer

HEADER = Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
MAGIC = b"\x63\x82\x53\x63"
MINIMUM_BYTES = 300  # some relays and servers drop shorter ones (RFC 1542 2.1)
REQUEST_OP = 1
REPLY_OP = 2
BROADCAST_FLAG = 0x8000

PAD = 0
SUBNET_MASK = 1
ROUTER = 3
DNS_SERVERS = 6
HOST_NAME = 12
DOMAIN_NAME = 15
REQUESTED_ADDRESS = 50
LEASE_TIME = 51
OVERLOAD = 52
MESSAGE_TYPE = 53
SERVER_ID = 54
PARAMETERS = 55
MAX_SIZE = 57
T1 = 58
T2 = 59
CLIENT_ID = 61
END = 255

DISCOVER = 1
OFFER = 2
REQUEST = 3
DECLINE = 4
ACK = 5
NAK = 6
RELEASE = 7


@dataclass(slots=True)
class DhcpMessage:
    """A message. Addresses are 4 bytes; ``options`` by code, long ones joined (RFC 3396)."""

    op: int
    xid: int
    mac: bytes
    seconds: int = 0
    flags: int = 0
    client: bytes = bytes(4)
    your: bytes = bytes(4)
    server: bytes = bytes(4)
    relay: bytes = bytes(4)
    options: dict[int, bytes] = field(default_factory=dict)

    @property
    def kind(self) -> int:
        """DISCOVER, OFFER and so on; 0 when the option is missing."""
        value = self.options.get(MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 else 0

    def address(self, code: int) -> bytes | None:
        """Return an option that is one address."""
        value = self.options.get(code, b"")
        return value if len(value) == 4 else None

    def address_list(self, code: int) -> list[bytes]:
        """Return an option that is a list of addresses."""
        value = self.options.get(code, b"")
        return [value[i : i + 4] for i in range(0, len(value) - 3, 4)]

    def number(self, code: int) -> int | None:
        """Return an option that is a 32-bit number."""
        value = self.options.get(code, b"")
        return int.from_bytes(value) if len(value) == 4 else None

    def build(self) -> bytes:
        """Return the bytes, padded to 300."""
        raw = HEADER.pack(
            self.op,
            1,
            6,
            0,
            self.xid,
            self.seconds,
            self.flags,
            self.client,
            self.your,
            self.server,
            self.relay,
            self.mac,
            b"",
            b"",
            MAGIC,
        )
        for code, value in self.options.items():
            raw += bytes((code, len(value))) + value
        return (raw + bytes((END,))).ljust(MINIMUM_BYTES, b"\0")


def parse(data: Buffer) -> DhcpMessage | None:
    """Read a message; None when it is none, or its options do not fit."""
    if len(data) < HEADER.size:
        return None
    (
        op,
        hardware,
        mac_bytes,
        _,
        xid,
        seconds,
        flags,
        client,
        your,
        server,
        relay,
        mac,
        name,
        file,
        magic,
    ) = HEADER.unpack_from(data)
    if (hardware, mac_bytes, magic) != (1, 6, MAGIC):
        return None
    message = DhcpMessage(op, xid, mac[:6], seconds, flags, client, your, server, relay)
    if not _options(bytes(data[HEADER.size :]), message.options):
        return None
    overload = message.options.get(OVERLOAD, b"\0")
    for bit, more in ((1, file), (2, name)):
        if overload[:1] and overload[0] & bit and not _options(more, message.options):
            return None
    return message


def _options(raw: bytes, into: dict[int, bytes]) -> bool:
    at = 0
    while at < len(raw) and raw[at] != END:
        if raw[at] == PAD:
            at += 1
            continue
        if at + 1 >= len(raw) or at + 2 + raw[at + 1] > len(raw):
            return False
        value = raw[at + 2 : at + 2 + raw[at + 1]]
        into[raw[at]] = into.get(raw[at], b"") + value
        at += 2 + raw[at + 1]
    return True
