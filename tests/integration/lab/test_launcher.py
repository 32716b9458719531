"""The launcher: whose modules it runs, where it keeps its environment, two starts at once."""

# ruff: noqa: D103 - a name that is a sentence needs no other

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pexpect
import pytest

LAUNCHER = Path(__file__).resolve().parents[3] / "ringwalk"
STUB = """#!/bin/sh
# Stands for Python: makes an "environment" slowly, and writes down what it is asked to install.
case "$*" in
*"-m venv "*)
    for folder in "$@"; do :; done
    mkdir -p "$folder/bin"
    sleep 0.3
    cp "$0" "$folder/bin/python"
    ;;
*"import pip"*) [ -e "$(dirname "$0")/../pyvenv.cfg" ] || exit 1 ;;
*" install "*) echo "$*" >> "$LOG"; sleep 0.3 ;;
*"-m ringwalk"*) echo "ran $* safe=$PYTHONSAFEPATH" ;;
esac
"""


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with what the launcher looks at, and a Python that only pretends."""
    top = tmp_path / "checkout"
    for name in ("device/regs", "miniport", "requirements"):
        (top / name).mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "device/core.cdef", "requirements/run.txt"):
        (top / name).write_text("x\n")
    (top / "ringwalk").write_bytes(LAUNCHER.read_bytes())
    (top / "ringwalk").chmod(0o755)
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    return top


def started(checkout: Path, *words: str) -> subprocess.Popen[str]:
    stub, log = checkout.parent / "python", checkout.parent / "log"
    environment = {**os.environ, "RINGWALK_PYTHON": str(stub), "LOG": str(log)}
    return subprocess.Popen(
        [checkout / "ringwalk", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def installed(checkout: Path) -> list[str]:
    return (checkout.parent / "log").read_text().splitlines()


def test_starts_at_once_in_a_fresh_checkout_wait_for_one_another(checkout: Path) -> None:
    """One prepares the environment, the others use it (B7)."""
    several = [started(checkout, "doctor") for _ in range(3)]

    said = [one.communicate() for one in several]

    assert [one.returncode for one in several] == [0, 0, 0]
    assert [out for out, _ in said] == ["ran -m ringwalk doctor safe=1\n"] * 3
    assert len(installed(checkout)) == 2


def test_only_locked_packages_are_installed_and_nothing_is_fetched_for_the_build(checkout: Path) -> None:
    started(checkout).communicate()

    packages, project = installed(checkout)

    assert "--require-hashes" in packages
    assert "--no-deps" in packages
    assert "-r requirements/run.txt" in packages
    assert "--no-deps --no-build-isolation -e" in project


def test_an_environment_stays_while_nothing_changes_but_times(checkout: Path) -> None:
    """A fresh clone, or an editor's save, changes times; contents decide."""
    started(checkout).communicate()
    os.utime(checkout / "device/core.cdef", (1, 1))

    _, said = started(checkout).communicate()

    assert said == ""
    assert len(installed(checkout)) == 2


@pytest.mark.parametrize("name", ["device/core.cdef", "requirements/run.txt", "pyproject.toml"])
def test_an_environment_is_made_again_when_its_recipe_changes(checkout: Path, name: str) -> None:
    started(checkout).communicate()
    (checkout / name).write_text("other\n")

    _, said = started(checkout).communicate()

    assert "preparing" in said
    assert len(installed(checkout)) == 4


def test_a_link_to_the_launcher_is_the_launcher(checkout: Path, tmp_path: Path) -> None:
    """As ~/bin/ringwalk is one; nothing is made beside the link (B7)."""
    started(checkout).communicate()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ringwalk").symlink_to(checkout / "ringwalk")

    done = run(tmp_path / "bin/ringwalk", cwd=tmp_path, RINGWALK_PYTHON=str(tmp_path / "python"))

    assert done.stdout == "ran -m ringwalk safe=1\n"
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["ringwalk"]


@pytest.mark.parametrize("name", ["lab.py", "queue.py", "device/__init__.py", "ringwalk.py", "argparse.py"])
def test_modules_of_the_current_directory_are_never_run(tmp_path: Path, name: str) -> None:
    """A driver project may well have a folder ``device`` (B6)."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('hijacked')\n")

    done = run(LAUNCHER, "--version", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ringwalk ")


def test_without_arguments_there_is_help(tmp_path: Path) -> None:
    done = run(LAUNCHER, cwd=tmp_path)

    assert done.returncode == 0
    assert "boot a Linux guest" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a home")
def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path) -> None:
    """Nothing of theirs, or of anybody, goes to /tmp (t19)."""
    done = run(
        *("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "env", "-u", "HOME"),
        *("-u", "XDG_CACHE_HOME", "/usr/bin/python3", "-I", "-S", "-c"),
        (LAUNCHER.parent / "device/private_folder.py").read_text(),
        cwd=tmp_path,
    )

    assert done.returncode == 2
    assert "set XDG_CACHE_HOME" in done.stderr


def test_bash_completes_subcommands_options_and_values(tmp_path: Path) -> None:
    script = run(LAUNCHER, "completion", "bash", cwd=tmp_path).stdout
    asked = 'COMP_WORDS=($1 "$2"); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _ringwalk; echo "${COMPREPLY[@]}"'

    def completed(before: str, begun: str) -> list[str]:
        return run("bash", "-c", script + asked, "bash", before, begun, cwd=tmp_path).stdout.split()

    assert completed("ringwalk", "ser") == ["serve"]
    assert completed("ringwalk serve", "--eng") == ["--engine"]
    assert completed("ringwalk serve --engine", "") == ["native", "reference"]
    assert "ipconfig" in completed("ringwalk net", "")


def test_zsh_completes_subcommands_options_and_values(tmp_path: Path) -> None:
    """By zsh's own completion, as a person has it: compinit, a line, and the widget behind Tab."""
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed here")
    (tmp_path / "_ringwalk").write_text(run(LAUNCHER, "completion", "zsh", cwd=tmp_path).stdout)
    shell = pexpect.spawn(
        zsh, ["-f", "-i"], cwd=str(tmp_path), encoding="utf-8", timeout=20, dimensions=(50, 200)
    )
    for line in (
        "PROMPT='ready> '; unsetopt zle_bracketed_paste prompt_sp; zstyle ':completion:*' list-colors ''",
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' menu no",
    ):
        shell.sendline(line)
    shell.sendline("echo set-up-is-$((1 + 1))")
    shell.expect_exact("set-up-is-2")

    shell.sendline('ringwalk() { print -r -- "<$*>" }')

    def completed(begun: str, to: str) -> None:
        """Begin a line, press Tab and Enter: what runs is the completed line."""
        shell.send(f"ringwalk {begun}\t\r")
        shell.expect_exact(f"<{to}>")

    completed("ser", "serve")
    completed("serve --eng", "serve --engine")
    completed("serve --engine ref", "serve --engine reference")
    completed("net ipc", "net ipconfig")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_fish_completes_subcommands_options_and_values(tmp_path: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed here")
    script = run(LAUNCHER, "completion", "fish", cwd=tmp_path).stdout

    def completed(line: str) -> list[str]:
        asked = f"{script}\ncomplete -C '{line}'"
        return run(fish, "--no-config", "-c", asked, cwd=tmp_path, HOME=str(tmp_path)).stdout.split()

    assert completed("ringwalk ser") == ["serve"]
    assert completed("ringwalk serve --eng") == ["--engine"]
    assert completed("ringwalk serve --engine ref") == ["reference"]
    assert "ipconfig" in completed("ringwalk net ")
