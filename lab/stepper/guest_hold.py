"""Holds a guest of ours while its card stands, and says where its driver stood.

The card stands in the middle of a register access. QEMU's vCPU holds QEMU's big lock while it waits for
the answer, and QEMU can be asked nothing. So the machine is asked to stop first, and then the access is
answered. The vCPU stops right behind the instruction that made the access, because its thread may run only
while QEMU's main thread, which stops it, does not want to (SCHED_IDLE, both on one CPU). The guest's own
clock stands then, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, Final

from device.trace import events as ev
from lab.machines.qemu.monitor import MonitorError
from lab.stepper.calls import WORD, Unreadable, calls
from lab.stepper.module_image import AROUND, PAGE, ModuleImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from device.trace.events import Event
    from lab.machines.qemu.process import QemuProcess
    from lab.stepper.kernel_symbols import KernelSymbols, Place

STACK_BYTES: Final = 2048
ANSWERED_S: Final = 0.5
UNANSWERED_S: Final = 0.15
"""How long to wait for a stop that cannot come while another access of the guest's waits for us."""
QUEUED_S: Final = 0.3
TRIES: Final = 3
"""So often a place is looked for before a stop is told without one."""
_FUTEX: Final = "202"
"""The number of the system call in which QEMU's main thread waits for the big lock (x86-64)."""
_POLLING: Final = frozenset({"7", "271"})
"""Those in which its monitor's thread waits for the next request: poll, ppoll."""
_VCPU: Final = "CPU "
_MONITOR: Final = "IO mon_iothread"
"""How QEMU names its threads."""
_REGISTER: Final = re.compile(r"\b(RIP|RSP)=([0-9a-f]{16})")
_KERNEL: Final = 1 << 63


class Symbols:
    """The kernel's functions and those of the modules whose files we have."""

    def __init__(self, kernel: KernelSymbols, files: Callable[[], Iterable[Path]]) -> None:
        """``files`` returns the modules' files, the likeliest first."""
        self.kernel = kernel
        self._files = files
        self._images: dict[Path, ModuleImage | None] = {}
        self._bases: dict[ModuleImage, int] = {}
        self.read: Callable[[int, int], bytes] = lambda _address, _length: b""

    def find(self, address: int) -> Place | None:
        """Return the function that an address is in."""
        if not address & _KERNEL:
            return None
        place = self.kernel.find(address)
        return place if place is not None else self._in_module(address)

    def _in_module(self, address: int) -> Place | None:
        if address >> 32 != 0xFFFF_FFFF:  # the kernel and its modules lie in the last 2 GiB
            return None
        try:
            around = self._around(address)
        except Unreadable:
            return None
        for image, base in self._bases.items():
            if image.alike(address - base, around) > 0.5 and (place := image.find(address - base, base)):
                return place
        for image in self._loaded():
            found = image.locate(address, around)
            if found is not None:
                self._bases[image] = found
                return image.find(address - found, found)
        return None

    def _around(self, address: int) -> bytes:
        """Return the bytes about an address; zeros for a page before it that is not there. Unreadable."""
        before = min(AROUND, address % PAGE)
        if before < AROUND:
            with contextlib.suppress(Unreadable):
                return self.read(address - AROUND, 2 * AROUND)
        return bytes(AROUND - before) + self.read(address - before, AROUND + before)

    def _loaded(self) -> Iterator[ModuleImage]:
        for path in self._files():
            if path not in self._images:
                try:
                    self._images[path] = ModuleImage.load(path)
                except (OSError, ValueError):
                    self._images[path] = None
            image = self._images[path]
            if image is not None:
                yield image


class GuestHold:
    """Stops a guest's machine with its card, and reads where it stood."""

    # The card's thread calls all of it, under the card's lock.

    def __init__(
        self, process: QemuProcess, answer: Callable[[bytes | None], bool], symbols: Symbols
    ) -> None:
        """``answer`` answers the register access in the middle of which the card stands."""
        self._process = process
        self._answer = answer
        self._symbols = symbols
        symbols.read = self._memory
        with contextlib.suppress(MonitorError):
            process.stepper.greet()
        self._stopped = False
        self._asked = False
        self._in_access = self._may_go = False
        self._number = 0
        """The number of the request to stop."""
        self._calls: list[Place] | None = None

    def hold(self, event: Event | None) -> None:
        """Stop the machine; at once where no access is in the way. A machine that is gone is held already."""
        self._may_go = False
        if self._asked:
            self._look_again()
            return
        self._asked = True
        self._calls = None
        if not self._process.running:
            return
        monitor = self._process.stepper
        with self._slowly(), contextlib.suppress(MonitorError):
            number = self._number = monitor.send("stop")
            self._until_queued()
            answered = self._in_access = self._answer(_value(event))
            monitor.patience(ANSWERED_S if answered else UNANSWERED_S)
            monitor.answer(number)
            self._stopped = True

    def _look_again(self) -> None:
        """Take note of a machine that has stopped later than was waited for."""
        if not self._stopped and self._number and self._process.running:
            monitor = self._process.stepper
            monitor.patience(UNANSWERED_S)
            with contextlib.suppress(MonitorError):
                monitor.answer(self._number)
                self._stopped, self._calls = True, None

    def release(self) -> None:
        """Let the machine go on: at once, or when the access is over that the card works on.

        So it stands at the instruction that made the access while one steps through what comes of that.
        """
        if self._in_access:
            self._may_go = True
        elif self._asked:
            self._go()

    def access_ended(self) -> None:
        """Take note that the card has done what it was asked to."""
        self._in_access = False
        if self._may_go:
            self._go()

    def _go(self) -> None:
        """Start the machine. The answer is not waited for: the machine may want the card first."""
        self._may_go = False
        self._asked = self._stopped = False
        if self._process.running:
            with contextlib.suppress(MonitorError):
                self._process.stepper.send("cont")

    @contextlib.contextmanager
    def _slowly(self) -> Iterator[None]:
        """Let the vCPUs run only when QEMU's main thread does not, while the block lasts."""
        pid = self._process.pid
        vcpus = _threads(pid, _VCPU)
        cpus = os.sched_getaffinity(pid)
        try:
            for thread in vcpus:
                os.sched_setaffinity(thread, {min(cpus)})
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setaffinity(pid, {min(cpus)})
        except OSError:
            pass  # forbidden here, or ended: the guest stops a little later than it could
        try:
            yield
        finally:
            for thread in vcpus:
                with contextlib.suppress(OSError):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
                    os.sched_setaffinity(thread, cpus)
            with contextlib.suppress(OSError):
                os.sched_setaffinity(pid, cpus)

    def _until_queued(self) -> None:
        """Wait until the request is next in QEMU: its monitor has it, its main thread waits for the lock.

        The main thread may wait for the lock already, for something else; so the monitor's thread is looked
        at first.
        """
        until = time.monotonic() + QUEUED_S
        pid = self._process.pid
        monitors = _threads(pid, _MONITOR)
        while time.monotonic() < until:
            time.sleep(0.001)
            if self._process.stepper.has_said:
                return  # it has stopped already
            read = self._process.stepper.unread_bytes() == 0
            if read and all(_call(pid, one) in _POLLING for one in monitors) and _call(pid, pid) == _FUTEX:
                return

    # -- where the driver stood ----------------------------------------------------------------------

    def calls(self) -> list[Place]:
        """Return the function that the guest stands in and those that called it; empty where nobody knows."""
        for _ in range(TRIES):
            if self._calls:
                break
            self._look_again()  # the vCPU may have been in the middle of an exit when the stop was asked for
            self._calls = self._read_calls() if self._stopped else []
            if self._stopped and not self._calls:
                time.sleep(UNANSWERED_S / 10)  # its registers are written back as it leaves the exit
        return self._calls or []

    def _read_calls(self) -> list[Place]:
        try:
            return max(map(self._calls_of, range(self._vcpu_count())), key=_driverness)
        except (MonitorError, Unreadable):
            return []

    def _vcpu_count(self) -> int:
        answer = self._process.stepper.ask("query-cpus-fast")
        return max(1, len(answer))

    def _calls_of(self, vcpu: int) -> list[Place]:
        monitor = self._process.stepper
        monitor.say(f"cpu {vcpu}")
        registers = {name: int(value, 16) for name, value in _REGISTER.findall(monitor.say("info registers"))}
        if not {"RIP", "RSP"} <= registers.keys():
            return []
        return calls(registers["RIP"], self._stack(registers["RSP"]), self._memory, self._symbols)

    def _stack(self, pointer: int) -> list[int]:
        """Return the words of the stack from its pointer on; it ends at a page that cannot be read."""
        raw = b""
        with contextlib.suppress(Unreadable):
            while len(raw) < STACK_BYTES:
                at = pointer + len(raw)
                raw += self._memory(at, PAGE - at % PAGE)
        return [int.from_bytes(raw[at : at + WORD], "little") for at in range(0, len(raw), WORD)]

    def _memory(self, address: int, length: int) -> bytes:
        """Return the guest's virtual memory. Unreadable."""
        path = self._process.folder / "memory"
        try:
            self._process.stepper.ask("memsave", val=address, size=length, filename=str(path))
            data = path.read_bytes()
        except (MonitorError, OSError) as error:
            raise Unreadable(str(error)) from error
        finally:
            path.unlink(missing_ok=True)
        if len(data) != length:
            raise Unreadable(f"{len(data)} bytes of {length}")
        return data


def _value(event: Event | None) -> bytes | None:
    """Return what the driver's read will return, if it is a read that the card stands at."""
    return event.value.to_bytes(4, "little") if isinstance(event, ev.RegisterRead) else None


def _driverness(found: list[Place]) -> tuple[bool, int]:
    """Order the vCPUs of a machine: the one that is in a module has made the access."""
    return any(place.module for place in found), len(found)


def _threads(pid: int, name: str) -> list[int]:
    """Return the threads of a process whose names begin so; none of one that has ended."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - numbers, not paths
            with open(f"/proc/{pid}/task/{task}/comm") as file:  # noqa: PTH123 - a file of the kernel's
                if file.read().startswith(name):
                    found.append(int(task))
    return found


def _call(pid: int, thread: int) -> str:
    """Return the number of the system call that a thread sleeps in; empty where nobody knows."""
    try:
        with open(f"/proc/{pid}/task/{thread}/syscall") as file:  # noqa: PTH123 - read often
            return file.read().partition(" ")[0]
    except OSError:
        return ""
