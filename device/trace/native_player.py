"""A native recording played on the native engine by C, which compares each outcome with the recording's next.

Python does the inputs that are Python's. C is strict: it wants the outcomes in the order and the pieces in
which they were recorded. Where it finds a difference, the recording is played once more, by ``Player`` alone,
which tells what differs and forgives what may differ. So the answer is ``Player``'s, and it comes sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.engine._core import ffi, lib
from device.engine.native import NativeEngine
from device.trace.player import EngineFactory, Player
from device.trace.recording import Place

if TYPE_CHECKING:
    from device.trace.recording import Recording

NATIVE = EngineFactory(NativeEngine.name, lambda memory, offload: NativeEngine(memory, offload=offload))


def play(recording: Recording) -> Player:
    """Play a recording on the native engine to its end and return who has played it."""
    player = Player(recording, NATIVE)
    swift = recording.about.engine == NativeEngine.name and recording.damage is None
    if swift and isinstance(player.engine, NativeEngine) and _by_c(player, player.engine):
        return player
    player = Player(recording, NATIVE)
    player.run()
    return player


def _by_c(player: Player, engine: NativeEngine) -> bool:
    """Play with C; False where it found a difference."""
    recording = player.recording
    file = ffi.from_buffer(recording.data)
    starts = ffi.new("uint64_t[]", [start for start, _ in recording.blocks])
    lengths = ffi.new("uint64_t[]", [length for _, length in recording.blocks])
    status = ffi.new("struct rw_play_status *")
    play = lib.rw_play_new(engine.card, file, starts, lengths, len(recording.blocks))
    if play == ffi.NULL:
        raise MemoryError("no memory to play a recording")
    place, by_python = Place(), 0
    try:
        while True:
            result = lib.rw_play_run(play, place.block, place.offset, status)
            player.turn = int(status.inputs) + by_python
            player.time_ns = max(player.time_ns, int(status.time_ns))
            player.card.wire_full = bool(status.held)
            if result != lib.RW_PLAY_FOREIGN:
                break
            player.move(Place(int(status.block), int(status.at)))
            if not player.step() or player.differences:
                return False
            by_python += 1
            place = player.place
    finally:
        lib.rw_play_free(play)
    account = player.card.account
    account.frames_sent += int(status.frames_sent)
    player.card.count_received()
    account.descriptors += int(status.descriptors)
    account.interrupts += int(status.interrupts)
    return bool(result == lib.RW_PLAY_END)
