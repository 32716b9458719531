"""A test's data streams over a ``socket`` module: one thread each, until told to stop."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from lab.trials.interop.iperf3_protocol import (
    UDP_ANSWER,
    Counts,
    ProtocolError,
    emit_datagram,
    parse_datagram,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.trials.interop.iperf3_protocol import Parameters

END_S = 5.0
LARGEST_DATAGRAM = 65507
RECEIVE_BYTES = 1 << 20
"""SO_RCVBUF of UDP: what a busy machine may let wait."""
BURST_S = 0.002
"""A paced sender catches up in bursts of at least this much."""


class Stream:
    """One stream. ``send`` takes and ``receive`` returns a piece; OSError ends it."""

    def __init__(
        self,
        parameters: Parameters,
        send: Callable[[bytes], int],
        receive: Callable[[], bytes | memoryview],
        close: Callable[[], None],
    ) -> None:
        self.counts = Counts()
        self._parameters = parameters
        self._send, self._receive, self._close = send, receive, close
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, *, sender: bool) -> None:
        """Send or receive in a thread."""
        kind = self._send_datagrams if self._parameters.udp else self._send_bytes
        receiving = self._receive_datagrams if self._parameters.udp else self._receive_bytes
        work = kind if sender else receiving
        self._thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have it end soon; its figures stand still after ``close``."""
        self._stopping.set()

    def close(self) -> None:
        """Close the socket and wait for the thread."""
        self._stopping.set()
        self._close()
        if self._thread is not None:
            self._thread.join(END_S)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError:
            return  # the other side, or ``close``, ended it

    def _send_bytes(self) -> None:
        block = bytes(self._parameters.length)
        while not self._stopping.is_set():
            self.counts.bytes += self._send(block)

    def _receive_bytes(self) -> None:
        while piece := self._receive():
            if self._stopping.is_set():
                return
            self.counts.bytes += len(piece)

    def _send_datagrams(self) -> None:
        wanted, counts = self._parameters, self.counts
        began = time.monotonic()
        while not self._stopping.is_set():
            if wanted.bandwidth:
                ahead = counts.bytes * 8 / wanted.bandwidth - (time.monotonic() - began)
                if ahead > 0:
                    self._stopping.wait(max(ahead, BURST_S))
                    continue
            counts.packets += 1
            data = emit_datagram(wanted.length, counts.packets, time.time_ns(), wide=wanted.counters_64bit)
            counts.bytes += self._send(data)

    def _receive_datagrams(self) -> None:
        while not self._stopping.is_set():
            data = self._receive()
            try:
                number, sent_ns = parse_datagram(data, wide=self._parameters.counters_64bit)
            except ProtocolError:
                continue  # a late greeting
            self.counts.arrived(len(data), number, (time.time_ns() - sent_ns) / 1e9)


def over_socket(parameters: Parameters, sock: Any) -> Stream:  # noqa: ANN401 - a socket of some module
    """Return the stream of a connected socket, of either kind."""
    size = LARGEST_DATAGRAM if parameters.udp else parameters.length
    buffer = memoryview(bytearray(size))

    def receive() -> memoryview:
        return buffer[: sock.recv_into(buffer)]

    return Stream(parameters, sock.send, receive, sock.close)


class DatagramHub:
    """The server's UDP socket: whoever greets it is a stream. It closes with the last of them."""

    def __init__(self, sockets: Any, address: tuple[str, int]) -> None:  # noqa: ANN401 - a module like ``socket``
        self._socket = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
        self._socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BYTES)
        self._socket.bind(address)
        self._queues: dict[Any, queue.SimpleQueue[bytes]] = {}
        self._open = 0

    def streams(self, parameters: Parameters, patience_s: float) -> list[Stream]:
        """Answer as many greetings as there are to be streams. TimeoutError."""
        made: list[Stream] = []
        self._socket.settimeout(patience_s)
        while len(made) < parameters.parallel:
            _, source = self._socket.recvfrom(LARGEST_DATAGRAM)
            if source not in self._queues:
                self._queues[source] = queue.SimpleQueue()
                made.append(self._stream(parameters, source))
            self._socket.sendto(UDP_ANSWER, source)
        self._socket.settimeout(None)
        self._open = len(made)
        if not parameters.reverse:
            threading.Thread(target=self._sort, daemon=True).start()
        return made

    def _stream(self, parameters: Parameters, source: Any) -> Stream:  # noqa: ANN401 - the module's addresses
        waiting = self._queues[source]

        def close() -> None:
            waiting.put(b"")
            self._open -= 1
            if not self._open:
                self._socket.close()

        return Stream(parameters, lambda data: self._send(data, source), waiting.get, close)

    def _send(self, data: bytes, source: Any) -> int:  # noqa: ANN401 - the module's addresses
        return int(self._socket.sendto(data, source))

    def _sort(self) -> None:
        while True:
            try:
                data, source = self._socket.recvfrom(LARGEST_DATAGRAM)
            except OSError:
                return
            if source in self._queues:
                self._queues[source].put(data)
