"""Keeps a stack's edited bindings in a file, as the registry keeps NT's: ``net up --bindings FILE``.

Adapters and services are named as the tree names them; what the file says of components that are not there is
kept for the day they are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from ntos.netcfg.engine import Binding

if TYPE_CHECKING:
    from pathlib import Path

    from ntos.netcfg.engine import BindingEngine

ORDER, DISABLED = "order", "disabled"


def load(engine: BindingEngine, path: Path) -> None:
    """Do the edits of a file; a file that is not there has none. UsageError when it cannot be read."""
    kept = _read(path)
    there = set(engine.bindings())
    for upper, lowers in kept[ORDER].items():
        for lower in reversed(lowers):
            if Binding(upper, lower) in there:
                engine.move(Binding(upper, lower), 0)
    disabled = {Binding(upper, lower) for upper, lower in kept[DISABLED]}
    for binding in there:
        if binding in disabled:
            engine.disable(binding)
        elif not engine.enabled(binding) and binding.upper in kept[ORDER]:
            engine.enable(binding)


def save(engine: BindingEngine, path: Path) -> None:
    """Write order and disabled bindings. UsageError when it cannot be written."""
    kept = _read(path)
    there = list(engine.bindings())
    for upper in {one.upper for one in there}:
        kept[ORDER][upper] = [one.lower for one in there if one.upper == upper]
    off = [[one.upper, one.lower] for one in there if not engine.enabled(one)]
    gone = [pair for pair in kept[DISABLED] if Binding(*pair) not in set(there)]
    kept[DISABLED] = off + gone
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(json.dumps(kept, indent=2) + "\n")
        new.replace(path)
    except OSError as error:
        raise UsageError(f"--bindings {path}: {error.strerror}; give a file that can be written") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text())
        good = isinstance(kept[ORDER], dict) and all(len(pair) == 2 for pair in kept[DISABLED])
    except FileNotFoundError:
        return {ORDER: {}, DISABLED: []}
    except OSError as error:
        raise UsageError(f"--bindings {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--bindings {path} was not written by `ringwalk net`: {error}") from error
    if not good:
        raise UsageError(f"--bindings {path} was not written by `ringwalk net`: remove it")
    return kept  # type: ignore[no-any-return]  # its two keys were looked at
