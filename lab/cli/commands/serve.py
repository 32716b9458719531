"""``ringwalk serve``: the card alone, for somebody's own QEMU; ``boot`` starts it as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from device import hardening
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.native_serving import NativeServedCard, Tuning
from device.serving import serve
from device.trace.native import TapeError
from device.vfio_user import ListenError
from device.wire.contract import Wire, WireError
from device.wire.spec import open_wire
from lab.cli.commands.boot import ENGINES, mac, terminal_restored
from lab.errors import UsageError
from lab.machines.card_process import Ready
from lab.machines.cards import default_mac, far_end
from lab.machines.libvfio_user import TRANSPORTS, server_factory
from lab.machines.peer import LocalPeer, answer
from lab.machines.qemu.command import memory_arguments, vfio_user_device
from lab.machines.signals import SignalThread, end_soon
from lab.stepper import arguments as stepping
from lab.stepper import screen
from lab.stepper.live import Live, Wish
from lab.stepper.recording_file import RecordingFile, open_recording
from lab.stepper.stepped_guest import EndedError, end_on_signals, pause_on_interrupt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from device.card import Account
    from device.vfio_user import ServerFactory
    from lab.stepper.command import CommandFront

NAME = "serve"
HELP = "serve the card on a vfio-user socket, for your own QEMU"
EXAMPLES = (
    "  ringwalk serve --socket /tmp/nic.sock --wire netns\n"
    "  ringwalk serve --socket /tmp/nic.sock --wire tap:tap0 --mac 52:54:00:12:34:56\n"
    "  ringwalk serve --socket /tmp/nic.sock --wire pcap:out.pcapng --engine reference\n"
    "  ringwalk serve --socket /tmp/nic.sock --transport libvfio-user    by somebody else's protocol engine"
)
EXAMPLE_MEMORY_MIB = 1024
MOST_SPIN_US = 1_000_000


class Served(Protocol):
    """A card that serves; it counts what it does, and its state can be kept."""

    complain: Callable[[str], None]
    """Called when the client does what cannot work, with a line for the user."""

    def save(self, *, hold: bool = False) -> bytes:
        """Return the whole state; ``hold``: do no DMA from then on."""

    def restore(self, state: bytes) -> None:
        """Take a saved state over. ValueError."""

    def account(self) -> Account:
        """Return the counts so far."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--socket", metavar="PATH", type=Path, required=True, help="where QEMU shall connect")
    parser.add_argument("--wire", metavar="SPEC", default="netns", help="the card's cable (default netns)")
    parser.add_argument(
        "--mac", type=mac, help="the card's address (default: one of its own where cards share a cable)"
    )
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="who moves the frames")
    parser.add_argument(
        "--transport", choices=TRANSPORTS, default=TRANSPORTS[0], help="whose vfio-user (default ours)"
    )
    stepping.add_arguments(parser)
    parser.add_argument(
        "--spin-us",
        type=int,
        metavar="N",
        help="look N µs for the next message before sleeping, keeping a core busy;"
        " by default 25, and only while messages come close together (native engine)",
    )
    parser.add_argument(
        "--doorbell",
        choices=("message", "mmap"),
        default="message",
        help="mmap: a polling driver may map the ring registers; QEMU then posts no write (native engine)",
    )
    parser.add_argument(
        "--dma",
        choices=("descriptors", "messages"),
        default="descriptors",
        help="messages: take memory without a descriptor, too (memory-backend-ram): slow, and QEMU may hang",
    )
    parser.add_argument(
        "--write-multiple",
        action="store_true",
        help="let the VMM put register writes together (off by default: docs/performance.md)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON line when ready, one at the end")
    parser.add_argument(
        "--state",
        metavar="FILE",
        type=Path,
        help="start from the state in FILE, if it is there; SIGUSR1 keeps the present one in it",
    )
    parser.add_argument("--no-harden", action="store_true", help="keep every right of this user (see doctor)")
    parser.add_argument(
        "--control-fd",
        type=int,
        metavar="N",
        help="answer requests on this inherited socket (account, save, start, finish); end when it closes",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal, or until the control socket closes; any number of clients may come and go."""
    stop = threading.Event()
    signals = SignalThread()
    signals.end_on((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), stop)
    args.mac = args.mac or default_mac(args.wire)
    wish = wished(args)
    by_reference = needs_reference(wish, args.engine)
    make = maker(args, stepped=by_reference)
    try:
        wire = open_wire(args.wire)
    except WireError as error:
        raise UsageError(str(error)) from error
    reached = far_end(wire)
    peer, peer_address = reached or (None, None)
    begin = with_state(args.state, signals)
    recording = None if by_reference else open_recording(wish.record)
    uids = harden(args, stepped=by_reference, programs=peer is not None)

    def ready(served: Served) -> None:
        served.complain = complain
        begin(served)
        follow(recording, served)
        announce(
            args,
            wire,
            Ready(
                socket=str(args.socket.absolute()),
                mac=args.mac,
                engine=engine,
                wire=args.wire,
                peer_address=peer_address,
                has_peer=peer is not None,
                pid=os.getpid(),
            ),
        )
        if args.control_fd is not None:
            control = socket.socket(fileno=args.control_fd)
            threading.Thread(target=obey, args=(control, served, peer, stop, args.state), daemon=True).start()

    engine = ReferenceEngine.name if by_reference else args.engine
    begun = Begun(ready, stop, uids, make)
    try:
        if by_reference:
            account = translated(args, lambda: looked_on(args, wire, wish, begun))
        else:
            account = translated(args, lambda: alone(args, wire, recording, begun))
    finally:
        for opened in (recording, peer, wire):
            if opened is not None:
                opened.close()
    close(asdict(account), as_json=args.json)
    return 0


@dataclass(frozen=True, slots=True)
class Begun:
    """What every way to serve is given."""

    ready: Callable[[Served], None]
    stop: threading.Event
    uids: set[int] | None
    make: ServerFactory | None


def looked_on(args: argparse.Namespace, wire: Wire, wish: Wish, begun: Begun) -> Account:
    """Serve a card of the reference engine: stepped on the terminal or on a full screen, or recorded."""

    def work(live: Live) -> Account:
        return live.serve(str(args.socket.absolute()), begun.ready, begun.stop, allowed_uids=begun.uids)

    return serve_stepped(wire, address(args), wish, work, begun.stop)


def alone(args: argparse.Namespace, wire: Wire, recording: RecordingFile | None, begun: Begun) -> Account:
    """Serve a card at its full speed; the native engine may be recorded."""
    return serve(
        str(args.socket.absolute()),
        wire,
        address(args),
        args.engine,
        ready=begun.ready,
        stop=begun.stop,
        tuning=tuning(args),
        allowed_uids=begun.uids,
        make=begun.make,
        tape=recording.tape if recording is not None else None,
    )


def address(args: argparse.Namespace) -> bytes:
    """Return the card's address."""
    return bytes.fromhex(args.mac.replace(":", ""))


def translated(args: argparse.Namespace, serving: Callable[[], Account]) -> Account:
    """Serve, and say what could not be done as the user's matter. UsageError."""
    try:
        return serving()
    except ListenError as error:
        raise UsageError(str(error)) from error
    except TapeError as error:
        raise UsageError(f"--record {args.record}: {error}") from error
    except ValueError as error:
        raise UsageError(f"--state {args.state}: {error}; remove it to start afresh") from error
    except KeyError as error:
        raise UsageError(f"this build has no {args.engine} engine: use --engine reference") from error


def needs_reference(wish: Wish, engine: str) -> bool:
    """Tell whether what is wished needs the reference engine: who looks on does, and its recordings."""
    return wish.watched or (wish.anything and engine != NativeEngine.name)


def follow(recording: RecordingFile | None, served: Served) -> None:
    """Tell a recording who writes it."""
    if recording is not None and isinstance(served, NativeServedCard):
        recording.recorder = served.recorder


def serve_stepped(
    wire: Wire, address: bytes, wish: Wish, work: Callable[[Live], Account], stop: threading.Event
) -> Account:
    """Serve with the stepper on the terminal, on a full screen, or with a recording alone."""
    if not wish.screen:
        live = Live(wire, address, wish)
        if live.session is not None and wish.step and wish.commands is None:
            pause_on_interrupt(live.session)
            end_on_signals(live.session, stop)
        with terminal_restored():
            try:
                return work(live)
            except EndedError:
                return live.served.account()
    accounts: list[Account] = []

    def shown(front: CommandFront) -> str:
        accounts.append(work(Live(wire, address, wish, front)))
        return ""

    screen.run(shown, stop.set)
    if not accounts:
        raise UsageError("the card was left before it was served")
    return accounts[0]


def tuning(args: argparse.Namespace) -> Tuning:
    """Return how the transport shall be tuned."""
    if args.spin_us is not None and not 0 <= args.spin_us <= MOST_SPIN_US:
        raise UsageError(f"--spin-us {args.spin_us}: give 0 to {MOST_SPIN_US}")
    if args.engine != "native" and (args.spin_us or args.doorbell == "mmap"):
        raise UsageError("--spin-us and --doorbell mmap are the native engine's: leave --engine out")
    if args.dma == "messages" and args.transport != TRANSPORTS[0]:
        raise UsageError(f"--dma messages needs --transport {TRANSPORTS[0]}")
    if args.doorbell == "mmap" and args.transport != TRANSPORTS[0]:
        raise UsageError(f"--doorbell mmap needs --transport {TRANSPORTS[0]}: a file for each client")
    return Tuning(
        spin_us=args.spin_us,
        write_multiple=args.write_multiple,
        dma_messages=args.dma == "messages",
        mapped_doorbells=args.doorbell == "mmap",
    )


def maker(args: argparse.Namespace, *, stepped: bool) -> ServerFactory | None:
    """Return what makes the transport's server, while we may still fetch it."""
    if stepped and args.transport != TRANSPORTS[0]:
        raise UsageError(f"stepping, and recording the reference engine, need --transport {TRANSPORTS[0]}")
    return server_factory(args.transport)


def confine(args: argparse.Namespace, *, programs: bool) -> None:
    """Give up what the card needs no more; its wire is open, its socket is not yet."""
    sockets = [args.socket.absolute().parent]
    files = [args.state.absolute().parent] if args.state is not None else []
    try:
        hardening.harden(sockets=sockets, files=files, programs=programs)
    except OSError as error:
        raise UsageError(f"cannot give up rights ({error}): use --no-harden, or look at doctor") from error


def harden(args: argparse.Namespace, *, stepped: bool, programs: bool) -> set[int] | None:
    """Confine this process, and return whose clients may come; None: everybody's.

    A stepper is not confined: it opens files and loads hooks as it goes.
    """
    if args.no_harden:
        return None
    if not stepped:
        confine(args, programs=programs)
    return {0, os.geteuid()}


def wished(args: argparse.Namespace) -> Wish:
    """Return what is asked of the stepper. UsageError: it cannot be had with the rest."""
    wish = stepping.wish(args)
    if wish.record is not None and args.state is not None:
        raise UsageError("a recording begins at power-on: give --record or --state, not both")
    return wish


def with_state(path: Path | None, signals: SignalThread) -> Callable[[Served], None]:
    """Read the state there is, while we may; return what gives it to a card and keeps it when asked to."""
    kept = path.read_bytes() if path is not None and path.exists() else None

    def begin(served: Served) -> None:
        if kept is not None:
            served.restore(kept)
        if path is not None:
            on_request(signals, lambda: keep(served, path, hold=False))

    return begin


def keep(served: Served, path: Path, *, hold: bool) -> str:
    """Write the card's state to a file, whole or not at all; return its name."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(served.save(hold=hold))
    partial.replace(path)
    return str(path)


def on_request(signals: SignalThread, action: Callable[[], object]) -> None:
    """Do something at each SIGUSR1, in a thread of its own: it may wait for a lock, or for a disk."""
    asked = threading.Event()

    def wait() -> None:
        while True:
            asked.wait()
            asked.clear()
            try:
                action()
            except OSError as error:
                print(f"ringwalk: cannot keep the state: {error}", file=sys.stderr, flush=True)

    threading.Thread(target=wait, name="state", daemon=True).start()
    signals.obey((signal.SIGUSR1,), asked.set)


def announce(args: argparse.Namespace, wire: Wire, ready: Ready) -> None:
    """Say that a VMM may connect, and with what arguments."""
    if args.json:
        print(json.dumps(asdict(ready)), flush=True)
        return
    print(f"82574L {args.mac}, {ready.engine} engine, wire {wire.spec}; for QEMU 10.1.1 or later:")
    print("  " + qemu_arguments(args.socket.absolute()), flush=True)


def qemu_arguments(path: Path) -> str:
    """Return the arguments for somebody's own QEMU, quoted for a shell."""
    memory = " ".join(memory_arguments(EXAMPLE_MEMORY_MIB))
    return f"-m {EXAMPLE_MEMORY_MIB}M {memory} -device '{vfio_user_device(path)}'"


def complain(text: str) -> None:
    """Tell the user, on standard error."""
    print(f"ringwalk: {text}", file=sys.stderr, flush=True)


def close(account: dict[str, Any], *, as_json: bool) -> None:
    """Print the card's account at the end; nobody may be there to read it any more."""
    told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in account.items())
    text = json.dumps({"account": account}) if as_json else told
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the interpreter's own last flush


def obey(
    control: socket.socket,
    served: Served,
    peer: LocalPeer | None,
    stop: threading.Event,
    state: Path | None = None,
) -> None:
    """Answer the control socket's requests until it closes; then everything ends."""
    save = None if state is None else lambda: keep(served, state, hold=True)
    with control, control.makefile("rwb") as lines:
        for line in lines:
            reply = answer(json.loads(line), peer, lambda: asdict(served.account()), save)
            lines.write(json.dumps(reply).encode() + b"\n")
            lines.flush()
    end_soon(stop)
