"""Our cards and our drivers on real cables: NDIS over 82574L cards in this process, each on a descriptor.

``Wired`` runs everything on one thread of its own; ``with wired.still:`` is the time between two steps,
in which another thread may look at the stack or change it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from device.engine.native import NativeEngine
from device.wire.contract import Framing
from device.wire.frame import Frame
from device.wire.port import Port
from lab.host.inprocess_stack import ADAPTERS
from miniport.hal.inprocess import InProcessBus
from ndis.miniport import MiniportCharacteristics
from ndis.wrapper import Ndis
from ntos.executive.live import LiveExecutive

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from device.effects import FrameSent
    from miniport.hal.inprocess import EngineFactory
    from ndis.adapter import MiniportAdapter
    from ndis.events import Observer
    from ndis.miniport import Version

SHORTEST_BYTES: Final = 60
STEP_NS: Final = 10_000_000
BATCH: Final = 64
POLL_S: Final = 0.05


class WiredCard:
    """A card whose cable is a datagram socket."""

    def __init__(self, executive: LiveExecutive, fd: int, mac: bytes, engine: EngineFactory) -> None:
        """Power it on, plugged in. ``fd`` stays the caller's."""
        self._port = Port(fd, Framing.DATAGRAM)
        self._executive = executive
        self.plugged = True
        self.bus = InProcessBus(engine, executive, mac, send=self._send)
        executive.watch(fd, self._receive)

    def plug(self, *, present: bool) -> None:
        """Plug the cable in or out: what is under way is lost, both ends stay up."""
        self.plugged = present
        self.bus.plug(present=present)

    def close(self) -> None:
        """Leave the cable."""
        self._executive.unwatch(self._port.fd)

    def _send(self, frame: FrameSent) -> None:
        if self.plugged:
            self._port.write(Frame(frame.data))

    def _receive(self) -> None:
        for _ in range(BATCH):
            frame = self._port.read()
            if frame is None:
                return
            if self.plugged:  # QEMU hands frames over without their padding
                self.bus.receive(frame.data.ljust(SHORTEST_BYTES, b"\0"))


class Wired:
    """NDIS with a miniport over each of several wired cards, running from ``__enter__`` on."""

    def __init__(
        self,
        descriptors: list[int],
        *,
        engine: EngineFactory = NativeEngine,
        version: Version = (5, 1),
        deserialized: bool = True,
        observer: Observer | None = None,
    ) -> None:
        """Make cards and adapters; their addresses are 02:82:57:4c:00:01 and so on."""
        self.executive = LiveExecutive()
        self.ndis = Ndis(self.executive, observer)
        self.still = threading.Lock()
        self.cards: list[WiredCard] = []
        self.adapters: list[MiniportAdapter] = []
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="wired stack", daemon=True)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(ADAPTERS[version], version))
        for number, fd in enumerate(descriptors, 1):
            card = WiredCard(self.executive, fd, bytes([2, 0x82, 0x57, 0x4C, 0, number]), engine)
            self.cards.append(card)
            settings = {"Deserialized": deserialized}
            self.adapters.append(self.ndis.add_adapter(driver, f"card{number}", card.bus, settings))

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, take the adapters away, and raise what the stack raised."""
        self._stop.set()
        self._thread.join()
        try:
            if self._failure is not None and error is None:
                raise self._failure
            for adapter in self.adapters:
                self.ndis.remove_adapter(adapter)
        finally:
            for card in self.cards:
                card.close()
            self.executive.close()

    def until(self, condition: Callable[[], bool], most_s: float) -> bool:
        """Wait while the stack runs; return whether the condition came to hold."""
        end_s = time.monotonic() + most_s
        while self._failure is None:
            with self.still:
                if condition():
                    return True
            if time.monotonic() > end_s:
                return False
            self._stop.wait(POLL_S)
        raise self._failure

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self.still:
                    self.executive.step(STEP_NS)
            except BaseException as error:  # noqa: BLE001 - kept, and raised to whoever waits
                self._failure = error
                return
            time.sleep(0)  # a lock is not fair: let the other thread have it
