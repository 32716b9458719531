"""TDI addresses: a type and bytes, and what the bytes of each type mean.

A client hands a typed address on and does not look inside; a transport takes those of its own types and
refuses others. The bytes are those of ``tdi.h``; behind a family's two bytes they are its ``sockaddr``.

::

    TRANSPORT_ADDRESS            TA_ADDRESS
    +-------+----------------    +--------+------+----------
    | count | TA_ADDRESS ...     | length | type | address
    +-------+----------------    +--------+------+----------
     4 bytes                      2 bytes  2      length

    TDI_ADDRESS_IP          port(2) address(4) zero(8)
    TDI_ADDRESS_IP6         port(2) flow(4) address(16) scope(4)
    TDI_ADDRESS_NETBIOS     name type(2) name(16)
    TDI_ADDRESS_IPX         network(4) node(6) socket(2)
    TDI_ADDRESS_APPLETALK   network(2) node(1) socket(1)

Ports and IPX's fields are in network order, all else in the processor's. Source: ``tdi.h``, Windows DDK.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

NETBIOS_NAME_BYTES = 16
MOST_ADDRESSES = 64
"""The most that ``parse_transport_address`` reads of one TRANSPORT_ADDRESS: its count is from outside."""
_COUNT, _HEAD = Struct("<I"), Struct("<HH")


class AddressType(enum.IntEnum):
    """TDI_ADDRESS_TYPE_*."""

    UNSPEC = 0
    IP = 2
    IPX = 6
    APPLETALK = 16
    NETBIOS = 17
    IP6 = 23


class NetbiosNameType(enum.IntEnum):
    """TDI_ADDRESS_NETBIOS_TYPE_*."""

    UNIQUE = 0
    GROUP = 1
    QUICK_UNIQUE = 2
    QUICK_GROUP = 3


class AddressError(ValueError):
    """Bytes or fields that are no address of their type."""


class TaAddress(NamedTuple):
    """TA_ADDRESS: a type and its bytes, as nobody has looked into them."""

    address_type: int
    data: bytes

    def emit(self) -> bytes:
        """Return it with its length and type in front."""
        return _HEAD.pack(len(self.data), self.address_type) + self.data


class TdiAddress:
    """An address of any type. ``TYPE`` is its TDI_ADDRESS_TYPE; what is equal is the same address."""

    __slots__ = ()
    TYPE: ClassVar[int]

    def emit(self) -> bytes:
        """Return the bytes of its type."""
        raise NotImplementedError

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the bytes of its type. AddressError."""
        raise NotImplementedError

    @property
    def is_any(self) -> bool:
        """Whether it names nobody: the transport chooses."""
        raise NotImplementedError

    @property
    def ta(self) -> TaAddress:
        """The address as TRANSPORT_ADDRESS holds it."""
        return TaAddress(self.TYPE, self.emit())


@dataclass(frozen=True, slots=True)
class InternetAddress(TdiAddress):
    """What both versions of IP have: ``address`` in network order, all zero for any, and a port."""

    LENGTH: ClassVar[int]

    address: bytes
    port: int = 0

    def __post_init__(self) -> None:
        """Check the fields. AddressError."""
        if len(self.address) != self.LENGTH:
            raise AddressError(f"an address of {len(self.address)} bytes, not {self.LENGTH}")
        if not 0 <= self.port <= 0xFFFF:
            raise AddressError(f"port {self.port}")

    @property
    def is_any(self) -> bool:
        """Whether the address is unspecified; the port may be given."""
        return not any(self.address)

    @property
    def interface(self) -> int:
        """The index of the interface that the address is on, 0 for none."""
        return 0

    def with_port(self, port: int) -> Self:
        """Return the same address with another port."""
        return replace(self, port=port)


@dataclass(frozen=True, slots=True)
class IpAddress(InternetAddress):
    """TDI_ADDRESS_IP."""

    TYPE: ClassVar[int] = AddressType.IP
    LENGTH: ClassVar[int] = 4
    FORMAT: ClassVar[Struct] = Struct(">H4s8x")

    def emit(self) -> bytes:
        """Return the 14 bytes."""
        return self.FORMAT.pack(self.port, self.address)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read them; sin_zero is not looked at. AddressError."""
        if len(data) < cls.FORMAT.size:
            raise AddressError(f"TDI_ADDRESS_IP of {len(data)} bytes")
        port, address = cls.FORMAT.unpack_from(data)
        return cls(address, port)


@dataclass(frozen=True, slots=True)
class Ip6Address(InternetAddress):
    """TDI_ADDRESS_IP6. ``scope`` is the zone of a link-local address: an interface index."""

    TYPE: ClassVar[int] = AddressType.IP6
    LENGTH: ClassVar[int] = 16

    scope: int = 0
    flow: int = 0

    def __post_init__(self) -> None:
        """Check the fields. AddressError."""
        if len(self.address) != self.LENGTH or not 0 <= self.port <= 0xFFFF:
            raise AddressError(f"an address of {len(self.address)} bytes, port {self.port}")
        if not (0 <= self.scope < 1 << 32 and 0 <= self.flow < 1 << 32):
            raise AddressError(f"scope {self.scope}, flow {self.flow}")

    @property
    def interface(self) -> int:
        """The zone."""
        return self.scope

    def emit(self) -> bytes:
        """Return the 26 bytes."""
        port, flow, scope = self.port.to_bytes(2), self.flow.to_bytes(4), self.scope.to_bytes(4, "little")
        return port + flow + self.address + scope

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read them. AddressError."""
        if len(data) < 26:
            raise AddressError(f"TDI_ADDRESS_IP6 of {len(data)} bytes")
        scope, flow = int.from_bytes(data[22:26], "little"), int.from_bytes(data[2:6])
        return cls(data[6:22], int.from_bytes(data[:2]), scope, flow)


@dataclass(frozen=True, slots=True)
class NetbiosName(TdiAddress):
    """TDI_ADDRESS_NETBIOS: 16 bytes, the last the suffix. All zero: any name of ours."""

    TYPE: ClassVar[int] = AddressType.NETBIOS
    FORMAT: ClassVar[Struct] = Struct("<H16s")

    name: bytes
    kind: NetbiosNameType = NetbiosNameType.UNIQUE

    def __post_init__(self) -> None:
        """Check the fields. AddressError."""
        if len(self.name) != NETBIOS_NAME_BYTES:
            raise AddressError(f"a NetBIOS name of {len(self.name)} bytes")

    @classmethod
    def of(cls, text: str, suffix: int = 0, kind: NetbiosNameType = NetbiosNameType.UNIQUE) -> Self:
        """Return a name for people, in upper case, with blanks to its suffix. AddressError."""
        try:
            raw = text.upper().encode("cp437")
        except UnicodeEncodeError as error:
            raise AddressError(f"{text!r} is no NetBIOS name") from error
        if len(raw) >= NETBIOS_NAME_BYTES or not 0 <= suffix <= 0xFF:
            raise AddressError(f"{text!r} <{suffix:02X}> is no NetBIOS name")
        return cls(raw.ljust(NETBIOS_NAME_BYTES - 1) + bytes((suffix,)), kind)

    @property
    def is_any(self) -> bool:
        """Whether it is all zero."""
        return not any(self.name)

    def emit(self) -> bytes:
        """Return the 18 bytes."""
        return self.FORMAT.pack(self.kind, self.name)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read them. AddressError, also for a name type that there is not."""
        if len(data) < cls.FORMAT.size:
            raise AddressError(f"TDI_ADDRESS_NETBIOS of {len(data)} bytes")
        kind, name = cls.FORMAT.unpack_from(data)
        if kind not in set(NetbiosNameType):
            raise AddressError(f"NetBIOS name type {kind}")
        return cls(name, NetbiosNameType(kind))


@dataclass(frozen=True, slots=True)
class IpxAddress(TdiAddress):
    """TDI_ADDRESS_IPX: network 0 is this one, node all zero any."""

    TYPE: ClassVar[int] = AddressType.IPX
    FORMAT: ClassVar[Struct] = Struct(">I6sH")

    network: int
    node: bytes
    socket: int = 0

    def __post_init__(self) -> None:
        """Check the fields. AddressError."""
        if len(self.node) != 6 or not 0 <= self.network < 1 << 32 or not 0 <= self.socket <= 0xFFFF:
            raise AddressError(f"IPX {self.network:#x}.{self.node.hex()}.{self.socket:#x}")

    @property
    def is_any(self) -> bool:
        """Whether network and node are zero; the socket may be given."""
        return not self.network and not any(self.node)

    def emit(self) -> bytes:
        """Return the 12 bytes."""
        return self.FORMAT.pack(self.network, self.node, self.socket)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read them. AddressError."""
        if len(data) < cls.FORMAT.size:
            raise AddressError(f"TDI_ADDRESS_IPX of {len(data)} bytes")
        return cls(*cls.FORMAT.unpack_from(data))


@dataclass(frozen=True, slots=True)
class AppletalkAddress(TdiAddress):
    """TDI_ADDRESS_APPLETALK."""

    TYPE: ClassVar[int] = AddressType.APPLETALK
    FORMAT: ClassVar[Struct] = Struct("<HBB")

    network: int
    node: int
    socket: int = 0

    def __post_init__(self) -> None:
        """Check the fields. AddressError."""
        if not (0 <= self.network <= 0xFFFF and 0 <= self.node <= 0xFF and 0 <= self.socket <= 0xFF):
            raise AddressError(f"AppleTalk {self.network}.{self.node}:{self.socket}")

    @property
    def is_any(self) -> bool:
        """Whether network and node are zero; the socket may be given."""
        return not self.network and not self.node

    def emit(self) -> bytes:
        """Return the 4 bytes."""
        return self.FORMAT.pack(self.network, self.node, self.socket)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read them. AddressError."""
        if len(data) < cls.FORMAT.size:
            raise AddressError(f"TDI_ADDRESS_APPLETALK of {len(data)} bytes")
        return cls(*cls.FORMAT.unpack_from(data))


TYPES: dict[int, type[TdiAddress]] = {
    kind.TYPE: kind for kind in (IpAddress, Ip6Address, NetbiosName, IpxAddress, AppletalkAddress)
}
"""The types that TDI itself knows. A transport may have others: ``TaAddress`` carries them."""


def internet(address: bytes, port: int = 0, scope: int = 0) -> InternetAddress:
    """Return an address of the IP version that its length says; ``scope`` is IPv6's. AddressError."""
    if len(address) == IpAddress.LENGTH:
        return IpAddress(address, port)
    return Ip6Address(address, port, scope)


def parse_address(found: TaAddress) -> TdiAddress:
    """Return a TA_ADDRESS of a type that TDI knows. AddressError."""
    kind = TYPES.get(found.address_type)
    if kind is None:
        raise AddressError(f"address type {found.address_type}")
    return kind.parse(found.data)


def emit_transport_address(addresses: Sequence[TdiAddress]) -> bytes:
    """Return a TRANSPORT_ADDRESS."""
    return _COUNT.pack(len(addresses)) + b"".join(one.ta.emit() for one in addresses)


def parse_transport_address(raw: bytes) -> list[TaAddress]:
    """Read a TRANSPORT_ADDRESS, whatever its types. AddressError: it is cut, or has too many."""
    if len(raw) < _COUNT.size:
        raise AddressError("a TRANSPORT_ADDRESS without its count")
    (count,) = _COUNT.unpack_from(raw)
    if count > MOST_ADDRESSES:
        raise AddressError(f"{count} addresses")
    found, at = [], _COUNT.size
    for _ in range(count):
        if len(raw) < at + _HEAD.size:
            raise AddressError("a TA_ADDRESS without its head")
        length, kind = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        if len(raw) < at + length:
            raise AddressError(f"a TA_ADDRESS of {length} bytes, cut to {len(raw) - at}")
        found.append(TaAddress(kind, raw[at : at + length]))
        at += length
    return found
