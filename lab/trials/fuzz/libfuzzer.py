"""Hunts in the C core with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer.

The targets are tests/fuzz/csrc/fuzz_*.c, which the test suite feeds without clang (tests/fuzz). What reaches
new code is kept in tests/fuzz/corpus after a merge, the shortest first (``corpus``).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.engine.header import regs_h
from lab.errors import UsageError
from lab.machines import child_processes, scratch
from lab.trials.fuzz import clang, corpus

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT: Final = Path(__file__).resolve().parents[3]
CORES: Final = (_ROOT / "device" / "engine" / "csrc", _ROOT / "miniport" / "csrc")
"""The card's data path, and the driver's."""
TARGETS: Final = _ROOT / "tests" / "fuzz" / "csrc"
FLAGS: Final = (
    *("-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-pthread", "-D_GNU_SOURCE", "-DRW_DEBUG"),
    *("-fsanitize=fuzzer,address,undefined,bounds", "-fno-sanitize-recover=undefined"),
)
WRAPPED: Final = (
    *("malloc", "calloc", "realloc", "write", "writev", "read", "readv", "sendmsg", "recvmsg"),
    "pthread_create",
)
"""Calls of the C library that a target may let fail (tests/fuzz/csrc/failing.h)."""
WRAPPING: Final = tuple(f"-Wl,--wrap={name}" for name in WRAPPED)
HANG_S: Final = 20
"""Of one input: sanitizers and a busy machine make of microseconds milliseconds, not seconds."""
LONGEST_BYTES: Final = 1024
_RUNS: Final = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED: Final = re.compile(r"cov: (\d+)")


@dataclass(slots=True)
class Result:
    """What one target showed."""

    target: str
    runs: int = 0
    seconds: float = 0.0
    edges: int = 0
    """Of the code that its inputs reached."""
    kept: int = 0
    """Inputs in the corpus after it."""
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no input crashed, hung, leaked or ran too little to say anything."""
        return not self.failures and self.runs > 0

    def __str__(self) -> str:
        """Say it in a line, and each failure in one more."""
        line = (
            f"{self.target}: {self.runs:,} inputs in {self.seconds:.0f} s, {self.edges:,} edges, "
            f"{self.kept} inputs kept"
        )
        return "\n".join([line, *(f"  FAILED {failure}" for failure in self.failures)])


def names() -> list[str]:
    """Return the targets. UsageError where this is no checkout."""
    found = sorted(path.stem for path in TARGETS.glob("fuzz_*.c"))
    if not found:
        raise UsageError(f"there is no target in {TARGETS}: run `ringwalk fuzz --libfuzzer` from a checkout")
    return found


def sources() -> list[Path]:
    """Return the C files that every target is linked with, by ``WRAPPING``."""
    return [*sorted(path for core in CORES for path in core.glob("*.c")), TARGETS / "failing.c"]


def run(
    seconds: float, seed: int, kept: Path = corpus.FOLDER, *, told: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Hunt with every target for its share of ``seconds``; keep what is new in ``kept``. UsageError.

    An input that fails is left in the working directory, named ``crash-…``, ``timeout-…`` or ``leak-…``.
    """
    targets = names()
    folder = scratch.make()
    try:
        compiler = clang.find(folder)
        told(f"building {len(targets)} targets with clang ({compiler.origin})")
        objects = _core(compiler, folder)
        programs = {name: _program(compiler, name, objects, folder) for name in targets}
        share = max(1, round(seconds / len(targets)))
        results = []
        for name, program in programs.items():
            told(f"{name}: {share} s")
            results.append(_hunt(program, folder / name, kept, share, seed))
        return results
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _core(compiler: clang.Clang, folder: Path) -> list[Path]:
    """Compile the C core, instrumented, against a register header of its own."""
    (folder / "regs.h").write_text(regs_h())  # a checkout that was not built has none
    made = []
    for source in sources():
        made.append(folder / f"{source.stem}.o")
        compiler.compile(source, made[-1], _flags(folder))
    return made


def _flags(folder: Path) -> list[str]:
    return [*FLAGS, *(f"-I{core}" for core in CORES), f"-I{folder}"]


def _program(compiler: clang.Clang, name: str, core: list[Path], folder: Path) -> Path:
    own = folder / f"{name}.o"
    compiler.compile(TARGETS / f"{name}.c", own, _flags(folder))
    program = folder / f"{name}.program"
    compiler.link([own, *core], program, (*FLAGS, *WRAPPING))
    return program


def _hunt(program: Path, folder: Path, kept: Path, seconds: int, seed: int) -> Result:
    """Run one target, then reduce its old and new inputs to those that reach something of their own."""
    name = program.stem
    result = Result(name, seconds=seconds)
    grown, merged = folder / "grown", folder / "merged"
    merged.mkdir(parents=True)
    corpus.unpack(corpus.read(kept, name), grown)
    done = _libfuzzer(
        program,
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={LONGEST_BYTES}",
        f"-timeout={HANG_S}",
        f"-artifact_prefix={Path.cwd()}/{name}-",
        "-print_final_stats=1",
        str(grown),
    )
    if ran := _RUNS.search(done.stderr):
        result.runs = int(ran[1])
    result.edges = max((int(edges) for edges in _COVERED.findall(done.stderr)), default=0)
    if done.returncode:
        result.failures.append(_reason(done.stderr))
        result.kept = len(corpus.read(kept, name))
        return result
    _libfuzzer(program, "-merge=1", f"-max_len={LONGEST_BYTES}", str(merged), str(grown))
    found = [path.read_bytes() for path in merged.iterdir()]
    if found:
        result.kept = _keep(kept, name, found)
    return result


def _keep(kept: Path, name: str, found: list[bytes]) -> int:
    try:
        kept.mkdir(parents=True, exist_ok=True)
        return corpus.write(kept, name, found)
    except OSError as error:
        raise UsageError(f"cannot keep inputs in {kept} ({error.strerror}): give --corpus FOLDER") from error


def _libfuzzer(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = child_processes.start([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, said = process.communicate()
    finally:
        child_processes.end(process)
    return subprocess.CompletedProcess(process.args, process.returncode, "", said.decode(errors="replace"))


def _reason(said: str) -> str:
    """Return what the sanitizer or libFuzzer complained of, and where it left the input."""
    lines = said.splitlines()
    first = next((line for line in lines if "ERROR:" in line or "runtime error" in line), "it failed")
    place = next((line for line in lines if "Test unit written to" in line), "")
    return f"{first.strip()} {place}".strip()
