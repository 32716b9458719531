"""``ringwalk boot``: a Linux guest with our card (or another), and the proof that traffic flowed."""

from __future__ import annotations

import codecs
import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lab.cli.terminal import terminal_restored
from lab.errors import UsageError
from lab.host import boot_stack, nt_guest
from lab.host.station import Station
from lab.machines import boot_report, guest_machine
from lab.machines.cards import LOCAL_MAC, CardSpec, default_mac
from lab.machines.guest import exchange
from lab.machines.guest.agent import KILLED
from lab.machines.guest.session import GuestError, GuestSpec, GuestTimeoutError, check_kernel
from lab.machines.kinds import KINDS
from lab.machines.peer import PeerError
from lab.machines.qemu.process import QemuError
from lab.machines.signals import interrupt_on_signals
from lab.stepper import arguments as stepping
from lab.stepper import guest_symbols, screen
from lab.stepper.stepped_guest import Steered
from lab.trials.interop.verified import verdict

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from lab.machines.guest.agent import Result
    from lab.machines.guest.session import Guest
    from lab.stepper.command import CommandFront
    from lab.stepper.wish import Wish

NT_ECHOES = 10
NO_DRIVER = "modprobe.blacklist=e1000e"
"""For the kernel's command line: the guest's init loads no driver for the card."""
A_DAY_S = 86_400
TIMED_OUT = 124
"""The status of what took longer than --timeout, as timeout(1) has it."""


def card_specs(args: argparse.Namespace) -> list[CardSpec]:
    """Join the repeated --nic, --wire and --mac into cards."""
    kinds: list[str] = args.nic or [KINDS[0]]
    wires: list[str] = args.wire or []
    macs: list[str] = args.mac or []
    for name, values in (("--wire", wires), ("--mac", macs)):
        if len(values) > len(kinds):
            raise UsageError(f"{len(values)} {name} for {len(kinds)} cards: give --nic as often")
    wires = wires + ["netns"] * (len(kinds) - len(wires))
    macs = macs + [default_mac(wires[n], n + 1) for n in range(len(macs), len(kinds))]
    if len(set(macs)) < len(macs):
        raise UsageError("two cards have one address: give each --mac its own")
    captured = [captured_wire(wire, args.pcap, n) for n, wire in enumerate(wires)]
    return [
        CardSpec(kind, wire, address, args.engine, args.transport)
        for kind, wire, address in zip(kinds, captured, macs, strict=True)
    ]


def captured_wire(wire: str, pcap: Path | None, number: int) -> str:
    """Add a capture to a wire; the second card's file has a 1 before its suffix, and so on."""
    if pcap is None:
        return wire
    path = pcap.absolute()
    path = path.with_stem(f"{path.stem}{number}") if number else path
    if "," in str(path):
        raise UsageError(f"--pcap {pcap}: no comma may be in the path, since it ends an option of the wire")
    if not path.parent.is_dir():
        raise UsageError(f"--pcap {pcap}: its directory is missing, make it first")
    separator = "," if ":" in wire or "," in wire else ":"
    return f"{wire}{separator}pcap={path}"


def copies(pairs: list[str]) -> list[tuple[Path, str]]:
    """Read the --copy arguments as pairs: what of the host's goes where in the guest. UsageError."""
    return [(one.host, one.guest) for one in exchange.copies_in(pairs)]


def guest_spec(args: argparse.Namespace) -> GuestSpec:
    """Return the machine that the arguments describe, without its cards."""
    check_kernel(args.kernel)
    check_kernel(args.initrd)
    return GuestSpec(
        cpus=args.cpus,
        memory_mib=args.memory,
        accel=args.accel,
        qemu=args.qemu,
        kernel=args.kernel,
        initrd=args.initrd,
        extra=(*gdb_arguments(args), *exchange.share_arguments(exchange.shares(args.share)), *args.qemu_arg),
        extras=tuple(args.extras),
        interactive=args.interactive,
        offline=args.offline,
        patient=stepping.wish(args).watched,
        append=kernel_arguments(args),
    )


def gdb_arguments(args: argparse.Namespace) -> tuple[str, ...]:
    """Return QEMU's arguments for gdb."""
    return ("-gdb", f"tcp:127.0.0.1:{args.gdb}") if args.gdb is not None else ()


def kernel_arguments(args: argparse.Namespace) -> str:
    """Return what the kernel's command line has more."""
    words = [args.append]
    if stepping.wish(args).watched or args.gdb is not None:
        words.append(guest_symbols.APPEND)
    if args.no_driver or args.module:
        words.append(NO_DRIVER)
    return " ".join(filter(None, words))


def run(args: argparse.Namespace) -> int:
    """Boot, do what was asked, leave nothing behind."""
    interrupt_on_signals()
    if args.hold and not args.stack and args.guest != "nt":
        raise UsageError("--hold is for --stack and --guest nt: a guest alone is held by -i")
    if args.verify and not args.stack:
        raise UsageError("--verify is for --stack: --guest nt always verifies")
    wish = stepping.wish(args)
    if wish.step and wish.commands is None and args.interactive:
        raise UsageError("-i and the stepper both want the terminal: give the stepper a --command file")
    if wish.screen:
        return run_on_screen(args, wish)
    with terminal_restored():
        return run_guest(args, Steered(wish))


def run_on_screen(args: argparse.Namespace, wish: Wish) -> int:
    """Boot in a thread, with the stepper on a full screen; return the boot's status, 0 when it was left."""
    steered = Steered(wish)
    statuses: list[int] = []

    def work(front: CommandFront) -> str:
        steered.front = front
        statuses.append(run_guest(args, steered))
        return ""

    failed = screen.run(work, steered.leave)
    return failed or (statuses[0] if statuses else 0)


def run_guest(args: argparse.Namespace, steered: Steered) -> int:
    """Boot what was asked for, and say what went wrong."""
    work = meet if args.stack else run_nt if args.guest == "nt" else run_linux
    try:
        return work(args, steered)
    except QemuError as error:
        if steered.left:
            return 0
        raise UsageError(f"{error}; look at --qemu, --qemu-arg and --memory") from error
    except (GuestError, PeerError) as error:
        if steered.left:
            return 0
        status = TIMED_OUT if isinstance(error, GuestTimeoutError) and args.timeout is not None else 1
        if not steered.told:
            print(f"ringwalk: {error}\n  the status is {status}", file=sys.stderr)
        return status


def run_linux(args: argparse.Namespace, steered: Steered) -> int:
    """Boot Linux and do what was asked."""
    script = command(args)
    work = Work.asked(args)
    steered.modules = [*work.modules, *(one.host for one in work.copies if ".ko" in one.host.suffixes)]

    def begun(guest: Guest) -> None:
        guest.notice = lambda text: print(f"ringwalk: {text}", file=sys.stderr, flush=True)
        steered.begun(guest)

    if args.gdb is not None:
        print(f"ringwalk: gdb: target remote 127.0.0.1:{args.gdb}", file=sys.stderr, flush=True)
    with guest_machine.booted(
        card_specs(args),
        guest_spec(args),
        steered.fit,
        begun,
        ended=steered.ended,
        ready=steered.ready,
        timeout_s=args.timeout,
    ) as lab:
        status = linux_work(args, lab, work, script, steered)
        for one in work.results:
            exchange.take(lab.guest, one)
    complaints = lab.guest.watch.complaints if lab.guest.watch is not None else 0
    lacking = any(one.lacks() for one in lab.fitted)
    return status or int(complaints > 0 or lacking)


def linux_work(
    args: argparse.Namespace, lab: guest_machine.Lab, work: Work, script: str | None, steered: Steered
) -> int:
    """Prepare a guest that is ready, and do what was asked in it; return the status."""
    work.prepare(lab.guest)
    if args.no_driver or work.modules:
        lab.configure_if_able()
    elif args.interactive or script is not None:
        lab.configure()
    if args.interactive:
        return lab.guest.wait_end()
    if script is not None:
        status = run_script(lab.guest, script, args)
        steered.lingers(f"the script has ended with status {status}")
        return status
    if args.no_driver or work.modules:
        print("the guest is up; say what to do in it: -i, --exec or --script", flush=True)
        steered.lingers("the guest is up")
        return 0
    colour = sys.stdout.isatty()
    told = lab.tell(
        lambda row: None if args.json else print(boot_report.line(row, colour=colour), flush=True)
    )
    print(
        json.dumps(boot_report.data(told)) if args.json else boot_report.last_line(told, colour=colour),
        flush=True,
    )
    steered.lingers("the story has ended")
    return 0 if told.good else 1


@dataclass(frozen=True, slots=True)
class Work:
    """What is exchanged with the guest before and after the work in it."""

    shares: list[exchange.Share]
    copies: list[exchange.Copy]
    modules: list[Path]
    results: list[exchange.Copy]

    @classmethod
    def asked(cls, args: argparse.Namespace) -> Work:
        """Read the arguments. UsageError."""
        return cls(
            exchange.shares(args.share),
            exchange.copies_in(args.copy),
            exchange.modules(args.module),
            exchange.copies_out(args.copy_out),
        )

    def prepare(self, guest: Guest) -> None:
        """Mount, copy, load. GuestError."""
        exchange.mount(guest, self.shares)
        for one in self.copies:
            exchange.put(guest, one)
        exchange.insert(guest, self.modules)


def run_script(guest: Guest, script: str, args: argparse.Namespace) -> int:
    """Run a script in the guest, its output as it comes; return its status."""
    limit_s = args.timeout or A_DAY_S
    if args.json:
        return show(guest.run(script, timeout_s=limit_s))
    began = time.monotonic()
    streams = {"out": sys.stdout, "err": sys.stderr}
    decoders = {kind: codecs.getincrementaldecoder("utf-8")("replace") for kind in streams}

    def write(kind: str, data: bytes) -> None:
        streams[kind].write(decoders[kind].decode(data))
        streams[kind].flush()

    status = guest.stream(script, write, timeout_s=limit_s)
    if status == KILLED and args.timeout is not None and time.monotonic() - began >= args.timeout:
        print(f"ringwalk: it did not end in {args.timeout} s", file=sys.stderr)
        return TIMED_OUT
    return status


def run_nt(args: argparse.Namespace, steered: Steered) -> int:
    """Let our own driver drive the card in the guest, and ping the far end with it."""
    if args.interactive or args.exec is not None or args.script is not None:
        raise UsageError("--guest nt runs our stack and nothing else: leave out -i, --exec and --script")
    told = nt_guest.run_inside(
        card_specs(args),
        guest_spec(args),
        deserialized=args.deserialized,
        count=NT_ECHOES,
        hold=hold if args.hold else None,
        fit=steered.fit,
        begun=steered.begun,
    )
    print(json.dumps(told) if args.json else nt_guest.text(told))
    return 0 if told["echoes_answered"] == told["echoes_sent"] and not told["verifier"] else 1


def meet(args: argparse.Namespace, steered: Steered) -> int:
    """Boot a guest beside an NT stack on one switch, and tell what passed between them."""
    if args.wire or args.nic or args.interactive or args.exec is not None or args.script is not None:
        raise UsageError("--stack has its own cards and its own story: leave out --nic, --wire, -i, --exec")
    wire = f"switch:stack{os.getpid()}"
    guest_card = CardSpec("82574l", wire, LOCAL_MAC.format(1), args.engine)
    with guest_machine.booted(
        [guest_card],
        guest_spec(args),
        steered.fit,
        steered.begun,
        ended=steered.ended,
        ready=steered.ready,
    ) as lab:
        station = Station(wire, mac=LOCAL_MAC.format(2), engine=args.engine, verify=args.verify)
        try:
            station.configure(f"{boot_stack.HOST}/{boot_stack.BITS}")
            (interface,) = lab.interfaces()
            lab.guest.run(f"ip link set {interface} up", check=True)
            lab.guest.wait_link(interface)
            with station.publish(f"boot-{os.getpid()}", "boot --stack") as control:
                told = boot_stack.meet(lab.guest, interface, station)
                if args.hold:
                    hold(control.name)
        finally:
            station.close()
        if args.verify:
            seen = verdict(station)
            told.append(boot_stack.Told(seen.what, f"{seen.result} {seen.note}".strip(), good=seen.good))
    print(json.dumps([asdict(one) for one in told]) if args.json else boot_stack.text(told), end="")
    return 0 if all(one.good for one in told) else 1


def hold(name: str) -> None:
    """Wait for Ctrl-C."""
    print(f"ringwalk: the stack {name} goes on; Ctrl-C ends it", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def command(args: argparse.Namespace) -> str | None:
    """Return the script for the guest, if there is one."""
    if sum((args.interactive, args.exec is not None, args.script is not None)) > 1:
        raise UsageError("-i, --exec and --script exclude each other: give one")
    if args.interactive and args.json:
        raise UsageError("-i gives a console, not data: leave out --json")
    if args.interactive and not sys.stdin.isatty():
        raise UsageError("-i needs a terminal: use --script FILE or --exec CMD from a pipe")
    if args.script is not None:
        if not args.script.is_file():
            raise UsageError(f"--script {args.script}: no such file")
        return str(args.script.read_text())
    return args.exec  # type: ignore[no-any-return]  # argparse gives a str or None here


def show(result: Result) -> int:
    """Print what a script in the guest gave back, as data; return its status."""
    print(json.dumps({"status": result.status, "stdout": result.out, "stderr": result.err}))
    return result.status
