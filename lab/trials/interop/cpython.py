"""CPython's own tests of its network modules, over the stack and over this machine's own sockets.

What passes over the machine is to pass over the stack: 95 of 100 at least, and every test that has passed
before (``cpython_passes.txt``). The tests are those of the interpreter that runs this.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.trials.interop.contract import Seen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from importlib.machinery import ModuleSpec

    from lab.trials.parts import Progress

NAME = "cpython"
HELP = "CPython's own tests of socket, select, ssl, http and their kin, over the stack"
QUICK = ("test_select", "test_selectors", "test_socketserver")
MODULES = (
    *QUICK,
    *("test_socket", "test_ssl", "test_httplib", "test_httpservers", "test_xmlrpc", "test_urllib2_localnet"),
    *("test_smtplib", "test_ftplib", "test_imaplib", "test_telnetlib"),
    *("test_asyncio.test_streams", "test_asyncio.test_server", "test_asyncio.test_sock_lowlevel"),
)
PASSES = Path(__file__).with_name("cpython_passes.txt")
LEAST = 0.95
ABSENT = ("unix", "epoll", "vsock", "af_can", "isotp", "j1939", "af_alg", "qipcrtr", "bluetooth", "devpoll")
"""What the stack does not have, in the names of tests or in the reasons for which they skip."""
MOST_HANGS = 12
"""After so many tests of a module that do not end, the rest of it counts as not run."""
MODULE_LIMIT_S = 900


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which modules, and the keeping of the list."""
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--keep", action="store_true", help="add what passes now to the list of what must")
    parser.add_argument(
        "--failures", action="store_true", help="name each test that passes only on this machine"
    )


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Run each module on both sides. UsageError: the interpreter has no tests."""
    wanted = args.modules or (QUICK if args.quick else MODULES)
    if not _has(_PACKAGE) or not _has(f"{_PACKAGE}.support"):
        raise UsageError(
            f"{sys.executable} has no tests: install libpython3-testsuite (Debian) or python3-test (Fedora)"
        )
    kept = set(PASSES.read_text(encoding="utf-8").split()) if PASSES.exists() else set()
    passed: set[str] = set()
    seen = []
    for module in wanted:
        if not _has(f"{_PACKAGE}.{module}"):
            seen.append(Seen(module, "this interpreter has no such module"))
            continue
        progress(f"{module} over this machine")
        machine = results_of("machine", module)
        progress(f"{module} over the stack")
        stack = results_of("stack", module)
        passed |= {f"{sys.version_info[0]}.{sys.version_info[1]}:{one}" for one in _ok(stack)}
        seen.append(judged(module, machine, stack, kept, names=args.failures))
    if args.keep:
        PASSES.write_text("\n".join(sorted(kept | passed)) + "\n", encoding="utf-8")
    return seen


_PACKAGE = "test"


def _has(name: str) -> bool:
    try:
        found: ModuleSpec | None = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return found is not None


def judged(
    module: str, machine: Mapping[str, str], stack: Mapping[str, str], kept: set[str], *, names: bool = False
) -> Seen:
    """Compare the two sides of a module; ``kept`` are the tests that have passed over the stack before."""
    passing = _ok(machine)
    there = {one for one in passing if not _is_absent(one, stack.get(one, "not run"))}
    both = there & _ok(stack)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    lost = sorted(one for one in there - both if f"{version}:{one}" in kept)
    share = len(both) / len(there) if there else 1.0
    result = f"{len(both)} of the {len(there)} that pass on this machine ({share:.1%})"
    absent = len(passing) - len(there)
    if absent:
        result += f"; {absent} more are of what the stack has not (unix sockets, epoll, vsock, CAN)"
    notes = [f"passed before: {', '.join(lost)}"] if lost else []
    if names:
        notes += [f"{one}: {stack.get(one, 'not run')}" for one in sorted(there - both)]
    return Seen(module, result, share >= LEAST and not lost, "\n".join(notes))


def _is_absent(name: str, what: str) -> bool:
    """Tell whether a test did not run because it is of a family or an object that the stack has not."""
    return what.startswith(("skip", "not run")) and any(one in f"{name} {what}".lower() for one in ABSENT)


def results_of(side: str, module: str) -> dict[str, str]:
    """Run one module on one side in processes of its own; ``hang`` for a test that does not end."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="ringwalk-cpython") as folder:
        path = Path(folder) / "results"
        for _attempt in range(MOST_HANGS):
            command = [
                sys.executable,
                "-m",
                "lab.trials.interop.cpython_suite",
                side,
                module,
                str(path),
                *found,
            ]
            with Path(folder, "output").open("wb") as output:
                try:
                    subprocess.run(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        check=False,
                        timeout=MODULE_LIMIT_S,
                    )
                except subprocess.TimeoutExpired:
                    break
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            before = len(found)
            found |= parsed(lines)
            if (lines and lines[-1] == "end") or len(found) == before:
                break
    return found


def parsed(lines: list[str]) -> dict[str, str]:
    """Return what each test ended with; the first bad word of a test counts, ``hang`` when there is none."""
    found: dict[str, str] = {}
    for line in lines:
        what, _, rest = line.partition(" ")
        name, _, words = rest.partition(" ")
        if what == "start":
            found[name] = "hang"
        elif name and found.get(name, "hang") in ("hang", "ok"):
            found[name] = f"{what} {words}".strip()
    return found


def _ok(results: Mapping[str, str]) -> set[str]:
    return {name for name, what in results.items() if what == "ok"}
