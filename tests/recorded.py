"""Cards of the native engine that are recorded while a client drives them: what several tests play again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from device.native_serving import NativeServedCard, Tape
from device.serving import DEFAULT_TUNING, serve
from device.wire.spec import open_wire
from tests.bench import MAC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device.native_serving import Tuning
    from device.trace.native import Recorded
    from device.wire.contract import Wire

NO_LIMIT = 1 << 40


def record(
    path: Path,
    drive: Callable[[str], None],
    *,
    limit: int = NO_LIMIT,
    tuning: Tuning = DEFAULT_TUNING,
    wire: Wire | None = None,
) -> Recorded:
    """Serve a card, let ``drive`` have its socket, and leave the recording at ``path``."""
    stop, ready = threading.Event(), threading.Event()
    socket = str(path.with_suffix(".sock"))
    served: list[NativeServedCard] = []

    def note(card: object) -> None:
        assert isinstance(card, NativeServedCard)
        served.append(card)
        ready.set()

    cable = wire or open_wire("loopback")
    with path.open("wb", buffering=0) as file:
        thread = threading.Thread(
            target=serve,
            args=(socket, cable, MAC, "native"),
            kwargs={"ready": note, "stop": stop, "tuning": tuning, "tape": Tape(file.fileno(), limit)},
        )
        thread.start()
        assert ready.wait(10)
        try:
            drive(socket)
        finally:
            stop.set()
            thread.join()
            cable.close()
    recorder = served[0].recorder
    assert recorder is not None
    return recorder.stop()
