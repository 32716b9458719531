"""Looks at a page as a person would: headless Chromium, from the package set of that name.

The program runs from its unpacked tree, by the tree's own loader and libraries. Chromium looks for its data
beside the file that the kernel started, which is the loader: so a copy of that lies there. And it starts
itself again for each page; the way to do that is a script.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.fetch import prefix

if TYPE_CHECKING:
    from pathlib import Path

SET: Final = "chromium"
_FOLDER: Final = "usr/lib/chromium"
_LIMIT_S: Final = 120
_OPTIONS: Final = (
    "--headless",
    "--no-sandbox",  # no right of this user is more than the page's, which is ours
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm may be tiny
    "--hide-scrollbars",
)
_FONTS: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser; ``folder`` is its own, for what it writes."""

    command: tuple[str, ...]
    folder: Path
    fonts: Path

    def dom(self, page: Path) -> str:
        """Return the page's document as the browser has it after loading. UsageError: the browser fails."""
        return self._run(page, "--dump-dom").decode()

    def picture(self, page: Path, to: Path, *, width: int = 1000, height: int = 1400) -> Path:
        """Draw the page into a PNG. UsageError."""
        self._run(page, f"--screenshot={to}", f"--window-size={width},{height}")
        if not to.is_file():
            raise UsageError(f"Chromium drew nothing of {page}")
        return to

    def _run(self, page: Path, *options: str) -> bytes:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "fonts.conf"
        configuration.write_text(_FONTS.format(fonts=self.fonts, cache=self.folder / "fonts"))
        environment = dict(os.environ) | {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "FONTCONFIG_FILE": str(configuration),
        }
        argv = [*self.command, *_OPTIONS, *options, page.absolute().as_uri()]
        try:
            done = subprocess.run(argv, env=environment, capture_output=True, check=False, timeout=_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"Chromium does not run here: {error}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise UsageError(
                f"Chromium ended with {done.returncode}: {said[-1] if said else 'it said nothing'}"
            )
        return done.stdout


def find(folder: Path, *, offline: bool = False) -> Chromium:
    """Return the browser of the cache, fetched when it is missing. UsageError: it cannot be had."""
    fetch.ensure([SET], offline=offline)
    tree = fetch.tree(SET)
    home = tree / _FOLDER
    loader = home / "loader"
    if not loader.exists():
        source = next((tree / path for path in prefix.LOADERS if (tree / path).exists()), None)
        if source is None:
            raise UsageError(
                f"no loader in {tree}: run `ringwalk fetch --clean`, then `ringwalk fetch {SET}`"
            )
        part = home / f"loader.{os.getpid()}"
        shutil.copy(source, part)
        part.rename(loader)
    _, *arguments = prefix.command(tree, f"{_FOLDER}/chromium")
    script = home / "start"
    text = f'#!/bin/sh\nexec {shlex.join([str(loader), *arguments])} "$@"\n'
    if not script.exists() or script.read_text() != text:
        part = home / f"start.{os.getpid()}"
        part.write_text(text)
        part.chmod(0o755)
        part.rename(script)
    return Chromium((str(script), f"--browser-subprocess-path={script}"), folder, tree / "usr/share/fonts")
