"""The driver store: folders with an INF file and, beside it, the declaration of the code that it names.

A root is a package of ours; ``add`` takes one more folder, anybody's. A ``driver.py`` is imported when its
INF file is installed, or when all declarations are asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ntos.netcfg.inf import Inf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ntos.netcfg.driver import Driver

DECLARATION = "driver"


class DriverStoreError(Exception):
    """A folder or an INF file that no driver can be loaded from; the text says what is missing."""


@dataclass(slots=True)
class Package:
    """A folder with a declaration, with INF files, or with both. ``module`` is the folder's import name."""

    folder: Path
    module: str
    infs: dict[str, Path] = field(default_factory=dict)

    @property
    def is_declared(self) -> bool:
        """Whether it has a ``driver.py``: an INF file of somebody else's has none."""
        return (self.folder / f"{DECLARATION}.py").is_file()

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """Its declarations: ``DRIVER``, or ``DRIVERS`` of a folder that has several small ones."""
        if not self.is_declared:
            return ()
        module = importlib.import_module(f"{self.module}.{DECLARATION}")
        found: tuple[Driver, ...] = getattr(module, "DRIVERS", ()) or (module.DRIVER,)
        return found

    def driver(self, binary: str) -> Driver | None:
        """Return the declaration that stands for a file, None where there is no declaration or no file.

        DriverStoreError when the folder declares others only.
        """
        if not binary:
            return None
        drivers = self.drivers
        found = next((one for one in drivers if one.binary.lower() == binary.lower()), None)
        if drivers and found is None:
            others = ", ".join(one.binary for one in drivers)
            raise DriverStoreError(f"{self.folder.name}: the INF file names {binary}, driver.py is {others}")
        return found


class DriverStore:
    """Packages by the names of their INF files, without the suffix."""

    def __init__(self, roots: Sequence[ModuleType] = ()) -> None:
        self.packages: list[Package] = []
        self._parsed: dict[Path, Inf] = {}
        for root in roots:
            for top in root.__path__:
                self._scan(Path(top), root.__name__)

    def add(self, folder: Path) -> Package:
        """Take in a folder from anywhere: it is imported under its own name. DriverStoreError."""
        infs = {path.stem: path for path in sorted(folder.glob("*.inf"))}
        if not infs:
            raise DriverStoreError(f"{folder.name} has no INF file")
        package = Package(folder, _import_name(folder), infs)
        self.packages.append(package)
        return package

    def find(self, name: str) -> tuple[Package, Inf]:
        """Return the package and the text of an INF file. DriverStoreError when there is none."""
        for package in self.packages:
            if name in package.infs:
                return package, self._parse(package.infs[name])
        raise DriverStoreError(f"there is no {name}.inf; there are {', '.join(self.names())}")

    def names(self) -> list[str]:
        """Return the names of all INF files."""
        return sorted(name for package in self.packages for name in package.infs)

    def declared(self) -> Iterator[tuple[Package, Driver]]:
        """Walk all declarations. All of them are imported."""
        for package in self.packages:
            for driver in package.drivers:
                yield package, driver

    def built_in(self) -> Iterator[Driver]:
        """Walk the declarations of drivers that come with the system, without an INF file."""
        for package in self.packages:
            if not package.infs:
                yield from package.drivers

    def library(self, binary: str) -> Driver | None:
        """Return the declaration that stands for a file; the folders that were added last come first."""
        for package in reversed(self.packages):
            for driver in package.drivers:
                if driver.binary.lower() == binary.lower():
                    return driver
        return None

    def _parse(self, path: Path) -> Inf:
        if path not in self._parsed:
            self._parsed[path] = Inf.parse(path.read_bytes())
        return self._parsed[path]

    def _scan(self, top: Path, name: str) -> None:
        folders = {path.parent for pattern in ("*.inf", f"{DECLARATION}.py") for path in top.rglob(pattern)}
        for folder in sorted(folders):
            module = ".".join((name, *folder.relative_to(top).parts))
            infs = {path.stem: path for path in sorted(folder.glob("*.inf"))}
            package = Package(folder, module, infs)
            if infs or package.is_declared:
                self.packages.append(package)


def _import_name(folder: Path) -> str:
    """Make a folder a package under its own name, without ``__init__``. DriverStoreError: it is taken."""
    name = folder.name
    place = [str(folder.resolve())]
    known = sys.modules.get(name)
    if known is None and importlib.util.find_spec(name) is not None:
        raise DriverStoreError(f"{name} is the name of another package: rename the folder")
    if known is not None:
        if list(getattr(known, "__path__", [])) != place:
            raise DriverStoreError(f"{name} is the name of another package: rename the folder")
        return name
    module = ModuleType(name)
    module.__path__ = place
    sys.modules[name] = module
    return name
