"""The filter of system calls: its numbers are the kernel's, and it says of each call what the table says."""

# ruff: noqa: D103 - a name that is a sentence needs no other

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from device.sandbox.calls import CALLS, DATAGRAMS, OWN_SOCKET, Call, allowed
from device.sandbox.seccomp import program

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
DEFINED = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", re.MULTILINE)
OTHER_NAMES = {"newfstatat": "fstatat"}
"""What asm-generic calls it."""
MACHINES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
PID = 4321
ALLOW, KILL, EPERM, ENOSYS = 0x7FFF_0000, 0x8000_0000, 0x0005_0001, 0x0005_0026
READ_WRITE_EXECUTE = 7


def judged(
    machine: str,
    number: int,
    *arguments: int,
    calls: tuple[Call, ...] = CALLS,
    architecture: int | None = None,
) -> int:
    """Run the filter as the kernel does: return what it returns."""
    words = {0: number, 4: MACHINES[machine] if architecture is None else architecture}
    for index, argument in enumerate((*arguments, *[0] * (6 - len(arguments)))):
        words |= {16 + 8 * index: argument & 0xFFFF_FFFF, 20 + 8 * index: argument >> 32 & 0xFFFF_FFFF}
    made = program(calls, machine, PID)
    accumulator, at = 0, 0
    while True:
        code, when, otherwise, constant = made[at]
        at += 1
        match code:
            case 0x20:
                accumulator = words[constant]
            case 0x54:
                accumulator &= constant
            case 0x15:
                at += when if accumulator == constant else otherwise
            case 0x35:
                at += when if accumulator >= constant else otherwise
            case 0x06:
                return constant


def number_of(name: str, machine: str) -> int:
    found = next(call for call in (*CALLS, *OWN_SOCKET) if call.name == name)
    number = found.x86_64 if machine == "x86_64" else found.aarch64
    assert number is not None
    return number


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].is_file():
        pytest.skip(f"{HEADERS[machine]} is not on this machine (linux-libc-dev)")
    known = {name: int(number) for name, number in DEFINED.findall(HEADERS[machine].read_text())}

    wrong = [
        call.name
        for call in (*CALLS, *DATAGRAMS, *OWN_SOCKET)
        if (number := getattr(call, machine)) is not None
        and known.get(call.name, known.get(OTHER_NAMES.get(call.name, ""))) != number
    ]

    assert wrong == []


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [
        ("read", (3, 0x1000, 10), ALLOW),
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, READ_WRITE_EXECUTE, 0x22), EPERM),
        ("mprotect", (0x1000, 4096, 5), EPERM),
        ("openat", (-100 & 0xFFFF_FFFF, 0x1000, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY), ALLOW),
        ("openat", (-100 & 0xFFFF_FFFF, 0x1000, os.O_WRONLY), EPERM),
        ("openat", (-100 & 0xFFFF_FFFF, 0x1000, os.O_RDONLY | os.O_CREAT), EPERM),
        ("openat", (-100 & 0xFFFF_FFFF, 0x1000, os.O_RDONLY | os.O_TRUNC), EPERM),
        ("openat", (-100 & 0xFFFF_FFFF, 0x1000, os.O_TMPFILE | os.O_RDWR), EPERM),
        ("clone", (0x3D_0F00,), ALLOW),  # a thread, as glibc makes it
        ("clone", (17,), EPERM),  # fork
        ("clone", (0x3D_0F00 | 0x1000_0000,), EPERM),  # in a new user namespace
        ("kill", (PID, 9), ALLOW),
        ("kill", (1, 9), EPERM),
        ("kill", (-1 & 0xFFFF_FFFF, 9), EPERM),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("process_vm_writev", (PID,), ALLOW),
        ("process_vm_writev", (1,), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (4, 1), EPERM),  # dumpable again
        ("prlimit64", (0, 7, 0, 0x1000), ALLOW),
        ("prlimit64", (0, 7, 0x1000, 0), EPERM),
        ("prlimit64", (0, 7, 0x1000_0000_0000, 0), EPERM),
        ("ioctl", (0, 0x5421), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI
        ("fcntl", (3, 4, 0x800), ALLOW),
        ("fcntl", (3, 8, 1), EPERM),  # F_SETOWN: signals to others
        ("sendto", (3, 0x1000, 1, 0, 0, 0), ALLOW),
        ("sendto", (3, 0x1000, 1, 0, 0x7FFF_0000_1000, 110), EPERM),
        ("sendto", (3, 0x1000, 1, 0, 0x7FFF_0000_0000, 110), EPERM),  # the lower half alone is zero
        ("bind", (3,), EPERM),
        ("socket", (1,), EPERM),
    ],
)
def test_a_call_is_judged_by_its_arguments(
    machine: str, name: str, arguments: tuple[int, ...], verdict: int
) -> None:
    assert judged(machine, number_of(name, machine), *arguments) == verdict


@pytest.mark.parametrize("machine", MACHINES)
def test_a_young_call_is_unknown_as_to_an_old_kernel(machine: str) -> None:
    """The C library then takes its older way: clone for clone3."""
    assert judged(machine, 435) == ENOSYS


def test_numbers_of_another_architecture_end_the_process() -> None:
    i386 = 0x4000_0003

    assert judged("x86_64", 11, architecture=i386) == KILL
    assert judged("x86_64", 0x4000_0000 | 59) == KILL  # x32


@pytest.mark.parametrize("machine", MACHINES)
def test_what_a_wire_or_a_transport_needs_takes_the_rules_place(machine: str) -> None:
    sends = (3, 0x1000, 1, 0, 0x7FFF_0000_1000, 110)

    assert judged(machine, number_of("sendto", machine), *sends, calls=allowed(DATAGRAMS)) == ALLOW
    assert judged(machine, number_of("socket", machine), 1, calls=allowed(OWN_SOCKET)) == ALLOW
    assert judged(machine, number_of("socket", machine), 2, calls=allowed(OWN_SOCKET)) == EPERM
