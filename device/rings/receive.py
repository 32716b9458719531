"""Receive descriptors: legacy, extended, packet split (datasheet, Receive)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar


class RxStatus(enum.IntFlag):
    """The low bits of the status, the same in every format; a legacy descriptor has the first 8."""

    NONE = 0
    DD = 1 << 0  # the descriptor is done
    EOP = 1 << 1  # the frame ends here
    IXSM = 1 << 2  # ignore the checksum bits
    VP = 1 << 3  # a VLAN tag was stripped into the special field
    UDPCS = 1 << 4  # a UDP checksum was verified
    TCPCS = 1 << 5  # a TCP (extended: or UDP) checksum was verified
    IPCS = 1 << 6  # the IPv4 header checksum was verified
    PIF = 1 << 7  # passed by an inexact filter
    TST = 1 << 8  # a timestamp of this frame is held (IEEE 1588)
    IPIDV = 1 << 9  # the IP identification is valid
    UDPV = 1 << 10  # the fragment checksum is valid
    ACK = 1 << 15  # a TCP ACK was identified


class RxPacket(enum.IntEnum):
    """The packet type, bits 19:16 of an extended status."""

    MAC = 0
    IPV4 = 1
    IPV4_TRANSPORT = 2  # TCP or UDP
    IPV6 = 5
    IPV6_TRANSPORT = 6


RX_PACKET_SHIFT = 16


class RxError(enum.IntFlag):
    """The error byte of a legacy descriptor; bits 31:24 of an extended status."""

    NONE = 0
    CE = 1 << 0  # CRC or alignment
    SE = 1 << 1  # symbol
    SEQ = 1 << 2  # sequence
    CXE = 1 << 4  # carrier extension
    TCPE = 1 << 5  # TCP or UDP checksum
    IPE = 1 << 6  # IP checksum
    RXE = 1 << 7  # receive data


@dataclass(frozen=True, slots=True)
class LegacyRx:
    """The legacy receive descriptor.

    ::

        63          48 47    40 39    32 31            16 15            0
        +---------------------------------------------------------------+
      0 |                      buffer address                           |
        +-------------+--------+--------+----------------+--------------+
      8 |   special   | errors | status | packet checksum|    length    |
        +-------------+--------+--------+----------------+--------------+
    """

    FORMAT: ClassVar[Struct] = Struct("<QHHBBH")

    address: int
    length: int = 0
    checksum: int = 0
    status: int = 0
    errors: int = 0
    special: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> LegacyRx:
        """Read the 16 bytes in guest memory."""
        return cls(*cls.FORMAT.unpack(raw))

    def emit(self) -> bytes:
        """Return the 16 bytes as they lie in guest memory."""
        return self.FORMAT.pack(
            self.address, self.length, self.checksum, self.status, self.errors, self.special
        )


@dataclass(frozen=True, slots=True)
class ExtendedRxRead:
    """The extended receive descriptor as a driver gives it: an address and zeros."""

    FORMAT: ClassVar[Struct] = Struct("<QQ")

    address: int
    reserved: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> ExtendedRxRead:
        """Read the 16 bytes a driver wrote."""
        return cls(*cls.FORMAT.unpack(raw))

    def emit(self) -> bytes:
        """Return the 16 bytes as they lie in guest memory."""
        return self.FORMAT.pack(self.address, self.reserved)


@dataclass(frozen=True, slots=True)
class ExtendedRx:
    """The extended receive descriptor as the device writes it back.

    ::

        63            48 47            32 31            13 12  8 7  4 3   0
        +--------------------------------+-------------------------------+
      0 | RSS hash, or packet checksum   |      -          |queue| -|type |
        | (high half) and IP id (low)    |                               |
        +----------------+---------------+--------+----------------------+
      8 |    VLAN tag    |    length     | errors |       status         |
        +----------------+---------------+--------+----------------------+
         63            48 47           32 31    20 19                   0
    """

    FORMAT: ClassVar[Struct] = Struct("<IHHIHH")

    mrq: int = 0
    ip_id: int = 0
    checksum: int = 0
    status: int = 0  # errors included: RxError << 24
    length: int = 0
    vlan: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> ExtendedRx:
        """Read the 16 bytes in guest memory."""
        return cls(*cls.FORMAT.unpack(raw))

    def emit(self) -> bytes:
        """Return the 16 bytes as they lie in guest memory."""
        return self.FORMAT.pack(self.mrq, self.ip_id, self.checksum, self.status, self.length, self.vlan)

    @property
    def hash(self) -> int:
        """The RSS hash, when RXCSUM.PCSD is set."""
        return self.checksum << 16 | self.ip_id

    @property
    def errors(self) -> RxError:
        """The error bits."""
        return RxError(self.status >> 24)


@dataclass(frozen=True, slots=True)
class SplitRxRead:
    """The packet split descriptor as a driver gives it: 32 bytes, four buffers.

    An address with bit 0 set is no buffer.
    """

    FORMAT: ClassVar[Struct] = Struct("<QQQQ")

    addresses: tuple[int, int, int, int]

    @classmethod
    def parse(cls, raw: bytes) -> SplitRxRead:
        """Read the 32 bytes a driver wrote."""
        first, second, third, fourth = cls.FORMAT.unpack(raw)
        return cls((first, second, third, fourth))

    def emit(self) -> bytes:
        """Return the 32 bytes as they lie in guest memory."""
        return self.FORMAT.pack(*self.addresses)


@dataclass(frozen=True, slots=True)
class SplitRx:
    """The packet split descriptor as the device writes it back.

    ::

        63            48 47            32 31            16 15            0
      0 | RSS hash / checksum and IP id  |              MRQ              |
      8 |    VLAN tag    |   length 0    |       errors and status       |
     16 |   length 3     |   length 2    |   length 1     | HSPH | HLEN   |
     24 |                            reserved                            |
    """

    FORMAT: ClassVar[Struct] = Struct("<IHHIHHHHHHQ")
    HEADER_SPLIT: ClassVar[int] = 1 << 15

    mrq: int = 0
    ip_id: int = 0
    checksum: int = 0
    status: int = 0
    length0: int = 0
    vlan: int = 0
    header_status: int = 0
    length1: int = 0
    length2: int = 0
    length3: int = 0
    reserved: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> SplitRx:
        """Read the 32 bytes in guest memory."""
        return cls(*cls.FORMAT.unpack(raw))

    def emit(self) -> bytes:
        """Return the 32 bytes as they lie in guest memory."""
        return self.FORMAT.pack(
            self.mrq,
            self.ip_id,
            self.checksum,
            self.status,
            self.length0,
            self.vlan,
            self.header_status,
            self.length1,
            self.length2,
            self.length3,
            self.reserved,
        )
