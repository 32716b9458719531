"""``regs.h``, all that the C core knows of numbers that Python has, too: written once, rendered for C.

What is C's alone (how its memory is laid out, how often it looks at a clock) stays in its own headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.engine import contract
from device.regs import nic
from device.regs.render import c_header
from device.rings.index import DESCRIPTOR_SIZE
from device.rings.receive import RX_PACKET_SHIFT, RxError, RxStatus
from device.rings.transmit import IP, TCP, TSE, TxCommand, TxOptions, TxStatus
from device.wire.contract import LARGEST_FRAME_BYTES, SMALLEST_FRAME_BYTES
from formats.checksum import FCS_SIZE
from formats.ethernet import MINIMUM_BYTES, TAG_BYTES

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterator, Mapping

NUMBERS: Final[Mapping[str, tuple[int, str]]] = {
    "QUEUES": (nic.QUEUES, "device.regs.nic"),
    "VECTORS": (nic.VECTORS, "device.regs.nic"),
    "BAR_BYTES": (nic.BAR0_SIZE, "device.regs.nic"),
    "QUEUE_STRIDE": (nic.QUEUE_STRIDE, "device.regs.nic: from a queue's registers to the next one's"),
    "DESC_BYTES": (DESCRIPTOR_SIZE, "device.rings.index"),
    "ALL_CAUSES": (nic.ALL_CAUSES, "device.regs.nic"),
    "FCS_BYTES": (FCS_SIZE, "formats.checksum"),
    "TAG_BYTES": (TAG_BYTES, "formats.ethernet: IEEE 802.1Q"),
    "MIN_FRAME": (MINIMUM_BYTES, "formats.ethernet: without the FCS"),
    "ETH_BYTES": (SMALLEST_FRAME_BYTES, "device.wire.contract"),
    "LARGEST_FRAME": (LARGEST_FRAME_BYTES, "device.wire.contract"),
    "GATHER_BYTES": (contract.GATHER_BYTES, "device.engine.contract: the most one frame may gather"),
    "MOST_SLOTS": (contract.MOST_SLOTS, "device.engine.contract: descriptors that one frame may take"),
    "FIFO_KIB": (contract.BUFFER_KIB, "device.engine.contract: the packet buffer"),
    "FIFO_LINE_BYTES": (contract.BUFFER_LINE_BYTES, "device.engine.contract"),
    "WORK_BUDGET": (contract.WORK_BUDGET, "device.engine.contract: of one run"),
    "WORK_SEGMENT": (contract.WORK_SEGMENT, "device.engine.contract"),
    "WORK_LOOPED": (contract.WORK_LOOPED, "device.engine.contract"),
    "WORK_GATHER_BITS": (contract.WORK_GATHER_BITS, "device.engine.contract"),
    "WORK_SUM_BITS": (contract.WORK_SUM_BITS, "device.engine.contract"),
    "WORK_FCS_BITS": (contract.WORK_FCS_BITS, "device.engine.contract"),
    "SLICE_NS": (contract.SLICE_NS, "device.engine.contract"),
    "RXS_TYPE_SHIFT": (RX_PACKET_SHIFT, "device.rings.receive"),
    "TXD_DD": (TxStatus.DD, "device.rings.transmit"),
    "TXD_TSE": (TSE << 24, "device.rings.transmit"),
    "TUCMD_TCP": (TCP, "device.rings.transmit"),
    "TUCMD_IP": (IP, "device.rings.transmit"),
}
"""By what follows ``RW_`` in C: the value, and where Python has it."""
BITS: Final[tuple[tuple[str, type[enum.IntFlag], int], ...]] = (
    ("TXD", TxCommand, 24),
    ("POPTS", TxOptions, 0),
    ("RXS", RxStatus, 0),
    ("RXE", RxError, 0),
)
"""Flags, by how their names begin in C, and by how many bits they are shifted there."""


def regs_h() -> str:
    """Return the header's text: registers, and the numbers above."""
    return "\n".join(
        [c_header(nic.NIC), "/* The engines' contract, the descriptors, the wire. */", *_numbers(), ""]
    )


def _numbers() -> Iterator[str]:
    for name, (value, home) in NUMBERS.items():
        yield f"#define RW_{name} {value:#x}u /* {home} */"
    for prefix, flags, shift in BITS:
        for flag in flags:
            home = f"{flags.__module__}.{flags.__name__}"
            yield f"#define RW_{prefix}_{flag.name} {flag << shift:#x}u /* {home} */"
