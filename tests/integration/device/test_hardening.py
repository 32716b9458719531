"""The sandbox of a serving card: what is left to code that runs inside, asked of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.sandbox import landlock, seccomp
from lab.machines.card_process import CardProcess, start_card
from lab.trials.fuzz.attack import attack

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINES = ("native", "reference")
WIRES = {
    "none": "none",
    "loopback": "loopback",
    "pcap": "pcap:{folder}/out.pcapng",
    "dgram": "dgram:{folder}/one,{folder}/two",
    "stream": "stream:{folder}/stream",
    "switch": "switch:hardening",
    "netns": "netns",
    "veth": "netns,cable=veth",
    "impaired": "netns,loss=0%,pcap={folder}/both.pcapng",
}
INSIDE = """
import ctypes, os, socket, subprocess, sys
import mmap  # nothing is loaded any more, later
from pathlib import Path
from device.hardening import harden

libc = ctypes.CDLL(None, use_errno=True)
outside = Path(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind(str(outside / "socket"))
listening.listen()
datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]
program = Path("/bin/true").read_bytes()
descriptor = os.memfd_create("program")
os.write(descriptor, program)
posture = harden()

def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def map_code():
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if libc.mprotect(ctypes.c_void_p(address), 4096, 5) < 0:
        raise OSError(ctypes.get_errno(), "refused")

X = os.uname().machine == "x86_64"
ACTIONS = {
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "start a program from memory": lambda: os.execve(descriptor, ["x"], {}),
    "fork": os.fork,
    "connect to another's socket": lambda: socket.socket(socket.AF_UNIX).connect(str(outside / "socket")),
    "connect a socket it has": lambda: datagrams.connect(str(outside / "socket")),
    "send to an address": lambda: datagrams.sendto(b"x", str(outside / "socket")),
    "make a TCP socket": lambda: socket.socket(),
    "make a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "make a vsock socket": lambda: socket.socket(40),
    "make a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "io_uring": lambda: call(425, 8, ctypes.create_string_buffer(120)),
    "userfaultfd": lambda: call(323 if X else 282, 1),
    "a user namespace": lambda: call(272 if X else 97, 0x1000_0000),
    "bpf": lambda: call(321 if X else 280, 5, ctypes.create_string_buffer(128), 128),
    "perf": lambda: call(298 if X else 241, ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "keys": lambda: call(250 if X else 219, 0, -3, 1),
    "ptrace": lambda: call(101 if X else 117, 16, os.getppid(), 0, 0),
    "read another's memory": lambda: call(310 if X else 270, os.getppid(), None, 0, None, 0, 0),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "signal all": lambda: os.kill(-1, 0),
    "type on the terminal": lambda: call(16 if X else 29, 0, 0x5412, ctypes.create_string_buffer(b"x")),
    "map code": lambda: mmap.mmap(-1, 4096, prot=7),
    "turn memory into code": map_code,
    "write its own code": lambda: os.open("/proc/self/mem", os.O_RDWR),
    "read a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "read a folder": lambda: os.open("/usr/share", os.O_RDONLY | os.O_DIRECTORY),
    "read its environment": lambda: os.open("/proc/self/environ", os.O_RDONLY),
    "write a file": lambda: os.open(outside / "file", os.O_WRONLY | os.O_CREAT),
    "empty a file": lambda: os.open(outside / "victim", os.O_RDONLY | os.O_TRUNC),
    "make an unnamed file": lambda: os.open(outside, os.O_TMPFILE | os.O_RDWR),
    "remove a file": lambda: os.unlink(outside / "victim"),
    "rename a file": lambda: os.rename(outside / "victim", outside / "new"),
    "make a link": lambda: os.symlink("/", outside / "link"),
    "make a folder": lambda: os.mkdir(outside / "folder"),
    "change a mode": lambda: os.chmod(outside / "victim", 0o777),
    "raise its limits": lambda: call(302 if X else 261, 0, 7, ctypes.create_string_buffer(16), None),
    "become root": lambda: os.setuid(0) or (os.getuid() == 0 and None),
    "mount": lambda: call(165 if X else 40, None, None, None, 0, None),
    "change its root": lambda: os.chroot("/"),
    "enter a namespace": lambda: call(308 if X else 268, 0, 0),
}
for name, action in ACTIONS.items():
    try:
        action()
    except (OSError, ValueError) as error:
        continue
    print(name)
print("end")
"""


def _bound_whole() -> None:
    if not seccomp.supported() or not landlock.abi():
        pytest.skip("this kernel or machine has no seccomp filter or no Landlock: less is refused")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that any user may write to: what is refused in it is refused by the sandbox."""
    with tempfile.TemporaryDirectory(prefix="hardening-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "victim").write_text("precious")
        (folder / "victim").chmod(0o666)
        yield folder


def test_nothing_of_worth_is_left_to_code_inside(open_folder: Path) -> None:
    """Programs, sockets, files, namespaces, other processes, new code: each is refused (t23, t23b, t26)."""
    _bound_whole()

    done = subprocess.run(
        [sys.executable, "-c", INSIDE, str(open_folder)], capture_output=True, text=True, check=False
    )

    assert done.stdout.split("\n") == ["end", ""], done.stderr
    assert (open_folder / "victim").read_text() == "precious"


def test_a_socket_folder_with_anything_in_it_is_no_private_folder(open_folder: Path) -> None:
    """A transport that makes its socket itself gets a folder of its own, never a home."""
    program = (
        "import sys; from pathlib import Path; from device.hardening import harden;"
        " harden(sockets=[Path(sys.argv[1])])"
    )
    open_folder.chmod(0o700)

    done = subprocess.run(
        [sys.executable, "-c", program, str(open_folder)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "is not empty" in done.stderr


def _of_each_thread(pid: int, *names: str) -> set[tuple[str, ...]]:
    rows = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        rows.add(tuple(fields[name].split()[0] for name in names))
    return rows


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("wire", WIRES)
def test_every_thread_of_a_card_is_inside(tmp_path: Path, wire: str, engine: str) -> None:
    """Of each wire, those that pump frames too (t22): no capability, no privilege, the filter, not root."""
    _bound_whole()
    card = start_card(tmp_path / "card", WIRES[wire].format(folder=tmp_path), engine=engine)
    try:
        rows = _of_each_thread(card.ready.pid, "NoNewPrivs", "CapEff", "CapPrm", "Seccomp", "Uid")
    finally:
        card.close()

    uid = str(os.geteuid() or 65534)
    assert rows == {("1", "0" * 16, "0" * 16, "2", uid)}


@pytest.fixture(params=ENGINES)
def card(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CardProcess]:
    """Return a card with a far end of ours."""
    started = start_card(tmp_path / "card", "netns", engine=request.param, state=tmp_path / "state")
    yield started
    started.close()


def test_a_card_has_limits_on_what_it_takes(card: CardProcess) -> None:
    """Descriptors, memory, files and core dumps."""
    limits = {
        line[:26].strip(): line[26:].split()[:2]
        for line in Path(f"/proc/{card.ready.pid}/limits").read_text().splitlines()
    }

    assert limits["Max open files"] == ["512", "512"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max address space"] == [str(1 << 42)] * 2
    assert limits["Max data size"] == [str(2 << 30)] * 2
    assert int(limits["Max file size"][1]) <= 2 << 30
    assert Path(card.ready.socket).stat().st_mode & 0o777 == 0o600


def test_a_program_at_the_far_end_is_started_by_a_helper(card: CardProcess) -> None:
    """The card itself may start none, and is not asked."""
    assert card.peer is not None

    finished = card.peer.finish(card.peer.start(["sh", "-c", "echo $PPID; ip -br address show wire0"]))

    parent, _, address = finished.out.partition("\n")
    assert int(parent) != card.ready.pid
    assert "10.82.57.1/24" in address


def test_the_state_is_kept_by_the_clerk_and_the_socket_removed(card: CardProcess) -> None:
    """The card has no right to either folder."""
    state = Path(card.ready.socket).with_name("state")

    card.save()
    kept = state.read_bytes()
    os.kill(card.ready.pid, signal.SIGKILL)

    assert len(kept) > 1000
    assert _comes_true(lambda: not Path(card.ready.socket).exists())


WATCHING = """
import resource, sys
def audit(name, arguments):
    if name in ("open", "import", "ctypes.dlopen", "subprocess.Popen", "os.fork"):
        if resource.getrlimit(resource.RLIMIT_NOFILE) == (512, 512):
            where = str(arguments[0])
            if not where.startswith("/proc/self/fd"):
                sys.stderr.write(f"after the start: {name} {where}\\n")
sys.addaudithook(audit)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_no_file_is_opened_and_no_module_loaded_after_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """All that a card runs is there before, for nothing can be read any more. Python's audit events tell."""
    (tmp_path / "sitecustomize.py").write_text(WATCHING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    card = start_card(tmp_path / "card", "stream:" + str(tmp_path / "stream"), engine=engine)
    attack(card, 7, 400)
    card.account()
    os.kill(card.ready.pid, signal.SIGTERM)

    said = card.stop()

    assert [line for line in said.splitlines() if line.startswith("after the start")] == []


def _comes_true(question: object, seconds: float = 5.0) -> bool:
    assert callable(question)
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_its_own_descriptors_stay_readable_when_the_kernel_forgets_names() -> None:
    """Procfs drops what nobody holds, and makes it anew: with another inode, unknown to a rule."""
    _bound_whole()
    if os.geteuid() != 0:
        pytest.skip("only root can have the kernel drop its caches")
    program = """
import sys
from device.hardening import harden
harden()
for _ in range(2):
    print(open("/proc/self/fdinfo/0").readline().split()[0], flush=True)
    sys.stdin.readline()
"""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = process.stdout.readline()
        Path("/proc/sys/vm/drop_caches").write_text("2")

        process.stdin.write("again\n\n")
        process.stdin.flush()

        assert (before, process.stdout.readline()) == ("pos:\n", "pos:\n")
