"""The saved state of an engine, as JSON: registers that differ from reset, and what no register holds.

Both engines write and read this. Times are relative to the moment of saving, in ns; bytes are hexadecimal.
A state is untrusted: ``restore`` checks it before it changes anything and raises ``ValueError``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from device.engine.contract import BUFFER_KIB, GATHER_BYTES, InterruptMode
from device.engine.reference.buffer import Waiting, charge
from device.engine.reference.flow import Partner
from device.engine.reference.segment import Context
from device.regs.nic import VECTORS
from device.regs.words import CANONICAL, RESET, WORDS
from device.rings.receive import RxStatus

if TYPE_CHECKING:
    from device.engine.reference.engine import ReferenceEngine

FORMAT = "82574L/2"
SMALLEST = 14
"""Bytes of a frame that may wait: an Ethernet header."""
_FOUND = int(RxStatus.PIF | RxStatus.TST)
_TIMERS = frozenset({"RDTR", "RADV", "RAID", "TIDV", "TADV"})


def save(engine: ReferenceEngine) -> bytes:
    """Return the engine's whole state."""
    core, irq, now = engine.core, engine.interrupts, engine.core.now
    state = {
        "format": FORMAT,
        "words": {
            f"{where * 4:x}": value
            for where, (value, reset) in enumerate(zip(core.words, RESET, strict=True))
            if value != reset
        },
        "link": core.link,
        "mastering": core.mastering,
        "loopback": core.loopback,
        "paused": max(0, core.paused_until - now),
        "partner": int(engine.flow.partner),
        "buffer": [[frame.hex(), status] for frame, status in engine.receiver.buffer],
        "systim": core.time.value(now),
        "timinca": core.time.timinca,
        "mode": irq.mode.name,
        "asserted": irq.asserted,
        "signalled": irq.signalled,
        "delayed_receive": irq.delayed_receive,
        "delayed_transmit": irq.delayed_transmit,
        "timers": {name: instant - now for name, instant in irq.timers.items()},
        "quiet": [max(0, instant - now) for instant in irq.quiet_until],
        "held": sorted(irq.held),
        "turn": engine.transmitter.turn,
        "left": engine.transmitter.left,
        "queues": [
            {
                "gathered": b"".join(queue.chunks).hex(),
                "options": queue.options,
                "css": queue.css,
                "started": queue.started,
                "segmenting": queue.segmenting,
                "stamp": queue.stamp,
                "dropping": queue.dropping,
                "context": _numbers(queue.context),
                "segmentation": _numbers(queue.segmentation),
            }
            for queue in engine.transmitter.queues
        ],
    }
    return json.dumps(state).encode()


def _numbers(context: Context) -> list[int]:
    return [getattr(context, name) for name in Context.__slots__]


def parse(state: bytes) -> dict[str, Any]:
    """Return the checked state; ValueError when it is none."""
    try:
        parsed = json.loads(state)
    except ValueError as error:
        raise ValueError(f"not a saved engine: {error}") from error
    if not isinstance(parsed, dict) or parsed.get("format") != FORMAT:
        raise ValueError("not a saved engine: the format is another")
    try:
        _check(parsed)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a saved engine: {error!r}") from error
    return parsed


def _require(*, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"not a saved engine: {what}")


def _check(state: dict[str, Any]) -> None:
    for name, value in state["words"].items():
        where = int(name, 16) >> 2
        known = 0 <= where < WORDS and CANONICAL[where] == where
        _require(holds=known and isinstance(value, int) and 0 <= value < 1 << 32, what=f"register {name}")
    _require(holds=state["mode"] in InterruptMode.__members__, what="mode")
    _require(holds=set(state["timers"]) <= _TIMERS, what="timers")
    _require(holds=len(state["quiet"]) == VECTORS + 1, what="throttles")
    _require(holds=set(state["held"]) <= set(range(VECTORS + 1)), what="held messages")
    _require(holds=state["turn"] in (0, 1) and len(state["queues"]) == 2, what="queues")
    numbers = [*state["timers"].values(), *state["quiet"], state["left"], state["paused"], state["systim"]]
    numbers += [state[name] for name in ("timinca", "signalled", "delayed_receive", "delayed_transmit")]
    for queue in state["queues"]:
        _require(holds=len(_from_hex(queue["gathered"])) <= GATHER_BYTES, what="a gathered frame")
        _require(holds=len(queue["context"]) == len(queue["segmentation"]) == 9, what="a context")
        _require(holds=isinstance(queue["dropping"], str), what="a reason")
        numbers += [*queue["context"], *queue["segmentation"], queue["options"], queue["css"]]
    _require(holds=all(isinstance(number, int) for number in numbers), what="a number")
    _require(holds=state["partner"] in set(Partner), what="flow control")
    kept = waiting(state)
    _require(holds=sum(charge(len(frame)) for frame, _ in kept) <= BUFFER_KIB << 10, what="the packet buffer")
    for frame, status in kept:
        _require(holds=len(frame) >= SMALLEST and not status & ~_FOUND, what="a frame that waits")


def waiting(state: dict[str, Any]) -> list[Waiting]:
    """Return the frames of a state's packet buffer."""
    return [Waiting(_from_hex(frame), status) for frame, status in state["buffer"]]


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"not a saved engine: {error}") from error


def restore(engine: ReferenceEngine, state: bytes) -> None:
    """Take a saved state over; ValueError, and nothing changed, when it is not one."""
    saved = parse(state)
    core, irq, now = engine.core, engine.interrupts, engine.core.now
    core.words[:] = RESET
    for name, value in saved["words"].items():
        core.words[int(name, 16) >> 2] = value
    core.link, core.mastering = bool(saved["link"]), bool(saved["mastering"])
    core.loopback = bool(saved["loopback"])
    core.paused_until = now + saved["paused"]
    engine.flow.partner = Partner(saved["partner"])
    engine.receiver.buffer.fill(waiting(saved))
    core.time.timinca = saved["timinca"]
    core.time.set_value(saved["systim"], now)
    irq.mode = InterruptMode[saved["mode"]]
    irq.asserted = bool(saved["asserted"])
    irq.signalled = saved["signalled"]
    irq.delayed_receive, irq.delayed_transmit = saved["delayed_receive"], saved["delayed_transmit"]
    irq.timers = {name: now + left for name, left in saved["timers"].items()}
    irq.quiet_until = [now + left for left in saved["quiet"]]
    irq.held = set(saved["held"])
    engine.transmitter.turn, engine.transmitter.left = saved["turn"], saved["left"]
    for queue, kept in zip(engine.transmitter.queues, saved["queues"], strict=True):
        queue.clear()
        gathered = bytes.fromhex(kept["gathered"])
        if gathered:
            queue.chunks.append(gathered)
        queue.size = len(gathered)
        queue.options, queue.css = kept["options"], kept["css"]
        queue.started, queue.segmenting = bool(kept["started"]), bool(kept["segmenting"])
        queue.stamp, queue.dropping = bool(kept["stamp"]), kept["dropping"]
        queue.context = Context(*kept["context"])
        queue.segmentation = Context(*kept["segmentation"])
