"""Transmit descriptors: legacy, TCP/IP context, TCP/IP data (datasheet, Transmit)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from struct import Struct
from typing import ClassVar


class TxCommand(enum.IntFlag):
    """The command byte: CMD of a legacy, TUCMD of a context, DCMD of a data descriptor."""

    NONE = 0
    EOP = 1 << 0  # last descriptor of the frame (context: TCP, not UDP)
    IFCS = 1 << 1  # append the FCS (context: IPv4, not IPv6)
    IC = 1 << 2  # legacy: insert a checksum; data and context: TSE, segment
    RS = 1 << 3  # report status: write DD back
    DEXT = 1 << 5  # not the legacy format
    VLE = 1 << 6  # insert the VLAN tag
    IDE = 1 << 7  # delay the interrupt


TCP = TxCommand.EOP
IP = TxCommand.IFCS
TSE = TxCommand.IC

DD = 1  # status: done


class TxStatus(enum.IntFlag):
    """STA of a legacy or data descriptor; collisions are of half duplex, and this card has none."""

    NONE = 0
    DD = DD  # done: the driver may have it back
    EC = 1 << 1  # excess collisions
    LC = 1 << 2  # a late collision


_DTYP_CONTEXT = 0
_DTYP_DATA = 1


class TxOptions(enum.IntFlag):
    """POPTS of a data descriptor."""

    NONE = 0
    IXSM = 1 << 0  # insert the IP checksum
    TXSM = 1 << 1  # insert the TCP or UDP checksum


@dataclass(frozen=True, slots=True)
class LegacyTx:
    """The legacy transmit descriptor.

    ::

        63          48 47    40 39    32 31    24 23    16 15           0
        +---------------------------------------------------------------+
      0 |                      buffer address                           |
        +-------------+--------+--------+--------+--------+-------------+
      8 |   special   |  CSS   |  STA   |  CMD   |  CSO   |   length    |
        +-------------+--------+--------+--------+--------+-------------+
    """

    FORMAT: ClassVar[Struct] = Struct("<QHBBBBH")

    address: int
    length: int
    cso: int = 0
    command: TxCommand = TxCommand.NONE
    status: int = 0
    css: int = 0
    special: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> LegacyTx:
        """Read the 16 bytes a driver wrote."""
        address, length, cso, cmd, sta, css, special = cls.FORMAT.unpack(raw)
        return cls(address, length, cso, TxCommand(cmd), sta, css, special)

    def emit(self) -> bytes:
        """Return the 16 bytes as they lie in guest memory."""
        return self.FORMAT.pack(
            self.address, self.length, self.cso, self.command, self.status, self.css, self.special
        )

    def done(self) -> LegacyTx:
        """Return the descriptor as the device writes it back."""
        return replace(self, status=self.status | DD)


@dataclass(frozen=True, slots=True)
class ContextTx:
    """The TCP/IP context descriptor (DEXT = 1, DTYP = 0): where headers and checksums are.

    ::

        63            48 47    40 39    32 31            16 15     8 7      0
        +-----------------------------------------------------------------+
      0 |     TUCSE     | TUCSO  | TUCSS  |     IPCSE      | IPCSO | IPCSS |
        +---------------+--------+--------+------+---------+-------+-------+
      8 |      MSS      | HDRLEN |RSV|STA | TUCMD|DTYP| PAYLEN              |
        +---------------+--------+--------+------+----+--------------------+
         63           48 47    40 39    32 31  24 23 20 19                0
    """

    FORMAT: ClassVar[Struct] = Struct("<BBHBBHIBBH")

    ipcss: int = 0
    ipcso: int = 0
    ipcse: int = 0
    tucss: int = 0
    tucso: int = 0
    tucse: int = 0
    paylen: int = 0
    command: TxCommand = TxCommand.DEXT
    status: int = 0
    hdrlen: int = 0
    mss: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> ContextTx:
        """Read the 16 bytes a driver wrote."""
        ipcss, ipcso, ipcse, tucss, tucso, tucse, word, sta, hdrlen, mss = cls.FORMAT.unpack(raw)
        return cls(
            ipcss,
            ipcso,
            ipcse,
            tucss,
            tucso,
            tucse,
            word & 0xF_FFFF,
            TxCommand(word >> 24),
            sta,
            hdrlen,
            mss,
        )

    def emit(self) -> bytes:
        """Return the 16 bytes as they lie in guest memory."""
        word = self.paylen & 0xF_FFFF | _DTYP_CONTEXT << 20 | self.command << 24
        return self.FORMAT.pack(
            self.ipcss,
            self.ipcso,
            self.ipcse,
            self.tucss,
            self.tucso,
            self.tucse,
            word,
            self.status,
            self.hdrlen,
            self.mss,
        )

    def done(self) -> ContextTx:
        """Return the descriptor as the device writes it back."""
        return replace(self, status=self.status | DD)


@dataclass(frozen=True, slots=True)
class DataTx:
    """The TCP/IP data descriptor (DEXT = 1, DTYP = 1).

    ::

        63          48 47    40 39 36 35  32 31    24 23  20 19          0
        +----------------------------------------------------------------+
      0 |                       buffer address                           |
        +-------------+--------+-----+------+--------+------+------------+
      8 |   special   | POPTS  | RSV | STA  |  DCMD  | DTYP |   DTALEN   |
        +-------------+--------+-----+------+--------+------+------------+

    Bit 4 of the byte of STA and RSV asks for an IEEE 1588 timestamp (EXTCMD.TS; e1000_tx_queue of Linux).
    """

    FORMAT: ClassVar[Struct] = Struct("<QIBBH")
    TS: ClassVar[int] = 1 << 4

    address: int
    length: int
    command: TxCommand = TxCommand.DEXT
    status: int = 0
    options: TxOptions = TxOptions.NONE
    special: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> DataTx:
        """Read the 16 bytes a driver wrote."""
        address, word, sta, popts, special = cls.FORMAT.unpack(raw)
        return cls(address, word & 0xF_FFFF, TxCommand(word >> 24), sta, TxOptions(popts), special)

    def emit(self) -> bytes:
        """Return the 16 bytes as they lie in guest memory."""
        word = self.length & 0xF_FFFF | _DTYP_DATA << 20 | self.command << 24
        return self.FORMAT.pack(self.address, word, self.status, self.options, self.special)

    def done(self) -> DataTx:
        """Return the descriptor as the device writes it back."""
        return replace(self, status=self.status | DD)


TxDescriptor = LegacyTx | ContextTx | DataTx


def parse(raw: bytes) -> TxDescriptor:
    """Read 16 bytes in the format they say they have.

    A DTYP above 1 is not defined; it is read as a data descriptor, as QEMU's model does
    (hw/net/e1000e_core.c, e1000e_process_tx_desc).
    """
    word = int.from_bytes(raw[8:12], "little")
    if not word >> 24 & TxCommand.DEXT:
        return LegacyTx.parse(raw)
    if (word >> 20) & 0xF == _DTYP_CONTEXT:
        return ContextTx.parse(raw)
    return DataTx.parse(raw)
