"""A running card's control socket: beside the card's own, ``.control`` behind its name. This user's alone.

One JSON object a line each way: ``{"do": "unplug"}`` is answered by ``{"ok": true}``, perhaps with data, or
by ``{"error": "…"}``. ``ringwalk card`` asks; the card's process answers, confined as it is: a file that it
shall write comes as an open descriptor.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from device.phy import EVERYTHING
from device.regs.nic import STATISTICS
from device.vfio_user.listening import ListenError, bind, peer_uid
from device.wire.capture import CaptureFile, CaptureStage
from device.wire.contract import WireError
from device.wire.impairment import Impairment, ImpairmentStage
from device.wire.pump import PumpedWire
from device.wire.spec import impairment_of, parse_spec
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from device.card import Account
    from device.wire.contract import Wire

SUFFIX: Final = ".control"
MOST_CLIENTS: Final = 8
"""Who may be connected at once; others wait."""
MOST_BYTES: Final = 1 << 16
"""In one line."""
IDLE_S: Final = 60.0
"""How long one who says nothing stays."""
TIMEOUT_S: Final = 10.0
NO_PUMP: Final = (
    "this card's cable has no {what}: start it with one, as in --wire netns,{example}, to change it later"
)
LOG: Final = structlog.get_logger("lab.card_control")


class Controlled(Protocol):
    """What can be done to a served card; any thread may."""

    def set_cable(self, *, plugged: bool) -> None:
        """Plug the cable in or out."""

    def set_partner(self, offers: Iterable[str]) -> None:
        """Have the link partner offer these. ValueError."""

    def registers(self, offsets: Iterable[int]) -> dict[int, int]:
        """Return what registers hold."""

    def reset(self) -> None:
        """Power-cycle the card."""

    def account(self) -> Account:
        """Return the counts so far."""


class RefusedError(Exception):
    """A request that cannot be met; one line says why."""


class CardControl:
    """Answers requests to a card."""

    def __init__(self, served: Controlled, wire: Wire) -> None:
        self._served, self._wire = served, wire
        self._verbs: Mapping[str, Callable[[Mapping[str, Any], list[int]], Mapping[str, Any]]] = {
            "plug": self._plug,
            "unplug": self._unplug,
            "partner": self._partner,
            "stats": self._stats,
            "reset": self._reset,
            "impair": self._impair,
            "capture": self._capture,
        }

    def answer(self, line: bytes, descriptors: list[int]) -> bytes:
        """Return the line that answers a line, which came with descriptors: they stay the caller's."""
        try:
            asked = json.loads(line)
            verb = self._verbs[asked["do"]]
        except (ValueError, KeyError, TypeError):
            known = ", ".join(sorted(self._verbs))
            return _line({"error": f'say {{"do": …}} with one of {known}'})
        try:
            return _line({"ok": True, **verb(asked, descriptors)})
        except RefusedError as error:
            return _line({"error": str(error)})

    def _plug(self, _asked: Mapping[str, Any], _descriptors: list[int]) -> Mapping[str, Any]:
        self._served.set_cable(plugged=True)
        return {}

    def _unplug(self, _asked: Mapping[str, Any], _descriptors: list[int]) -> Mapping[str, Any]:
        self._served.set_cable(plugged=False)
        return {}

    def _partner(self, asked: Mapping[str, Any], _descriptors: list[int]) -> Mapping[str, Any]:
        offers = asked.get("offers", list(EVERYTHING))
        if not isinstance(offers, list) or not all(isinstance(one, str) for one in offers):
            raise RefusedError("offers is a list of modes")
        try:
            self._served.set_partner(offers)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        return {"offers": offers}

    def _stats(self, _asked: Mapping[str, Any], _descriptors: list[int]) -> Mapping[str, Any]:
        values = self._served.registers(one.offset for one in STATISTICS)
        registers = {one.name: values[one.offset] for one in STATISTICS if values[one.offset]}
        return {"account": asdict(self._served.account()), "registers": registers}

    def _reset(self, _asked: Mapping[str, Any], _descriptors: list[int]) -> Mapping[str, Any]:
        self._served.reset()
        return {}

    def _impair(self, asked: Mapping[str, Any], _descriptors: list[int]) -> Mapping[str, Any]:
        stage = next((one for one in self._stages() if isinstance(one, ImpairmentStage)), None)
        if stage is None:
            raise RefusedError(NO_PUMP.format(what="impairment", example="loss=0%"))
        stage.become(_impairment(asked.get("options", "")))
        return {}

    def _capture(self, asked: Mapping[str, Any], descriptors: list[int]) -> Mapping[str, Any]:
        stage = next((one for one in self._stages() if isinstance(one, CaptureStage)), None)
        if stage is None:
            raise RefusedError(NO_PUMP.format(what="capture", example="pcap=all.pcapng"))
        if not descriptors:
            frames = stage.file.frames
            stage.become(None)
            return {"frames": frames}
        try:
            stage.become(
                CaptureFile(str(asked.get("name", "a file")), self._wire.spec, os.dup(descriptors[0]))
            )
        except WireError as error:
            raise RefusedError(str(error)) from error
        return {}

    def _stages(self) -> list[object]:
        found: list[object] = []
        outer: object = self._wire
        while isinstance(outer, PumpedWire):
            found += outer.pump.stages
            outer = outer.inner
        return found


def _impairment(options: object) -> Impairment:
    if not isinstance(options, str):
        raise RefusedError("options is text, as in loss=1%,delay=5ms")
    try:
        parsed = parse_spec(f"none,{options}" if options else "none")
        if "pcap" in parsed.options:
            raise RefusedError("pcap is no impairment: see capture")
        return impairment_of(parsed)
    except WireError as error:
        raise RefusedError(str(error).removeprefix("none,")) from error


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


# -- the card's end


def control_path(card: Path) -> Path:
    """Return where the card at socket ``card`` is controlled."""
    return card.with_name(card.name + SUFFIX)


def bind_control(card: Path) -> socket.socket | None:
    """Bind the control socket of the card at ``card``; None: the name is too long, or not to be had."""
    try:
        return bind(control_path(card))
    except ListenError as error:
        LOG.warning("control.unavailable", why=str(error))
        return None


def serve_control(listener: socket.socket, control: CardControl, allowed_uids: set[int] | None) -> None:
    """Answer whoever connects to a listening socket, until it is closed: the body of a thread."""
    places = threading.BoundedSemaphore(MOST_CLIENTS)
    while True:
        places.acquire()
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if allowed_uids is not None and peer_uid(connection) not in allowed_uids:
            connection.close()
            places.release()
            continue
        threading.Thread(
            target=_converse, args=(connection, control, places), name="control client", daemon=True
        ).start()


def _converse(connection: socket.socket, control: CardControl, places: threading.BoundedSemaphore) -> None:
    descriptors: list[int] = []
    try:
        with connection, contextlib.suppress(OSError):  # it is gone, or silent for too long
            connection.settimeout(IDLE_S)
            rest = b""
            while len(rest) < MOST_BYTES:
                data, found, _flags, _address = socket.recv_fds(connection, 4096, 1)
                if found:  # one belongs to a request, not one to each of its bytes
                    _close(descriptors)
                    descriptors += found
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    connection.sendall(control.answer(line, descriptors))
                    _close(descriptors)
    finally:
        _close(descriptors)
        places.release()


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


# -- the asking end


def ask(card: Path, request: Mapping[str, Any], descriptor: int | None = None) -> dict[str, Any]:
    """Ask the card at socket ``card``. UsageError: nobody answers, or it refuses."""
    path = control_path(card)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(os.fspath(path))
            _send(connection, _line(request), descriptor)
            with connection.makefile("rb") as lines:
                answered = lines.readline(MOST_BYTES)
        except OSError as error:
            raise UsageError(
                f"no card answers at {path} ({error.strerror or error}):"
                f" is `ringwalk serve --socket {card}` running?"
            ) from error
    answer: dict[str, Any] = json.loads(answered or b'{"error": "the card hung up"}')
    if "error" in answer:
        raise UsageError(answer["error"])
    return answer


def _send(connection: socket.socket, line: bytes, descriptor: int | None) -> None:
    ancillary = []
    if descriptor is not None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    connection.sendmsg([line], ancillary)
