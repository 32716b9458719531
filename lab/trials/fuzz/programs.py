"""Hostile ring programs: what a guest could put into registers, rings and frames, from one number.

Pure: a seed gives a ``Program``, always the same. ``duel`` runs it. Addresses, lengths and heads are drawn
from what broke other models (the fault table of docs/security.md) far more often than chance would.
"""

from __future__ import annotations

import functools
import itertools
import random
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from device.engine.contract import InterruptMode
from device.regs.bank import Owner
from device.regs.nic import NIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BASE: Final = 0x10_0000
RAM_BYTES: Final = 0x8000
TX_RING, RX_RING = (0x0000, 0x0400), (0x0800, 0x0C00)
TX_DATA, TX_DATA_END = 0x1000, 0x4000
RX_DATA, RX_DATA_END = 0x4000, 0x8000
READ, WRITE = 1, 2
OURS: Final = bytes.fromhex("525400825701")

OFFSETS: Final = tuple(
    offset
    for register in NIC
    if register.owner is Owner.ENGINE and register.name != "PBM"
    for offset in (*register.offsets(), *register.aliases)
)
_LAYOUT: Final = frozenset(
    offset
    for register in NIC
    if register.name[:5] in {"RDBAL", "RDBAH", "TDBAL", "TDBAH"}
    for offset in (*register.offsets(), *register.aliases)
)
_WILD: Final = (0, 1, 7, BASE - 8, BASE + RAM_BYTES - 8, 0xFEBC_0000, 1 << 40, (1 << 64) - 16, (1 << 64) - 1)
_LENGTHS: Final = (0, 1, 3, 13, 14, 17, 59, 60, 61, 64, 1514, 1518, 1522, 4095, 4096, 9000, 0xFFFF)
_WORDS: Final = (0, 1, 0x7F, 0x80, 0xFFFF, 0x8000_0000, 0xFFFF_FFFF)
_TYPES: Final = (b"\x08\x00\x45", b"\x86\xdd\x60", b"\x81\x00\x00", b"\x88\x08\x00", b"\x88\xf7\x00")
_DESCRIPTOR: Final = struct.Struct("<QII")
_DEXT, _EOP, _IFCS, _TSE, _RS = 1 << 29, 1 << 24, 1 << 25, 1 << 26, 1 << 27
_DTYP_DATA: Final = 1 << 20

Action = tuple[object, ...]


def at(name: str, index: int = 0) -> int:
    """Return the offset of a register."""
    return NIC[name].at(index)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of guest memory that is mapped: offsets in RAM, what the card may do, and whether by address."""

    start: int
    end: int
    protection: int
    direct: bool
    """By address; else each access is asked of the client, as for memory that came without an fd."""


@dataclass(slots=True)
class Program:
    """What a hostile guest does, and to what memory."""

    seed: int
    memory: bytes
    windows: tuple[Window, ...]
    offload: bool
    overlapping: bool
    """Rings, buffers and data may share bytes: what is read first decides, and nothing is compared."""
    actions: list[Action] = field(default_factory=list)


class _Draw:
    """Draws the parts of one program."""

    def __init__(self, seed: int, *, overlapping: bool) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a seed is to say the whole of a failure
        self.overlapping = overlapping
        self.now = 0

    def word(self) -> int:
        return self.rng.choice(_WORDS) if self.rng.random() < 0.4 else self.rng.getrandbits(32)

    def length(self) -> int:
        return self.rng.choice(_LENGTHS) if self.rng.random() < 0.6 else self.rng.randrange(3000)

    def address(self, low: int, high: int) -> int:
        """Return a bus address: mostly inside an area, often across its end, sometimes anywhere."""
        chance = self.rng.random()
        if chance < 0.08:
            return self.rng.choice(_WILD)
        if self.overlapping and chance < 0.5:
            return BASE + self.rng.randrange(RAM_BYTES)
        return BASE + self.rng.randrange(low, high)

    # -- descriptors -------------------------------------------------------------------------------

    def context(self) -> bytes:
        rng = self.rng
        ip, tcp = 14, rng.choice((34, 34, 54))
        fields = [ip, ip + 10, tcp - 1 & 0xFFFF, tcp, tcp + 16, 0]
        if rng.random() < 0.5:
            spoilt = rng.randrange(6)
            fields[spoilt] = rng.getrandbits(16) if spoilt in (2, 5) else rng.getrandbits(8)
        ipcss, ipcso, ipcse, tucss, tucso, tucse = fields
        low = ipcss | (ipcso & 0xFF) << 8 | ipcse << 16 | tucss << 32 | (tucso & 0xFF) << 40 | tucse << 48
        command = _DEXT | (_TSE if rng.random() < 0.6 else 0) | rng.choice((0, _EOP, _EOP | _IFCS, _IFCS))
        header = rng.choice((0, 1, 14, tcp + 20, tcp + 20, tcp + 8, 255))
        mss = rng.choice((0, 1, 2, 8, 100, 536, 1460, 0xFFFF))
        return _DESCRIPTOR.pack(low, command | rng.getrandbits(20), header << 8 | mss << 16)

    def transmit(self) -> bytes:
        rng = self.rng
        chance = rng.random()
        if chance < 0.2:
            return self.context()
        if chance < 0.25:
            return bytes(16)
        if chance < 0.3:
            return rng.randbytes(16)
        command = _IFCS if rng.random() < 0.85 else 0
        command |= (_EOP if rng.random() < 0.6 else 0) | (_RS if rng.random() < 0.5 else 0)
        command |= (1 << 30 if rng.random() < 0.1 else 0) | (1 << 31 if rng.random() < 0.1 else 0)
        command |= _TSE if rng.random() < 0.35 else 0
        length = self.length()
        if chance < 0.75:
            command |= _DEXT | _DTYP_DATA
            if rng.random() < 0.03:
                length = rng.choice((0x1_0000, 0x4_0000, 0xF_FFFF))
        address = self.address(TX_DATA, TX_DATA_END)
        options = rng.choice((0, 0, 1, 2, 3, 3)) << 8 | rng.getrandbits(4) << 4
        return _DESCRIPTOR.pack(address, command | length, options | rng.getrandbits(16) << 16)

    def receive_buffers(self, count: int) -> bytes:
        rng = self.rng
        null = rng.random() < 0.05
        # In one program either the buffers keep clear of one another, or their overlap is not compared.
        step = (RX_DATA_END - RX_DATA) // count
        return b"".join(
            (
                0
                if null or rng.random() < 0.06
                else self.address(RX_DATA, RX_DATA_END)
                if self.overlapping
                else rng.choice(_WILD)
                if rng.random() < 0.04
                else BASE + RX_DATA + n * step
            ).to_bytes(8, "little")
            for n in range(count)
        )

    def frame(self) -> bytes:
        rng = self.rng
        target = rng.choice((OURS, OURS, OURS, b"\xff" * 6, b"\x01\x80\xc2\x00\x00\x01", rng.randbytes(6)))
        head = target + rng.randbytes(6) + rng.choice(_TYPES)
        length = min(self.length() * (2 if rng.random() < 0.02 else 1), 20000)
        body = rng.randbytes(min(length, 80))
        if len(body) > 9 and rng.random() < 0.7:
            body = body[:8] + rng.choice((b"\x06", b"\x11", b"\x2c")) + body[9:]
        return (head + body).ljust(length, b"\x5a")[: max(length, rng.choice((0, 1, 15, 40)))]

    # -- the whole -------------------------------------------------------------------------------------

    def memory(self) -> bytes:
        rng = self.rng
        memory = bytearray(rng.randbytes(TX_DATA_END)).ljust(RAM_BYTES, b"\x5a")
        for start in TX_RING:
            count = rng.choice((8, 16, 40))
            memory[start : start + 16 * count] = b"".join(self.transmit() for _ in range(count))
        for start in RX_RING:
            memory[start : start + 0x400] = self.receive_buffers(64) * 2
        where = TX_DATA
        while where < TX_DATA_END - 128:
            one = self.frame()[:1600]
            memory[where : where + len(one)] = one
            where += max(256, len(one))
        del memory[RAM_BYTES:]
        return bytes(memory)

    def windows(self) -> tuple[Window, ...]:
        """Cut memory into up to four adjacent parts, of which some may be missing or one-way."""
        rng = self.rng
        if rng.random() < 0.5:
            return (Window(0, RAM_BYTES, READ | WRITE, rng.random() < 0.8),)
        cuts = sorted({0, RAM_BYTES, *(rng.randrange(0x1000, RAM_BYTES, 0x10) for _ in range(3))})
        out = []
        for start, end in itertools.pairwise(cuts):
            protection = rng.choice((READ | WRITE, READ | WRITE, READ | WRITE, READ, WRITE))
            if start == 0 or rng.random() < 0.85:
                out.append(Window(start, end, protection if start else READ | WRITE, rng.random() < 0.8))
        return tuple(out)

    def rings(self) -> list[Action]:
        """Program both directions' rings: mostly as a driver would, else as hostile as one can."""
        rng = self.rng
        out: list[Action] = []
        for queue in range(2):
            for prefix, place in (("TD", TX_RING[queue]), ("RD", RX_RING[queue])):
                base, count = BASE + place, rng.choice((8, 8, 16, 64))
                chance = rng.random()
                if chance < 0.06:
                    base = rng.choice(_WILD)
                elif chance < 0.1:
                    base = BASE + RAM_BYTES - 16 * rng.randrange(1, 4)  # the ring's end is beyond memory's
                if rng.random() < 0.0003:
                    count = 0xFFF8
                if self.overlapping and rng.random() < 0.5:
                    base = BASE + rng.randrange(RAM_BYTES)
                elif not self.overlapping and prefix == "RD" and base == BASE + RAM_BYTES - 16:
                    base = BASE + place
                head, tail = rng.randrange(count), rng.randrange(count)
                if rng.random() < 0.1:
                    head = rng.choice((count, count + 1, 0xFFFF))
                if rng.random() < 0.1:
                    tail = rng.choice((count, count + 1, 0xFFFF))
                out += [
                    ("write", at(f"{prefix}BAL{queue}"), base & 0xFFFF_FFFF),
                    ("write", at(f"{prefix}BAH{queue}"), base >> 32),
                    ("write", at(f"{prefix}LEN{queue}"), count * 16),
                    ("write", at(f"{prefix}H{queue}"), head),
                    ("write", at(f"{prefix}T{queue}"), tail),
                ]
        return out

    def settings(self) -> list[Action]:
        rng = self.rng
        rctl = NIC["RCTL"]["EN"].mask | rng.getrandbits(32) & rng.getrandbits(32)
        if rng.random() < 0.75:
            rctl &= ~NIC["RCTL"]["LBM"].mask
        if rng.random() < 0.5:
            rctl |= NIC["RCTL"]["UPE"].mask | NIC["RCTL"]["LPE"].mask
        return [
            ("write", at("RAL"), int.from_bytes(OURS[:4], "little")),
            ("write", at("RAH"), int.from_bytes(OURS[4:], "little") | 1 << 31),
            ("write", at("FCAL"), 0x00C2_8001),
            ("write", at("FCAH"), 0x0100),
            ("write", at("FCT"), 0x8808),
            ("write", at("RFCTL"), rng.getrandbits(18) if rng.random() < 0.5 else 0x8000),
            ("write", at("PSRCTL"), rng.choice((0, 0x0004_0402, 0x0101_0101, rng.getrandbits(30)))),
            ("write", at("RXCSUM"), rng.getrandbits(14)),
            ("write", at("MRQC"), rng.choice((0, 0, 1 | 0x1F << 16))),
            ("write", at("IMS"), self.word()),
            ("write", at("IVAR"), rng.choice((0, 0x0A98_8888, 0x800C_BA98))),
            ("write", at("TIDV"), rng.choice((0, 0, 8))),
            ("write", at("RDTR"), rng.choice((0, 0, 8))),
            ("poke", at("CTRL"), self.word()),
            ("poke", at("CTRL_EXT"), self.word()),
            ("write", at("TCTL"), rng.choice((2, 0xA, 0xA, self.word() | 2))),
            ("write", at("RCTL"), rctl),
        ]

    def step(self) -> Action:
        rng = self.rng
        return rng.choices(_STEPS, _WEIGHTS)[0](self)

    def doorbell(self) -> Action:
        name = self.rng.choice(("TDT0", "TDT0", "TDT1", "RDT0", "RDT1", "TDH0", "RDH0"))
        value = (
            self.rng.choice((0, 7, 8, 63, 64, 0xFFFF)) if self.rng.random() < 0.3 else self.rng.randrange(64)
        )
        return ("write", at(name), value)

    def register(self) -> Action:
        offset = self.rng.choice(OFFSETS)
        if offset in _LAYOUT and not self.overlapping:
            offset = at("RCTL")
        return ("write", offset, self.word())

    def arrival(self) -> Action:
        return ("receive", self.frame())

    def later(self) -> Action:
        self.now += self.rng.choice((1, 256, 10_000, 1_000_000, 10_000_000))
        return ("advance", self.now)

    def surroundings(self) -> Action:
        rng = self.rng
        kind = rng.choice(("mode", "mode", "link", "loopback", "mastering", "causes", "reset"))
        if kind == "mode":
            return (kind, rng.choice(list(InterruptMode)))
        if kind == "causes":
            return (kind, rng.getrandbits(25))
        if kind == "reset":
            return (kind,)
        return (kind, rng.random() < 0.5)


_TABLE: Final[Sequence[tuple[int, Callable[[_Draw], Action]]]] = (
    (5, _Draw.doorbell),
    (5, lambda _: ("run",)),
    (1, lambda _: ("step",)),
    (4, _Draw.arrival),
    (2, _Draw.register),
    (1, lambda draw: ("read", draw.rng.choice(OFFSETS))),
    (1, _Draw.later),
    (1, _Draw.surroundings),
)
_STEPS: Final = tuple(step for _, step in _TABLE)
_SHARE: Final = 8
_WEIGHTS: Final = tuple(weight for weight, _ in _TABLE)


@functools.lru_cache(maxsize=4)
def _memory(picture: int) -> bytes:
    """Return a picture of guest memory; several programs share one, which costs as much as running them."""
    return _Draw(~picture, overlapping=picture % 7 == 0).memory()


def make(seed: int) -> Program:
    """Return the program that a seed stands for."""
    picture = seed // _SHARE
    overlapping = picture % 7 == 0
    draw = _Draw(seed, overlapping=overlapping)
    rng = draw.rng
    program = Program(seed, _memory(picture), draw.windows(), rng.random() < 0.5, overlapping)
    program.actions = [("mode", rng.choice(list(InterruptMode))), *draw.rings(), *draw.settings()]
    program.actions += [draw.step() for _ in range(rng.randrange(2, 24))]
    return program
