"""``ringwalk serve``: the card alone, for somebody's own QEMU; ``boot`` starts it as a process."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from device import hardening
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.native_serving import NativeServedCard, Tuning
from device.serving import serve
from device.trace.native import TapeError
from device.vfio_user import ListenError
from device.wire import capture
from device.wire.spec import start
from lab.cli.terminal import terminal_restored
from lab.errors import UsageError
from lab.machines.card_control import CardControl, Controlled, serve_control
from lab.machines.card_process import Ready
from lab.machines.card_surroundings import Surroundings, surround
from lab.machines.cards import default_mac
from lab.machines.kinds import TRANSPORTS
from lab.machines.libvfio_user import server_factory
from lab.machines.peer import Answer, answer, obey
from lab.machines.qemu.command import memory_arguments, vfio_user_device
from lab.machines.signals import SignalThread, end_soon, interrupt_on_signals
from lab.stepper import arguments as stepping
from lab.stepper import screen
from lab.stepper.live import Live
from lab.stepper.recording_file import RecordingFile, open_recording
from lab.stepper.signals import EndedError, end_on_signals, pause_on_interrupt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from device.card import Account
    from device.hardening import Posture
    from device.sandbox.needs import Needs
    from device.vfio_user import ServerFactory
    from device.wire.contract import Wire
    from lab.stepper.command import CommandFront
    from lab.stepper.wish import Wish

EXAMPLE_MEMORY_MIB = 1024
MOST_SPIN_US = 1_000_000


class Restorable(Protocol):
    """A card that can start from a kept state."""

    def restore(self, state: bytes) -> None:
        """Take a saved state over. ValueError."""


class Served(Restorable, Controlled, Protocol):
    """A card that serves; it counts what it does, and its state can be kept."""

    complain: Callable[[str], None]
    """Called when the client does what cannot work, with a line for the user."""

    def save(self, *, hold: bool = False) -> bytes:
        """Return the whole state; ``hold``: do no DMA from then on."""

    def account(self) -> Account:
        """Return the counts so far."""


def run(args: argparse.Namespace) -> int:
    """Serve until a signal, or until the control socket closes; any number of clients may come and go."""
    interrupt_on_signals()  # until there may be threads, and so a ``SignalThread``
    stop = threading.Event()
    args.mac = args.mac or default_mac(args.wire)
    wish = wished(args)
    make = maker(args, stepped=needs_reference(wish, args.engine))
    begun = Begun(args, wish, stop, make, kept_state(args.state), surroundings(args, wish))
    recording = None if begun.by_reference else open_recording(wish.record)
    if wish.watched:
        begun.obey_signals()
    try:
        serving = looked_on if begun.by_reference else functools.partial(alone, recording=recording)
        account = translated(args, lambda: serving(begun))
    finally:
        lacking = recording is not None and recording.close()
        begun.around.close()
        for trouble in capture.troubles(begun.around.wire):
            complain(trouble)
            lacking = True
    close(asdict(account), as_json=args.json)
    return int(lacking)


def surroundings(args: argparse.Namespace, wish: Wish) -> Surroundings:
    """Open the wire, bind the socket, start the helpers. UsageError."""
    try:
        return surround(
            args.socket.absolute(),
            args.wire,
            args.transport,
            state=args.state.absolute() if args.state is not None else None,
            peer_fd=args.peer_fd,
            recorded=wish.record is not None,
        )
    except ListenError as error:
        raise UsageError(str(error)) from error


@dataclass(slots=True)
class Begun:
    """What every way to serve is given."""

    args: argparse.Namespace
    wish: Wish
    stop: threading.Event
    make: ServerFactory | None
    state: bytes | None
    """The saved state that the card starts from."""
    around: Surroundings
    sandbox: str = ""
    """What binds the process, in words; known once it is confined."""
    signals: SignalThread | None = None

    @property
    def by_reference(self) -> bool:
        """Whether the reference engine serves, whatever was asked for."""
        return needs_reference(self.wish, self.args.engine)

    @property
    def uids(self) -> set[int] | None:
        """Whose clients may come: of this user and of root; None: everybody's."""
        return None if self.args.no_harden else {0, os.geteuid()}

    def confine(self) -> None:
        """Give up every right, start the wire and listen: all files are open, and there is no thread yet."""
        if self.args.no_harden:
            self.sandbox = "none (--no-harden)"
        elif self.wish.watched:
            self.sandbox = "none: a stepper opens files and loads hooks as it goes"
        else:
            self.sandbox = str(confine(self.around.needs))
        if self.signals is None:
            self.obey_signals()
        start(self.around.wire)
        if isinstance(self.around.at, socket.socket):
            self.around.at.listen()

    def obey_signals(self) -> None:
        """End at a signal from now on, whatever the main thread does, which this is. It takes a thread."""
        self.signals = SignalThread()
        self.signals.end_on((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self.stop)

    def ready(self, served: Served, recording: RecordingFile | None = None) -> None:
        """Let a VMM come, and say so."""
        served.complain = complain
        if self.state is not None:
            restored(served, self.state, self.args.state)
        if self.args.state is not None and self.signals is not None:
            on_request(self.signals, lambda: self.around.clerk.keep(served.save()))
        follow(recording, served)
        if self.around.control is not None:
            self.around.control.listen()
            controlled = CardControl(served, self.around.wire)
            threading.Thread(
                target=serve_control,
                args=(self.around.control, controlled, self.uids),
                name="control",
                daemon=True,
            ).start()
        announce(self)
        if self.args.control_fd is not None:
            control = socket.socket(fileno=self.args.control_fd)
            threading.Thread(target=obeyed, args=(self, control, served), name="control", daemon=True).start()


def looked_on(begun: Begun) -> Account:
    """Serve a card of the reference engine: stepped on the terminal or on a full screen, or recorded."""
    uids = begun.uids

    def work(live: Live) -> Account:
        begun.confine()
        return live.serve(begun.around.at, begun.ready, begun.stop, allowed_uids=uids)

    return serve_stepped(begun.around.wire, address(begun.args), begun.wish, work, begun.stop)


def alone(begun: Begun, recording: RecordingFile | None) -> Account:
    """Serve a card at its full speed; the native engine may be recorded."""
    uids, tuned = begun.uids, tuning(begun.args)
    begun.confine()
    return serve(
        begun.around.at,
        begun.around.wire,
        address(begun.args),
        begun.args.engine,
        ready=functools.partial(begun.ready, recording=recording),
        stop=begun.stop,
        tuning=tuned,
        allowed_uids=uids,
        make=begun.make,
        tape=recording.tape if recording is not None else None,
    )


def address(args: argparse.Namespace) -> bytes:
    """Return the card's address."""
    return bytes.fromhex(args.mac.replace(":", ""))


def restored(served: Restorable, state: bytes, path: Path) -> None:
    """Have the card start from the state that ``path`` held. UsageError: it is none."""
    try:
        served.restore(state)
    except ValueError as error:
        raise UsageError(f"--state {path}: {error}; remove it to start afresh") from error


def translated(args: argparse.Namespace, serving: Callable[[], Account]) -> Account:
    """Serve, and say what could not be done as the user's matter. UsageError."""
    try:
        return serving()
    except ListenError as error:
        raise UsageError(str(error)) from error
    except TapeError as error:
        raise UsageError(f"--record {args.record}: {error}") from error


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


def confine(needs: Needs) -> Posture:
    """Give up what the card needs no more: its files are open, its socket is bound. UsageError."""
    try:
        return hardening.harden(needs)
    except OSError as error:
        raise UsageError(f"cannot give up rights ({error}): use --no-harden, or look at doctor") from error


def wished(args: argparse.Namespace) -> Wish:
    """Return what is asked of the stepper. UsageError: it cannot be had with the rest."""
    wish = stepping.wish(args)
    if wish.record is not None and args.state is not None:
        raise UsageError("a recording begins at power-on: give --record or --state, not both")
    return wish


def kept_state(path: Path | None) -> bytes | None:
    """Read the state there is, while we may. UsageError."""
    try:
        return path.read_bytes() if path is not None and path.exists() else None
    except OSError as error:
        raise UsageError(f"--state {path}: {error.strerror}; give a file that can be read") from error


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


def announce(begun: Begun) -> None:
    """Say that a VMM may connect, and with what arguments."""
    args, around = begun.args, begun.around
    ready = Ready(
        socket=str(args.socket.absolute()),
        mac=args.mac,
        engine=ReferenceEngine.name if begun.by_reference else args.engine,
        wire=args.wire,
        peer_address=around.peer_address,
        has_peer=around.reached,
        pid=os.getpid(),
        sandbox=begun.sandbox,
    )
    if args.json:
        print(json.dumps(asdict(ready)), flush=True)
        return
    print(f"82574L {args.mac}, {ready.engine} engine, wire {around.wire.spec}; for QEMU 10.1.1 or later:")
    print("  " + qemu_arguments(args.socket.absolute(), waits=stepping.wish(args).watched))
    print(f"  sandbox: {ready.sandbox}", flush=True)


def qemu_arguments(path: Path, *, waits: bool = False) -> str:
    """Return the arguments for somebody's own QEMU, quoted for a shell; ``waits``: a stop holds its guest."""
    memory = " ".join(memory_arguments(EXAMPLE_MEMORY_MIB))
    return f"-m {EXAMPLE_MEMORY_MIB}M {memory} -device '{vfio_user_device(path, waits=waits)}'"


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
        sys.stdout = io.StringIO()  # for the interpreter's own last flush


def obeyed(begun: Begun, control: socket.socket, served: Served) -> None:
    """Answer the control socket's requests until it closes; then everything ends."""
    state = begun.args.state

    def save() -> str:
        begun.around.clerk.keep(served.save(hold=True))
        return str(state)

    def answered(request: Answer) -> Answer:
        return answer(request, lambda: asdict(served.account()), None if state is None else save)

    obey(control, answered)
    end_soon(begun.stop)
