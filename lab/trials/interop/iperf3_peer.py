"""A small iperf3, server and client, over any ``socket`` module: ours in the first place."""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from lab.trials.interop.iperf3_protocol import (
    COOKIE_BYTES,
    PORT,
    UDP_HELLO,
    Counts,
    Parameters,
    ProtocolError,
    State,
    emit_json,
    json_bytes,
    parse_json,
    results,
    state_of,
)
from lab.trials.interop.iperf3_streams import RECEIVE_BYTES, DatagramHub, Stream, over_socket

PATIENCE_S = 30.0
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished test: our streams' figures, theirs as they told them, and how long it was."""

    parameters: Parameters
    ours: list[Counts]
    theirs: list[dict[str, Any]]
    seconds: float


class Control:
    """The control connection."""

    def __init__(self, sock: Any) -> None:  # noqa: ANN401 - a socket of some module
        self._socket = sock
        sock.settimeout(PATIENCE_S)

    def read(self, size: int) -> bytes:
        """Read so much. ProtocolError when the connection ends before."""
        found = b""
        while len(found) < size:
            piece = self._socket.recv(size - len(found))
            if not piece:
                raise ProtocolError("the control connection ended")
            found += piece
        return found

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self._socket.sendall(data)

    def say(self, state: State) -> None:
        """Tell a state."""
        self.write(int(state).to_bytes(1, "big", signed=True))

    def expect(self, *wanted: State, patience_s: float = PATIENCE_S) -> State:
        """Wait for one of these states. ProtocolError for another."""
        self._socket.settimeout(patience_s)
        state = state_of(self.read(1))
        if state not in wanted:
            raise ProtocolError(f"{state.name} in place of {wanted[0].name}")
        return state

    def read_json(self) -> dict[str, Any]:
        """Read a JSON message."""
        return parse_json(self.read(json_bytes(self.read(4))))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Server:
    """Serves one test after the other until it is closed; ``outcome`` tells what came of each."""

    def __init__(self, sockets: Any, address: str, port: int = PORT) -> None:  # noqa: ANN401 - a module
        self._outcomes: queue.SimpleQueue[Outcome | str] = queue.SimpleQueue()
        self._module = sockets
        self._at = (address, port)
        self._listener = sockets.socket()
        self._listener.bind(self._at)
        self._listener.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def outcome(self, patience_s: float = PATIENCE_S) -> Outcome:
        """Wait for the end of the next test. ProtocolError when it failed, or none ends in time."""
        try:
            found = self._outcomes.get(timeout=patience_s)
        except queue.Empty as error:
            raise ProtocolError("no test came to an end") from error
        if isinstance(found, str):
            raise ProtocolError(found)
        return found

    def close(self) -> None:
        """Serve nobody any more."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            control = Control(connection)
            try:
                self._outcomes.put(self._test(control))
            except (ProtocolError, OSError) as error:
                self._outcomes.put(str(error))
                with contextlib.suppress(OSError):
                    control.write(int(State.SERVER_ERROR).to_bytes(1, "big", signed=True) + bytes(8))
            finally:
                control.close()

    def _test(self, control: Control) -> Outcome:
        cookie = control.read(COOKIE_BYTES)
        control.say(State.PARAM_EXCHANGE)
        wanted = Parameters.parse(control.read_json())
        opening = self._open_datagrams if wanted.udp else self._open_streams
        streams = opening(control, cookie, wanted)
        try:
            control.say(State.TEST_START)
            control.say(State.TEST_RUNNING)
            began = time.monotonic()
            for stream in streams:
                stream.start(sender=wanted.reverse)
            control.expect(State.TEST_END, patience_s=wanted.time + PATIENCE_S)
            seconds = time.monotonic() - began
            for stream in streams:
                stream.stop()
            control.say(State.EXCHANGE_RESULTS)
            theirs = control.read_json()
            counts = [stream.counts for stream in streams]
            control.write(emit_json(results(counts, seconds)))
            control.say(State.DISPLAY_RESULTS)
            control.expect(State.IPERF_DONE)
        finally:
            for stream in streams:
                stream.close()
        return Outcome(wanted, counts, theirs.get("streams", []), seconds)

    def _open_streams(self, control: Control, cookie: bytes, wanted: Parameters) -> list[Stream]:
        control.say(State.CREATE_STREAMS)
        streams: list[Stream] = []
        self._listener.settimeout(PATIENCE_S)
        try:
            while len(streams) < wanted.parallel:
                sock, _ = self._listener.accept()
                if Control(sock).read(COOKIE_BYTES) != cookie:
                    sock.close()  # another client: one test at a time
                    continue
                sock.settimeout(None)
                streams.append(over_socket(wanted, sock))
        finally:
            self._listener.settimeout(None)
        return streams

    def _open_datagrams(self, control: Control, _cookie: bytes, wanted: Parameters) -> list[Stream]:
        hub = DatagramHub(self._module, self._at)
        control.say(State.CREATE_STREAMS)
        return hub.streams(wanted, PATIENCE_S)


def run_client(sockets: Any, address: str, wanted: Parameters, port: int = PORT) -> Outcome:  # noqa: ANN401 - a module
    """Run a test against an iperf3 server. ProtocolError, OSError."""
    cookie = "".join(secrets.choice(LETTERS) for _ in range(COOKIE_BYTES - 1)).encode() + b"\0"
    control = Control(sockets.create_connection((address, port), PATIENCE_S))
    streams: list[Stream] = []
    try:
        control.write(cookie)
        control.expect(State.PARAM_EXCHANGE)
        control.write(emit_json(wanted.emit()))
        control.expect(State.CREATE_STREAMS)
        streams.extend(_opened(sockets, (address, port), cookie, wanted) for _ in range(wanted.parallel))
        control.expect(State.TEST_START)
        control.expect(State.TEST_RUNNING)
        began = time.monotonic()
        for stream in streams:
            stream.start(sender=not wanted.reverse)
        time.sleep(wanted.time)
        for stream in streams:
            stream.stop()
        seconds = time.monotonic() - began
        control.say(State.TEST_END)
        control.expect(State.EXCHANGE_RESULTS)
        counts = [stream.counts for stream in streams]
        control.write(emit_json(results(counts, seconds)))
        theirs = control.read_json()
        control.expect(State.DISPLAY_RESULTS)
        control.say(State.IPERF_DONE)
    finally:
        for stream in streams:
            stream.close()
        control.close()
    return Outcome(wanted, counts, theirs.get("streams", []), seconds)


def _opened(sockets: Any, server: tuple[str, int], cookie: bytes, wanted: Parameters) -> Stream:  # noqa: ANN401 - a module
    if not wanted.udp:
        sock = sockets.create_connection(server, PATIENCE_S)
        sock.sendall(cookie)
    else:
        sock = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
        sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BYTES)
        sock.connect(server)
        sock.send(UDP_HELLO)
        sock.settimeout(PATIENCE_S)
        sock.recv(len(UDP_HELLO))
    sock.settimeout(None)
    return over_socket(wanted, sock)
