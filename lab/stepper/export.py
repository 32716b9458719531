"""Writes what a session sees in other programs' formats, chosen by a file's suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.trace.annotated import AnnotatedCapture
from device.trace.timeline import Timeline
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device.trace.events import Event
    from device.trace.recording import Recording
    from lab.stepper.session import Session


def _capture(path: Path, session: Session, recording: Recording) -> Callable[[], None]:
    file = path.open("wb")
    capture = AnnotatedCapture(file.write, recording.about.epoch_ns)
    session.watchers.append(lambda event: capture.observe(session.now(), event))

    def finish() -> None:
        capture.finish()
        file.close()

    return finish


def _timeline(
    render: Callable[[Timeline], bytes],
) -> Callable[[Path, Session, Recording], Callable[[], None]]:
    def make(path: Path, session: Session, _: Recording) -> Callable[[], None]:
        timeline = Timeline()

        def watch(event: Event) -> None:
            timeline.observe(session.now(), event)

        session.watchers.append(watch)

        def finish() -> None:
            path.write_bytes(render(timeline))

        return finish

    return make


_FORMATS: Final[dict[str, Callable[[Path, Session, Recording], Callable[[], None]]]] = {
    ".pcapng": _capture,
    ".pftrace": _timeline(Timeline.perfetto),
    ".json": _timeline(lambda timeline: timeline.chrome().encode()),
}


def export(path: Path, session: Session, recording: Recording) -> Callable[[], None]:
    """Watch a session for a file; the result is to be called at the end. UsageError: an unknown suffix."""
    if path.suffix not in _FORMATS:
        raise UsageError(f"--export {path}: give a suffix of {', '.join(_FORMATS)}")
    try:
        return _FORMATS[path.suffix](path, session, recording)
    except OSError as error:
        raise UsageError(f"--export {path}: {error.strerror}") from error
