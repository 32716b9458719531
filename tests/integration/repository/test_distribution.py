"""What others get: wheel and sdist, and pyvfio-user alone; built, installed and run from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import venv
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
GENERIC = ("device", "formats", "lab", "miniport", "ndis", "ntos", "protocols")
PATIENCE_S = 60.0

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("distribution")]


def build(source: Path, out: Path) -> dict[str, Path]:
    """Build a wheel and an sdist with the tools that are here; return the files by their suffix."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {path.suffix: path for path in out.iterdir()}


def tracked(folder: Path, to: Path) -> Path:
    """Copy what git tracks below a folder, and what it would not ignore: a build leaves its files there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (folder / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, to / name)
    return to


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build Ringwalk from a copy of the checkout."""
    return build(tracked(TOP, tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("dist"))


def environment(at: Path, wheel: Path) -> Path:
    """Make an environment that has a wheel and our libraries; return its programs' folder."""
    venv.create(at, with_pip=False)
    site = next((at / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)  # noqa: S202 - our own
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    for name in ("cffi", "_cffi_backend*", "pycparser", "greenlet", "structlog", "qemu"):
        for library in libraries:
            for found in Path(library).glob(name):
                (site / found.name).symlink_to(found)
    return at / "bin"


def run(*argv: str | Path, cwd: Path) -> str:
    """Run a program as a user who has nothing of the checkout; return what it printed."""
    surroundings = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "RINGWALK"))
    }
    done = subprocess.run(
        list(map(str, argv)),
        cwd=cwd,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_one_name_at_the_top(built: dict[str, Path]) -> None:
    """``lab`` and ``device`` are other people's names on PyPI: they would overwrite ours, or ours theirs."""
    with zipfile.ZipFile(built[".whl"]) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        kept = archive.namelist()

    assert {top for top in tops if not top.endswith(".dist-info")} == {"ringwalk"}
    assert "ringwalk/_rooms/guest-images/sets.toml" in kept
    assert any(name.startswith("ringwalk/_rooms/device/engine/_core.abi3.") for name in kept)
    assert "-cp311-abi3-" in built[".whl"].name


def test_the_wheel_works_where_the_folder_has_the_same_names(built: dict[str, Path], tmp_path: Path) -> None:
    """In a folder with a lab and a device: nothing of it runs, nor in processes that a command starts."""
    bin_folder = environment(tmp_path / "venv", built[".whl"])
    here = tmp_path / "here"
    for name in GENERIC:
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise SystemExit('hijacked')")
    (here / "queue.py").write_text("raise SystemExit('hijacked')")

    checked = run(
        bin_folder / "python",
        "-P",
        "-m",
        "ringwalk",
        "conform",
        "-k",
        "tx-rs",
        "--target",
        "native",
        cwd=here,
    )
    listed = run(bin_folder / "python", "-P", "-m", "ringwalk", "fetch", "--list", cwd=here)

    assert "2/2" in checked
    assert "qemu" in listed


def test_the_sdist_has_what_a_packager_wants(built: dict[str, Path]) -> None:
    """Tests, documents, the licence and the launcher; nothing that was compiled."""
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"LICENSE", "CHANGELOG.md", "ringwalk", "docs/architecture.md", "tests/conftest.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


def test_pyvfio_user_stands_alone(tmp_path: Path) -> None:
    """Built from its own folder, its README's device is served and driven by its README's client."""
    source, out = tmp_path / "source", tmp_path / "dist"
    out.mkdir()
    wheel = build(tracked(TOP / "device/vfio_user", source), out)[".whl"]
    bin_folder = environment(tmp_path / "venv", wheel)
    client = (source / "README.md").read_text().split("## A driver without a VMM")[1].split("```")[1]
    program = client.removeprefix("python\n").replace("/tmp/scratch.sock", str(tmp_path / "s"))  # noqa: S108 - the README's
    python = str(bin_folder / "python")
    with subprocess.Popen(
        [python, "-P", "-m", "pyvfio_user.examples.scratch", str(tmp_path / "s")], cwd=tmp_path
    ) as served:
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "s").exists() and time.monotonic() < until:
            time.sleep(0.05)

        printed = run(python, "-P", "-c", program, cwd=tmp_path)

        served.terminate()
    assert printed.strip() == "3628800"
