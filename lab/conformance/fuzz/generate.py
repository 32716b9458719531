"""Makes random programs from a seed: rings set up as a driver does, then anything. It runs none.

``wild`` programs hold illegal values everywhere and are for two cards that must agree in all things. The
others are what a decent driver does, without the features that models are known to disagree on.
"""

from __future__ import annotations

import itertools
import random
import struct
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.rings import transmit
from device.rings.transmit import ContextTx, DataTx, LegacyTx, TxCommand, TxOptions
from lab.conformance import frames
from lab.conformance.fuzz.program import Patch, Read, Send, Step, Wait, Write

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 16
TX_RINGS, RX_RINGS = (0x0000, 0x1000), (0x2000, 0x3000)
TX_DATA, RX_DATA, DATA_BYTES = 0x1_0000, 0x4_0000, 0x2_0000
NOWHERE = 0x7_0000_0000
LINK_NS = 5_000_000_000
DESCRIPTOR = 16

# What both kinds of program read. A decent one reads only what a driver reads.
DECENT_READS = ("TDH0", "TDT0", "RDH0", "RDT0", "RCTL", "TCTL", "IMS", "RAL", "GPTC", "BPTC", "MPTC", "GPRC")
WILD_SKIPS = {"PBM", "FFMT", "FTFT", "FFVT"}  # thousands of words of plain memory would crowd out the rest
WORDS = (0, 1, 0xFFFF_FFFF, 0x8000_0000, 0x7FFF_FFFF, 0xFF, 0xFFFF, 0x5A5A_5A5A)


class Generator:
    """A stream of steps from one seed."""

    def __init__(self, seed: int, *, wild: bool) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - the same program for the same seed is the point
        self._wild = wild
        self._free = TX_DATA  # decent programs do not let buffers overlap
        self._tails = {"TX0": 0, "TX1": 0, "RX0": COUNT - 1, "RX1": COUNT - 1}
        self._offsets = sorted(
            offset
            for register in NIC
            if register.name not in WILD_SKIPS
            for offset in (*register.offsets(), *register.aliases)
        )

    def program(self, steps: int) -> list[Step]:
        """Return a whole program: the setting up, then that many random steps."""
        body: list[Step] = []
        while len(body) < steps:
            body += self._some()
        return [*self._prologue(), *body[:steps]]

    # -- setting up ---------------------------------------------------------------------------------

    def _prologue(self) -> list[Step]:
        def write(name: str, value: int, *, based: bool = False) -> Write:
            return Write(NIC[name].offset, value, based)

        steps: list[Step] = [
            write("CTRL", NIC["CTRL"].reset | 0x40),
            Wait(LINK_NS),
            write("ICR", 0xFFFF_FFFF),
        ]
        for queue in (0, 1):
            steps += [self._buffer(queue, index, legal=True) for index in range(COUNT)]
            for name, base in (("TD", TX_RINGS[queue]), ("RD", RX_RINGS[queue])):
                steps += [
                    write(f"{name}BAL{queue}", base, based=True),
                    write(f"{name}BAH{queue}", 0),
                    write(f"{name}LEN{queue}", COUNT * DESCRIPTOR),
                    write(f"{name}H{queue}", 0),
                    write(f"{name}T{queue}", 0),
                ]
            steps.append(write(f"TXDCTL{queue}", 0x0141_011F))
        extended = not self._wild or self._chance.random() < 0.5
        return [
            *steps,
            write("RFCTL", 0x8000 if extended else 0),
            write("RXCSUM", 0x2300),
            write("TCTL", 0x0003_F0FA),
            write("RCTL", 0x0400_8002 | self._chance.choice((0, 0x18, 0x20) if self._wild else (0, 0x20))),
            write("RDT0", COUNT - 1),
            write("RDT1", COUNT - 1),
        ]

    # -- random steps -------------------------------------------------------------------------------

    def _some(self) -> list[Step]:
        makers: list[tuple[int, Callable[[], list[Step]]]] = [
            (30, self._transmit),
            (20, self._arrive),
            (12, self._refill),
            (14, self._look),
            (6, self._wait),
        ]
        if self._wild:
            makers += [(12, self._scribble), (6, self._garbage), (4, self._index), (1, self._reset)]
        weights = [weight for weight, _ in makers]
        return self._chance.choices([maker for _, maker in makers], weights)[0]()

    def _transmit(self) -> list[Step]:
        queue = 0 if not self._wild or self._chance.random() < 0.8 else 1
        key = f"TX{queue}"
        steps: list[Step] = []
        for raw, data in self._frame_descriptors():
            slot = TX_RINGS[queue] + self._tails[key] * DESCRIPTOR
            # A context descriptor has offsets where the others have an address.
            based = not isinstance(transmit.parse(raw), ContextTx)
            steps += [*data, Patch(slot, raw.hex(), based=based)]
            self._tails[key] = (self._tails[key] + 1) % COUNT
        return [*steps, Write(NIC[f"TDT{queue}"].offset, self._tails[key])]

    def _frame_descriptors(self) -> list[tuple[bytes, list[Step]]]:
        kind = self._chance.choice(("legacy", "data", "checksum", "tso" if self._wild else "legacy"))
        rs = TxCommand.RS if self._chance.random() < 0.7 else TxCommand.NONE
        if self._wild and self._chance.random() < 0.15:
            rs |= TxCommand.IDE
        last = TxCommand.EOP | TxCommand.IFCS | rs
        if kind == "tso":
            length = self._chance.randrange(100, 6000)
            whole = frames.segmentable(length, v6=self._chance.random() < 0.4)
            mss = self._chance.choice((0, 1, 88, 536, 1000, 1460, 9000, 0xFFFF))
            v4 = TxCommand.NONE if whole.v6 else TxCommand.IFCS
            context = ContextTx(
                14, 0 if whole.v6 else 24, 0 if whole.v6 else 33, whole.tcp_at, whole.tcp_at + 16, 0,
                length, TxCommand.DEXT | TxCommand.IC | TxCommand.EOP | v4, 0, whole.header_length, mss,
            )  # fmt: skip
            options = TxOptions.TXSM | (TxOptions.NONE if whole.v6 else TxOptions.IXSM)
            return [(context.emit(), []), *self._cut(whole.frame, last | TxCommand.IC, options)]
        frame = self._out()
        if kind == "legacy":
            return self._legacy(frame, last)
        if kind == "data":
            return self._cut(frame, last, TxOptions.NONE)
        segment = frames.tcp(frames.payload(self._chance.randrange(1 if self._wild else 6, 1200)))
        whole_frame = frames.ethernet(frames.ipv4(segment, frames.TCP), ethertype=frames.ETH_IPV4)
        context = ContextTx(14, 24, 33, 34, 50, 0, command=TxCommand.DEXT | TxCommand.EOP | TxCommand.IFCS)
        bare = frames.put16(whole_frame, 50, frames.ones_sum(frames.pseudo(frames.TCP, len(segment))))
        both = TxOptions.IXSM | TxOptions.TXSM
        return [(context.emit(), []), *self._cut(frames.put16(bare, 24, 0), last, both)]

    def _place(self, data: bytes) -> tuple[int, list[Step]]:
        if self._wild:
            at = TX_DATA + self._chance.randrange(0, DATA_BYTES - len(data))
            return at, [Patch(at, data.hex())]
        if self._free + len(data) > TX_DATA + DATA_BYTES:
            self._free = TX_DATA
        at = self._free
        self._free += len(data) + self._chance.randrange(16)
        return at, [Patch(at, data.hex())]

    def _legacy(self, frame: bytes, command: TxCommand) -> list[tuple[bytes, list[Step]]]:
        if self._wild and self._chance.random() < 0.2:
            command |= self._chance.choice((TxCommand.IC, TxCommand.VLE))
        at, steps = self._place(frame)
        css, cso = self._chance.randrange(64), self._chance.randrange(64)
        raw = LegacyTx(at, len(frame), cso, command, 0, css, self._chance.getrandbits(16))
        return [(raw.emit(), steps)]

    def _cut(self, frame: bytes, command: TxCommand, options: TxOptions) -> list[tuple[bytes, list[Step]]]:
        pieces = self._chance.randrange(1, 4)
        cuts = sorted({0, *(self._chance.randrange(1, len(frame)) for _ in range(pieces - 1)), len(frame)})
        found = []
        for start, stop in itertools.pairwise(cuts):
            at, steps = self._place(frame[start:stop])
            mine = command if stop == len(frame) else command & ~TxCommand.EOP & ~TxCommand.RS
            found.append((DataTx(at, stop - start, mine | TxCommand.DEXT, 0, options).emit(), steps))
        return found

    def _out(self) -> bytes:
        to = self._chance.choice((frames.PEER_MAC, frames.BROADCAST, bytes.fromhex("01005e000001")))
        low = 14 if self._wild else 60
        return frames.ethernet(
            frames.payload(self._chance.randrange(low, 1501) - 14 + 14 * (low > 14)), to=to
        )[:1514]

    def _arrive(self) -> list[Step]:
        to = self._chance.choice(
            (frames.CARD_MAC, frames.CARD_MAC, frames.BROADCAST, bytes.fromhex("02abcdef0001"))
        )
        data = frames.payload(self._chance.randrange(46, 1400), self._chance.randrange(8))
        # Not IP: only our engines agree on IXSM of such a frame.
        unknown = ((data, 0x88B5),) if self._wild else ()
        packet, ethertype = self._chance.choice(
            (
                *unknown,
                (frames.ipv4(frames.tcp(data), frames.TCP), frames.ETH_IPV4),
                (frames.ipv4(frames.udp(data), frames.UDP), frames.ETH_IPV4),
                (frames.ipv6(frames.tcp(data, v6=True), frames.TCP), frames.ETH_IPV6),
            )
        )
        frame = frames.ethernet(packet, to=to, sender=frames.PEER_MAC, ethertype=ethertype)
        if self._wild:
            fate = self._chance.random()
            if fate < 0.1:
                frame = frames.tagged(frame, self._chance.getrandbits(16))
            elif fate < 0.2:
                frame = frame[: self._chance.randrange(14, len(frame))]
            elif fate < 0.3:
                at = self._chance.randrange(12, len(frame) - 1)
                frame = frames.put16(frame, at, self._chance.getrandbits(16))
        return [Send(frames.padded(frame).hex())]

    def _buffer(self, queue: int, index: int, *, legal: bool) -> Patch:
        at = RX_DATA + (queue * COUNT + index) * 2048
        if not legal:
            at = self._chance.choice((at, NOWHERE, at + self._chance.randrange(2048)))
        return Patch(RX_RINGS[queue] + index * DESCRIPTOR, struct.pack("<QQ", at, 0).hex(), based=True)

    def _refill(self) -> list[Step]:
        queue = 0 if not self._wild or self._chance.random() < 0.8 else 1
        key, steps = f"RX{queue}", []
        for _ in range(self._chance.randrange(1, 6)):
            legal = not self._wild or self._chance.random() < 0.9
            steps.append(self._buffer(queue, self._tails[key], legal=legal))
            self._tails[key] = (self._tails[key] + 1) % COUNT
        return [*steps, Write(NIC[f"RDT{queue}"].offset, self._tails[key])]

    def _look(self) -> list[Step]:
        if self._wild:
            return [Read(self._chance.choice(self._offsets))]
        return [Read(NIC[self._chance.choice(DECENT_READS)].offset)]

    def _wait(self) -> list[Step]:
        return [Wait(self._chance.choice((100, 1_000, 50_000, 1_000_000)))]

    def _scribble(self) -> list[Step]:
        value = self._chance.choice(
            (self._chance.getrandbits(32), self._chance.choice(WORDS), self._chance.getrandbits(8))
        )
        return [Write(self._chance.choice(self._offsets), value)]

    def _garbage(self) -> list[Step]:
        ring = self._chance.choice((*TX_RINGS, *RX_RINGS))
        raw = self._chance.randbytes(DESCRIPTOR)
        at = self._chance.randrange(0, 0x6_0000)
        raw = struct.pack("<Q", at) + raw[8:]
        return [Patch(ring + self._chance.randrange(COUNT) * DESCRIPTOR, raw.hex(), based=True)]

    def _index(self) -> list[Step]:
        name = self._chance.choice(("TDH0", "TDT0", "RDH0", "RDT0", "TDH1", "TDT1", "RDH1", "RDT1"))
        return [Write(NIC[name].offset, self._chance.choice((0, 1, 7, 15, 16, 17, 0xFFFF)))]

    def _reset(self) -> list[Step]:
        return [Write(NIC["CTRL"].offset, 1 << 26 | 0x41), Wait(LINK_NS)]
