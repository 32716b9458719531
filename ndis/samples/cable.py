"""A cable between software adapters: what one sends, all others receive; alone, it hears itself."""

from __future__ import annotations

from typing import Protocol


class Station(Protocol):
    """What is plugged in."""

    def frame_arrives(self, frame: bytes) -> None:
        """Take a frame off the cable."""


class Cable:
    """An Ethernet segment without loss or delay."""

    def __init__(self) -> None:
        """Nothing is plugged in. ``log`` keeps every frame that was carried, in order."""
        self.stations: list[Station] = []
        self.log: list[bytes] = []

    def carry(self, sender: Station, frame: bytes) -> None:
        """Deliver one frame."""
        self.log.append(frame)
        others = [s for s in self.stations if s is not sender]
        for station in others or [sender]:
            station.frame_arrives(frame)
