"""Random programs for an engine: rings, descriptors, frames, registers, times.

From a seed, so that one number says the whole of a failure.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from device.effects import Offload
from device.engine.contract import InterruptMode
from device.regs.bank import Owner
from device.regs.nic import NIC
from device.rings.transmit import ContextTx, DataTx, LegacyTx, TxCommand, TxOptions
from formats.checksum import checksum, ones_sum

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.engine.contract import Engine

BASE = 0x1000_0000
RAM_BYTES = 0x1_0000
TX_RINGS, RX_RINGS = (0x0000, 0x0400), (0x0800, 0x0C00)
TX_DATA, RX_DATA = 0x1000, 0x8000
MAC = bytes.fromhex("525400123456")
OFFSETS = [
    offset
    for register in NIC
    if register.owner is Owner.ENGINE and register.name != "PBM"
    for offset in (*register.offsets(), *register.aliases)
]
# Where a ring lies and how long it is: a ring moved onto a buffer is a matter of which byte is read first.
_LAYOUT = frozenset(
    offset
    for name in NIC
    if name.name[:5] in {"RDBAL", "RDBAH", "TDBAL", "TDBAH"}
    for offset in (name.offset, *name.aliases)
)

Action = tuple[object, ...]


@dataclass
class Program:
    """What is done to an engine."""

    seed: int
    memory: bytes
    offload: bool
    settings: list[tuple[int, int]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def __repr__(self) -> str:
        """Name the seed: memory is too much to read."""
        steps = "\n  ".join(
            " ".join(f"{a:#x}" if type(a) is int else repr(a) for a in action) for action in self.actions
        )
        return f"make({self.seed}):\n  {steps}"


def prepare(engine: Engine, what: Program) -> None:
    """Bring an engine to where the program starts."""
    engine.set_link(up=True)
    engine.set_mastering(enabled=True)
    for offset, value in what.settings:
        if NIC.find(offset)[0].owner is Owner.CARD:  # type: ignore[index]  # it is declared
            engine.poke(offset, value)
        else:
            engine.write(offset, value)


def at(name: str, index: int = 0) -> int:
    """Return the offset of a register."""
    return NIC[name].at(index)


def _network(rng: random.Random, payload: bytes, protocol: int) -> bytes:
    source, target = rng.randbytes(4), rng.randbytes(4)
    if rng.random() < 0.6:
        fragment = rng.choice([0, 0, 0, 0, 0x2000, 0x0005])
        options = rng.choice([b"", b"", b"", bytes([1, 1, 1, 0])])
        header = bytearray(
            bytes([0x45 + len(options) // 4, 0])
            + (20 + len(options) + len(payload)).to_bytes(2, "big")
            + rng.randbytes(2)
            + fragment.to_bytes(2, "big")
            + bytes([64, protocol, 0, 0])
            + source
            + target
            + options
        )
        if rng.random() < 0.8:
            header[10:12] = checksum(header).to_bytes(2, "big")
        return b"\x08\x00" + bytes(header) + payload
    extensions = b""
    following = protocol
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        kind = rng.choice([0, 43, 44, 60])
        body = rng.randbytes(6)
        if kind == 44:
            body = bytes([0]) + rng.choice([b"\0\0", b"\0\x01", b"\x10\0"]) + rng.randbytes(3)
            extensions = bytes([following]) + body + b"\0" + extensions
        elif kind == 43:
            extensions = bytes([following, 2, 2, 1]) + bytes(4) + rng.randbytes(16) + extensions
        elif kind == 60:
            extensions = (
                bytes([following, 2, 1, 2, 0, 0]) + bytes([0xC9, 16]) + rng.randbytes(16) + extensions
            )
        else:
            extensions = bytes([following, 0]) + body + extensions
        following = kind
    body = extensions + payload
    return (
        b"\x86\xdd\x60\0\0\0"
        + len(body).to_bytes(2, "big")
        + bytes([following, 64])
        + rng.randbytes(16)
        + rng.randbytes(16)
        + body
    )


def frame(rng: random.Random, largest: int = 1800) -> bytes:
    """Return a frame: often well formed, with right checksums or wrong ones, sometimes anything."""
    target = rng.choice([MAC, MAC, MAC, b"\xff" * 6, bytes.fromhex("01005e0000fb"), rng.randbytes(6)])
    source = rng.randbytes(6)
    kind = rng.random()
    if kind < 0.08:
        return target + source + rng.randbytes(rng.randrange(0, 100))
    if kind < 0.14:
        quanta = rng.choice([0, 1, 0xFFFF])
        pause = b"\x88\x08\0\x01" + quanta.to_bytes(2, "big")
        return bytes.fromhex("0180c2000001") + source + pause + bytes(42)
    if kind < 0.2:
        ptp = bytes([rng.choice([0, 1, 8, 0x10])]) + rng.randbytes(43)
        return target + source + b"\x88\xf7" + ptp
    body = rng.randbytes(rng.choice([0, 1, 18, 100, rng.randrange(0, largest)]))
    protocol = rng.choice([6, 6, 17, 17, 1])
    if protocol == 6:
        segment = rng.randbytes(12) + bytes([0x50, rng.choice([0x10, 0x18, 0x02, 0x11])]) + rng.randbytes(6)
        segment += body
    elif protocol == 17:
        port = rng.choice([b"\x01\x3f", rng.randbytes(2)])
        segment = rng.randbytes(2) + port + (8 + len(body)).to_bytes(2, "big") + rng.randbytes(2) + body
    else:
        segment = body
    network = bytearray(_network(rng, segment, protocol))
    where = len(network) - len(segment)
    check = {6: 16, 17: 6}.get(protocol)
    if check is not None and rng.random() < 0.7:
        network[where + check : where + check + 2] = b"\0\0"
        addresses = network[14:22] if network[0] == 8 else network[10:42]
        pseudo = ones_sum(addresses, protocol + len(segment))
        value = checksum(network[where:], pseudo) or 0xFFFF
        network[where + check : where + check + 2] = value.to_bytes(2, "big")
    tag = b""
    if rng.random() < 0.2:
        tag = b"\x81\0" + rng.choice([0, 5, 0x1005, 0xFFFF]).to_bytes(2, "big")
    whole = target + source + tag + bytes(network)
    if rng.random() < 0.1:
        whole = whole[: rng.randrange(0, len(whole))]
    return whole


def _context(rng: random.Random, *, segment: bool) -> bytes:
    six = rng.random() < 0.3
    ip = 14
    tcp = ip + (40 if six else 20)
    is_tcp = rng.random() < 0.8
    command = TxCommand.DEXT | (TxCommand.RS if rng.random() < 0.2 else TxCommand.NONE)
    if segment:
        command |= TxCommand.IC
    if is_tcp:
        command |= TxCommand.EOP
    if not six:
        command |= TxCommand.IFCS
    context = ContextTx(
        ipcss=ip,
        ipcso=ip + 10,
        ipcse=tcp - 1,
        tucss=tcp,
        tucso=tcp + (16 if is_tcp else 6),
        tucse=0,
        paylen=rng.randrange(0, 4000),
        command=command,
        hdrlen=tcp + (20 if is_tcp else 8),
        mss=rng.choice([0, 1, 100, 536, 1460, 65535]),
    )
    raw = bytearray(context.emit())
    if rng.random() < 0.25:
        raw[rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 15])] = rng.randrange(256)
    return bytes(raw)


def _address(rng: random.Random) -> int:
    if rng.random() < 0.04:
        return rng.choice([0, BASE - 4, BASE + RAM_BYTES - 10, 1 << 40])
    return BASE + TX_DATA + rng.randrange(0, 0x6000)


def _length(rng: random.Random) -> int:
    return rng.choice([0, 1, 14, 54, 60, 66, 200, 1514, rng.randrange(0, 3000)])


def _transmit(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.2:
        return _context(rng, segment=rng.random() < 0.5)
    command = TxCommand.NONE
    for bit, chance in (
        (TxCommand.EOP, 0.6),
        (TxCommand.IFCS, 0.9),
        (TxCommand.RS, 0.5),
        (TxCommand.VLE, 0.15),
        (TxCommand.IDE, 0.2),
    ):
        if rng.random() < chance:
            command |= bit
    special = rng.randrange(0, 0x10000)
    if kind < 0.45:
        if rng.random() < 0.2:
            command |= TxCommand.IC
        return LegacyTx(
            _address(rng), _length(rng), rng.randrange(0, 80), command, 0, rng.randrange(0, 60), special
        ).emit()
    command |= TxCommand.DEXT
    if rng.random() < 0.3:
        command |= TxCommand.IC
    status = DataTx.TS if rng.random() < 0.1 else 0
    return DataTx(
        _address(rng), _length(rng), command, status, TxOptions(rng.choice([0, 1, 2, 3, 3])), special
    ).emit()


def _receive_ring(rng: random.Random, count: int) -> bytes:
    out = b""
    for _ in range(count):
        chance = rng.random()
        if chance < 0.06:
            address = 0
        elif chance < 0.1:
            address = rng.choice([1 << 40, BASE + RAM_BYTES - 100])
        else:
            address = BASE + RX_DATA + 16 * rng.randrange(0, 0x700)
        out += address.to_bytes(8, "little")
    return out


def _memory(rng: random.Random) -> bytes:
    memory = bytearray(rng.randbytes(RAM_BYTES))
    for start in TX_RINGS:
        memory[start : start + 0x400] = b"".join(_transmit(rng) for _ in range(64))
    for start in RX_RINGS:
        memory[start : start + 0x400] = _receive_ring(rng, 128)
    where = TX_DATA
    while where < TX_DATA + 0x6000:  # so that some descriptors point at the start of a frame
        one = frame(rng)
        memory[where : where + len(one)] = one
        where += max(64, len(one) // 64 * 64 + 64)
    return bytes(memory)


def _rctl(rng: random.Random) -> int:
    value = NIC["RCTL"]["EN"].mask
    for name, chance in (
        ("SBP", 0.1),
        ("UPE", 0.3),
        ("MPE", 0.3),
        ("LPE", 0.5),
        ("BAM", 0.7),
        ("VFE", 0.2),
        ("CFIEN", 0.1),
        ("CFI", 0.1),
        ("DPF", 0.2),
        ("PMCF", 0.2),
        ("BSEX", 0.1),
        ("SECRC", 0.6),
    ):
        if rng.random() < chance:
            value |= NIC["RCTL"][name].mask
    value |= NIC["RCTL"]["BSIZE"].put(rng.randrange(4)) | NIC["RCTL"]["MO"].put(rng.randrange(4))
    value |= NIC["RCTL"]["RDMTS"].put(rng.randrange(4))
    if rng.random() < 0.3:
        value |= NIC["RCTL"]["DTYP"].put(1)
    if rng.random() < 0.1:
        value |= NIC["RCTL"]["FLXBUF"].put(rng.randrange(1, 4))
    if rng.random() < 0.1:
        value |= NIC["RCTL"]["LBM"].put(1)
    return value


def _settings(rng: random.Random) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for queue in range(2):
        for prefix, base, most in (("TD", TX_RINGS[queue], 64), ("RD", RX_RINGS[queue], 64)):
            count = rng.choice([8, 8, 16, most])
            out += [
                (at(f"{prefix}BAL{queue}"), BASE + base),
                (at(f"{prefix}LEN{queue}"), count * 16),
                (at(f"{prefix}H{queue}"), rng.randrange(count)),
                (
                    at(f"{prefix}T{queue}"),
                    rng.randrange(count) if prefix == "RD" or rng.random() < 0.5 else 0,
                ),
            ]
        out.append((at(f"TXDCTL{queue}"), rng.choice([0, 1 << 25, 2 << 25])))
        out.append((at(f"TARC{queue}"), rng.choice([0x403, 0x403, 0x401, 0x400, 3])))
    out += [
        (at("RAL"), int.from_bytes(MAC[:4], "little")),
        (at("RAH"), int.from_bytes(MAC[4:], "little") | 1 << 31),
        (at("RAL", 3), rng.getrandbits(32)),
        (at("RAH", 3), rng.getrandbits(18) | 1 << 31),
        (at("FCAL"), 0x00C28001),
        (at("FCAH"), 0x0100),
        (at("FCT"), 0x8808),
        (at("FCTTV"), rng.getrandbits(16)),
        (at("FCRTH"), rng.choice([0, 0x1000])),
        (at("FCRTL"), rng.choice([0, 1 << 31])),
        (at("MTA", rng.randrange(128)), rng.getrandbits(32)),
        (at("VFTA"), rng.getrandbits(32)),
        (at("RXCSUM"), rng.choice([0x300, 0x2300, 0x1300, 0, 0x30E, 0x3FF])),
        (at("RFCTL"), rng.getrandbits(18) & ~0x8000 | (0x8000 if rng.random() < 0.6 else 0)),
        (at("PSRCTL"), rng.choice([0x0004_0402, 0x0101_0101, rng.getrandbits(30)])),
        (at("MRQC"), rng.choice([0, 1 | 0x1F << 16, 1 | rng.getrandbits(5) << 16])),
        (at("RETA", rng.randrange(32)), rng.getrandbits(32)),
        (at("RSRPD"), rng.choice([0, 100])),
        (at("RAID"), rng.choice([0, 20])),
        (at("RDTR"), rng.choice([0, 0, 10])),
        (at("RADV"), rng.choice([0, 30])),
        (at("TIDV"), rng.choice([0, 8])),
        (at("TADV"), rng.choice([0, 32])),
        (at("ITR"), rng.choice([0, 0, 100])),
        (at("IVAR"), rng.choice([0x0000_0000, 0x800A_908 << 4 | 8, 0x000C_BA98, 0x8008_8888])),
        (at("EIAC"), rng.choice([0, 0x01F0_0000, 0x0050_0000])),
        (at("IAM"), rng.getrandbits(32)),
        (at("IMS"), rng.choice([0xFFFF_FFFF, 0x01F0_0000, rng.getrandbits(32)])),
        (at("CTRL"), rng.getrandbits(32)),
        (at("CTRL_EXT"), rng.getrandbits(32)),
        (at("TIMINCA"), rng.choice([0, 1 << 24 | 1000, 3 << 24 | 77])),
        (at("TSYNCTXCTL"), rng.choice([0, 0x10])),
        (at("TSYNCRXCTL"), rng.choice([0, 0x10, 0x14, 0x18, 0x1A, 0x12])),
        (at("TCTL"), rng.choice([0x2, 0xA, 0xA])),
        (at("RCTL"), _rctl(rng)),
    ]
    out += [(at("RSSRK", n), rng.getrandbits(32)) for n in range(10)]
    out += [(at("EITR", n), rng.choice([0, 0, 50])) for n in range(5)]
    return out


def _offload(rng: random.Random, data: bytes) -> Offload | None:
    if rng.random() < 0.8:
        return None
    start = rng.choice([34, 54, rng.randrange(0, len(data) + 20)])
    return Offload(csum_start=start, csum_offset=rng.choice([16, 6, 0]), needs_csum=True)


class _Actions:
    """Draws actions; remembers the time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 0

    def doorbell(self) -> Action:
        rng = self.rng
        name = rng.choice(["TDT0", "TDT0", "TDT1", "RDT0", "RDT0", "RDT1"])
        return ("write", at(name), rng.choice([rng.randrange(8), rng.randrange(8), rng.randrange(70)]))

    def receive(self) -> Action:
        data = frame(self.rng, self.rng.choice([300, 1500, 9000]))
        return ("receive", data, _offload(self.rng, data))

    def interrupt(self) -> Action:
        name = self.rng.choice(["ICS", "IMS", "IMC", "ICR", "IMS"])
        return ("write", at(name), self.rng.getrandbits(32) & self.rng.getrandbits(32))

    def advance(self) -> Action:
        self.now += self.rng.choice([1, 256, 10_000, 30_000, 10_000_000])
        return ("advance", self.now)

    def write(self) -> Action:
        offset = self.rng.choice(OFFSETS)
        if offset in _LAYOUT:
            offset = at("RCTL")
        return ("write", offset, self.rng.getrandbits(32))

    def read(self) -> Action:
        return ("read", self.rng.choice([at("ICR"), at("GPRC"), at("GOTCH"), self.rng.choice(OFFSETS)]))

    def surroundings(self) -> Action:
        rng = self.rng
        kind = rng.choice(["mode", "mode", "link", "loopback", "mastering", "causes", "reset"])
        if kind == "mode":
            return (kind, rng.choice(list(InterruptMode)).value)
        if kind == "causes":
            return (kind, rng.choice([1 << 2, 1 << 9]))
        if kind == "reset":
            return (kind, *rng.sample(OFFSETS, 3)) if rng.random() < 0.2 else ("mode", 3)
        return (kind, int(rng.random() < 0.7)) if kind != "loopback" else (kind, int(rng.random() < 0.4))


def make(seed: int) -> Program:
    """Return the program that a seed stands for."""
    rng = random.Random(seed)
    what = Program(seed, _memory(rng), rng.random() < 0.5, _settings(rng))
    what.actions.append(("mode", rng.choice([1, 2, 3, 3])))
    draw = _Actions(rng)
    table: list[tuple[int, Callable[[], Action]]] = [
        (6, draw.doorbell),
        (5, lambda: ("run",)),
        (2, lambda: ("step",)),
        (6, draw.receive),
        (2, draw.interrupt),
        (2, draw.advance),
        (1, draw.write),
        (2, draw.read),
        (1, draw.surroundings),
    ]
    weights = [weight for weight, _ in table]
    for _ in range(rng.randrange(1, 40)):
        what.actions.append(rng.choices([make for _, make in table], weights)[0]())
    _crowd(what)
    return what


def _crowd(what: Program) -> None:
    """Let half of the programs fill the packet buffer; older seeds stay what they were but for that."""
    rng = random.Random(what.seed ^ 0x50_4241)
    if rng.random() < 0.5:
        return
    high = rng.choice([0, 0x100, 0x400, 0x800])
    what.settings += [
        (at("PBA"), rng.choice([0x14, 0x14, 1, 2, 0, 0xFFFF])),
        (at("FCRTH"), high),
        (at("FCRTL"), rng.choice([0, high - 8 & 0xFFF8, 0x80]) | rng.choice([0, 1 << 31])),
    ]
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(what.actions) + 1)
        burst: list[Action] = []
        for _ in range(rng.randrange(1, 30)):
            data = MAC + frame(rng, 1500)[6:]
            burst.append(("receive", data, _offload(rng, data)))
        burst.append(("write", at(rng.choice(["RDT0", "RDT1", "RDH0"])), rng.randrange(16)))
        what.actions[place:place] = burst


def program() -> st.SearchStrategy[Program]:
    """Return a strategy of programs."""
    return st.integers(0, 2**32).map(make)
