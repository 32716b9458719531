"""Finds the parts of ``ringwalk interop``: the modules of ``lab.interop`` that have a ``NAME``."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

import lab.interop

if TYPE_CHECKING:
    from lab.interop.contract import Part


def parts() -> list[Part]:
    """Return the parts, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(lab.interop.__path__))
    modules = [importlib.import_module(f"lab.interop.{name}") for name in names]
    return [cast("Part", module) for module in modules if hasattr(module, "NAME")]
