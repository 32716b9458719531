"""Finds the parts of ``ringwalk bench``: the modules of ``lab.bench`` that have a ``NAME``."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

import lab.bench

if TYPE_CHECKING:
    from lab.bench.contract import Part


def parts() -> list[Part]:
    """Return the parts, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(lab.bench.__path__))
    modules = [importlib.import_module(f"lab.bench.{name}") for name in names]
    return [cast("Part", module) for module in modules if hasattr(module, "NAME")]
