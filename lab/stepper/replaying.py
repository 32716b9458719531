"""A played recording under the stepper: forwards as a live card, and backwards by points to return to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.trace.player import CHECKPOINT_TURNS, REFERENCE, Player
from lab.stepper.session import Leave, Scan, ScanDone, Seek, SeekLast, Session, Stop
from lab.stepper.views import Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event
    from device.trace.player import Point
    from device.trace.recording import Recording
    from lab.stepper.session import Front

_MOST_POINTS: Final = 512


class Replay:
    """A player, a session on it, and the points in between."""

    def __init__(self, recording: Recording, front: Front, *, every: int = CHECKPOINT_TURNS) -> None:
        """Stand before the first input; a point is taken each ``every`` inputs."""
        self.player = Player(recording, REFERENCE)
        self.session = Session(Look(self.player.engine, self.player.memory.seen), front, can_go_back=True)
        self.session.about = "a recording"
        self.session.now = lambda: self.player.time_ns
        self.player.observe(self.session.observe)
        self._every = every
        self._points: list[Point] = [self.player.point()]
        self._counted: dict[int, tuple[object, ...]] = {}
        """What the session had counted at each point, by its turn."""

    def run(self) -> None:
        """Play, wherever the front end leads, until it lets the end pass or leaves."""
        seek: Seek | None = None
        self._counted[self._points[0].turn] = self.session.capture()
        while True:
            try:
                if seek is not None:
                    going, seek = seek, None
                    self._set_out(going)
                self._forward()
                if not self.session.detached:
                    self.session.target = 0
                    self.session.halt(Stop(self.session.position, None, "the recording ends here"))
            except Seek as wanted:
                seek = wanted
            except Leave:
                return
            else:
                return

    def _forward(self) -> None:
        while self.player.step():
            self._take_point()

    def _take_point(self) -> None:
        player = self.player
        if player.turn % self._every or player.turn <= self._points[-1].turn:
            return
        player.position = self.session.position
        self._points.append(player.point())
        self._counted[player.turn] = self.session.capture()
        if len(self._points) > _MOST_POINTS:  # a long recording: half as many, twice as far apart
            self._points = self._points[:1] + self._points[2::2]
            self._counted = {point.turn: self._counted[point.turn] for point in self._points}
            self._every *= 2

    def _set_out(self, wanted: Seek) -> None:
        target = wanted.target
        if isinstance(wanted, SeekLast):
            found = self._last(wanted.target, wanted.fits)
            self.session.arrival = "here" if found else "there was none before: the recording begins here"
            target = found or 1
        self._return_to(self._point_before(target))
        self.session.run()
        self.session.target = target

    def _point_before(self, position: int) -> Point:
        return max((p for p in self._points if p.position < position), key=lambda p: p.position)

    def _return_to(self, point: Point) -> None:
        self.player.go_back(point)
        self.session.position = point.position
        self.session.restore(self._counted[point.turn])

    def _last(self, before: int, fits: Callable[[Event], bool]) -> int:
        """Return the number of the last event before one that fits, 0: none; from the nearest point back."""
        session = self.session
        for point in reversed([p for p in self._points if p.position < before]):
            self._return_to(point)
            session.scan = Scan(fits, before)
            try:
                while self.player.step():
                    pass
            except ScanDone:
                pass
            finally:
                found, session.scan = session.scan.found, None
            if found:
                return found
            before = point.position + 1
        return 0
