"""The native engine's saved state, in the format of ``device.engine.reference.state``: both read both."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from device.engine._core import ffi, lib
from device.engine.contract import InterruptMode
from device.engine.reference.state import FORMAT, parse, waiting
from device.regs.words import CANONICAL, RESET, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TIMERS = ("RDTR", "RADV", "RAID", "TIDV", "TADV")
_WORD = (1 << 32) - 1
_LONGEST_NS = 1 << 61  # of a time in a state that somebody else wrote: sums of two stay below 2**63
_FLAGS = ("started", "segmenting", "stamp")


def save(card: ffi.CData) -> bytes:
    """Return the whole state. The clock stands still for none of it: save a card that is stopped."""
    raw = ffi.new("struct rw_state *")
    lib.rw_state_get(card, raw)
    armed = sorted((n for n in range(len(_TIMERS)) if raw.armed[n]), key=lambda n: raw.order[n])
    return json.dumps(
        {
            "format": FORMAT,
            "words": _words(card),
            "link": bool(raw.link),
            "mastering": bool(raw.mastering),
            "loopback": bool(raw.loopback),
            "paused": int(raw.paused),
            "partner": int(raw.partner),
            "buffer": list(_waiting(card)),
            "systim": int(raw.systim),
            "timinca": int(raw.timinca),
            "mode": InterruptMode(raw.mode).name,
            "asserted": bool(raw.line),
            "signalled": int(raw.announced),
            "delayed_receive": int(raw.delayed_receive),
            "delayed_transmit": int(raw.delayed_transmit),
            "timers": {_TIMERS[n]: int(raw.timer[n]) for n in armed},
            "quiet": [int(left) for left in raw.quiet],
            "held": [n for n in range(lib.RW_STATE_THROTTLES) if raw.held >> n & 1],
            "turn": int(raw.turn),
            "left": int(raw.left),
            "queues": [_queue(card, n, raw.queue[n]) for n in range(lib.RW_STATE_QUEUES)],
        }
    ).encode()


def _words(card: ffi.CData) -> dict[str, int]:
    return {
        f"{where * 4:x}": value
        for where in range(WORDS)
        if CANONICAL[where] == where and (value := lib.rw_peek(card, where * 4)) != RESET[where]
    }


def _waiting(card: ffi.CData) -> Iterator[list[str | int]]:
    """Return the frames in the packet buffer and their status."""
    length, status = ffi.new("uint32_t *"), ffi.new("uint32_t *")
    for index in itertools.count():
        start = lib.rw_state_waiting(card, index, length, status)
        if start == ffi.NULL:
            return
        yield [bytes(ffi.buffer(start, length[0])).hex(), int(status[0])]


def _queue(card: ffi.CData, number: int, raw: ffi.CData) -> dict[str, Any]:
    gathered = bytes(ffi.buffer(lib.rw_state_gathered(card, number), raw.gathered))
    return {
        "gathered": gathered.hex(),
        "options": int(raw.options),
        "css": int(raw.css),
        **{name: bool(getattr(raw, name)) for name in _FLAGS},
        "dropping": "dropped by the native engine" if raw.dropping else "",
        "context": [int(number) for number in raw.context],
        "segmentation": [int(number) for number in raw.segmentation],
    }


def restore(card: ffi.CData, state: bytes) -> None:
    """Take a saved state over; ValueError, and nothing changed, when it is not one."""
    saved = parse(state)
    raw = ffi.new("struct rw_state *")
    for name in ("link", "mastering", "loopback"):
        setattr(raw, name, bool(saved[name]))
    raw.line = bool(saved["asserted"])
    raw.partner = saved["partner"]
    raw.mode = InterruptMode[saved["mode"]].value
    raw.paused = _time(saved["paused"])
    raw.systim = saved["systim"] & ((1 << 64) - 1)
    raw.announced = saved["signalled"] & _WORD
    for name in ("timinca", "delayed_receive", "delayed_transmit", "turn"):
        setattr(raw, name, saved[name] & _WORD)
    raw.left = max(0, min(saved["left"], _WORD))  # the reference counts below 0 where nobody waits
    raw.held = sum(1 << number for number in set(saved["held"]))
    for order, (name, left) in enumerate(saved["timers"].items(), 1):
        number = _TIMERS.index(name)
        raw.armed[number], raw.order[number], raw.timer[number] = True, order, _time(left)
    for number, left in enumerate(saved["quiet"]):
        raw.quiet[number] = _time(left)
    gathered = b""
    for to, queue in zip(raw.queue, saved["queues"], strict=True):
        data = bytes.fromhex(queue["gathered"])
        gathered += data
        to.gathered = len(data)
        to.options, to.css = queue["options"] & 0xFF, queue["css"] & 0xFF
        for name in _FLAGS:
            setattr(to, name, bool(queue[name]))
        to.dropping = bool(queue["dropping"])
        to.context = _numbers(queue["context"])
        to.segmentation = _numbers(queue["segmentation"])
    for where in range(WORDS):
        if CANONICAL[where] == where:
            lib.rw_poke(card, where * 4, saved["words"].get(f"{where * 4:x}", RESET[where]))
    lib.rw_state_set(card, raw, ffi.from_buffer(gathered))
    for frame, status in waiting(saved):
        lib.rw_state_wait(card, ffi.from_buffer(frame), len(frame), status)


def _numbers(given: Iterable[int]) -> list[int]:
    return [number & _WORD for number in given]


def _time(nanoseconds: int) -> int:
    return max(0, min(nanoseconds, _LONGEST_NS))
