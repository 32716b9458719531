"""The kept inputs of the libFuzzer targets: one text file a target, one input a line, in hex.

Text, so that a change can be read in a diff and no binary lies in the repository. Sorted by length: what a
merge keeps first is what says the same in fewer bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER: Final = Path(__file__).resolve().parents[3] / "tests" / "fuzz" / "corpus"
SUFFIX: Final = ".hex"
MOST_BYTES: Final = 24 * 1024
"""Of one target's inputs: a corpus is to be replayed in a second and read in a review."""


def read(folder: Path, target: str) -> list[bytes]:
    """Return a target's inputs; none when there is no file. ValueError where a line is no hex."""
    path = folder / f"{target}{SUFFIX}"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.is_file() else []


def chosen(inputs: Iterable[bytes], most_bytes: int = MOST_BYTES) -> list[bytes]:
    """Return the shortest inputs that fit into ``most_bytes`` together, each once."""
    kept = []
    for one in sorted(set(inputs), key=lambda data: (len(data), data)):
        most_bytes -= len(one)
        if most_bytes < 0:
            break
        if one:
            kept.append(one)
    return kept


def write(folder: Path, target: str, inputs: Iterable[bytes]) -> int:
    """Keep these inputs of a target in place of those before; return how many they are. OSError."""
    kept = chosen(inputs)
    text = "".join(f"{one.hex()}\n" for one in kept)
    (folder / f"{target}{SUFFIX}").write_text(text)
    return len(kept)


def unpack(inputs: Iterable[bytes], folder: Path) -> list[Path]:
    """Write each input to a file of its own, as libFuzzer names them: by its SHA-1."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for one in inputs:
        path = folder / hashlib.sha1(one, usedforsecurity=False).hexdigest()
        path.write_bytes(one)
        made.append(path)
    return made
