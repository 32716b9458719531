"""A stack to look at when none runs: ``ringwalk ndis VIEW --demo``.

A card in this process, the miniport, NDIS with the verifier on, a transport, and some traffic of which a part
is still under way.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from lab.host.inprocess_stack import MAC, LocalStack
from lab.host.inspection import Inspected
from lab.host.inspection_gate import LockDesk
from lab.host.modes import MODES
from lab.host.ndis_rigs import ISR_REGISTERS
from ndis.journal import Journal, Tee
from ndis.suite.bench import Recorder
from ndis.verifier.core import Verifier

if TYPE_CHECKING:
    from miniport.hal.inprocess import EngineFactory

ENGINES: dict[str, EngineFactory] = {"reference": ReferenceEngine, "native": NativeEngine}
STRANGER = bytes.fromhex("020000000002")


def busy_stack(mode: str, engine: str) -> Inspected:
    """Return a stack with traffic behind it, four sends under way and three packets with the transport."""
    version, deserialized = MODES[mode]
    journal, verifier = Journal(), Verifier(isr_registers=ISR_REGISTERS)
    stack = LocalStack(
        engine=ENGINES[engine],
        version=version,
        configuration={"Deserialized": deserialized},
        client=Recorder(keep=1),
        observer=Tee(verifier, journal),
    )
    body = (b"\x88\xb5" + b"ringwalk").ljust(48, b"\0")
    stack.send(*[STRANGER + MAC + body for _ in range(8)])
    stack.settle()
    for _ in range(3):
        stack.bus.receive(MAC + STRANGER + body)
        stack.settle()
    stack.send(*[STRANGER + MAC + body for _ in range(4)])  # the card is done; nobody has taken the interrupt
    return Inspected(stack.ndis, LockDesk(contextlib.nullcontext()), journal, verifier)
