r"""The C core under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer, with hostile inputs.

The targets are libFuzzer's (csrc/fuzz_*.c); here csrc/driver.c feeds them seeded inputs, so that the suite is
deterministic and needs gcc alone. To hunt with clang, in a folder of your own::

    clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -pthread -Idevice/engine/csrc \
        device/engine/csrc/*.c tests/fuzz/csrc/fuzz_card.c -o fuzz_card && ./fuzz_card corpus
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.regs.render import c_header

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[[str, tuple[Path, ...]], Path]

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "device" / "engine" / "csrc"
TARGETS = Path(__file__).parent / "csrc"
FLAGS = (
    *("-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-pthread", "-D_GNU_SOURCE"),
    *("-Wall", "-Wextra", "-Werror", f"-I{CORE}"),
)
SANITIZERS = {
    "memory": ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
    "threads": ("-fsanitize=thread",),
}
RUNS = 2000
STRESS_ROUNDS = 8000


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    return subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=110
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that links the core, compiled once a sanitizer, with the sources of a target."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc")
    folder = tmp_path_factory.mktemp("sanitizers")
    objects: dict[str, list[Path]] = {}

    def compile_core(kind: str) -> list[Path]:
        probe = folder / "probe.c"
        probe.write_text("int main(void) { return 0; }\n")
        made = run(compiler, *SANITIZERS[kind], probe, "-o", folder / "probe")
        if made.returncode or run(folder / "probe").returncode:
            pytest.skip(f"{SANITIZERS[kind][0]} does not work here: install libasan, libubsan and libtsan")
        out = folder / kind
        out.mkdir()
        (folder / "regs.h").write_text(c_header(NIC))  # a checkout that was not built has none
        sources = sorted(CORE.glob("*.c"))
        made = subprocess.run(
            [compiler, *FLAGS, f"-I{folder}", *SANITIZERS[kind], "-c", *map(str, sources)],
            check=False,
            capture_output=True,
            text=True,
            cwd=out,
        )
        assert made.returncode == 0, made.stderr
        return sorted(out.glob("*.o"))

    def link(kind: str, sources: tuple[Path, ...]) -> Path:
        if kind not in objects:
            objects[kind] = compile_core(kind)
        program = folder / f"{sources[0].stem}-{kind}"
        made = run(
            compiler, *FLAGS, f"-I{folder}", *SANITIZERS[kind], *sources, *objects[kind], "-o", program
        )
        assert made.returncode == 0, made.stderr
        return program

    return link


@pytest.mark.parametrize("target", ["fuzz_card", "fuzz_play", "fuzz_pump", "fuzz_wire"])
def test_hostile_inputs_break_no_memory_rule(build: Build, target: str) -> None:
    """A guest, a client, a cable, a recording that say anything: no overrun, no leak, nothing undefined."""
    program = build("memory", (TARGETS / f"{target}.c", TARGETS / "driver.c"))

    done = run(program, 1, RUNS)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{RUNS} inputs\n"


@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded"])
def test_the_threads_of_a_card_race_nowhere(build: Build, tmp_path: Path, recorded: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Doorbells, frames, timers, mappings, links and resets at once, and traffic goes on."""
    program = build("threads", (TARGETS / "stress.c",))

    done = run(program, STRESS_ROUNDS, *([tmp_path / "stress.rw"] if recorded else []))

    assert "WARNING" not in done.stderr, done.stderr[:4000]
    assert done.returncode == 0, done.stdout
