"""What pyproject.toml cannot say: cffi builds the C, and a wheel has one top package.

A checkout keeps ``device``, ``lab`` and the others at its top. Such names are too common for site-packages,
so
in a wheel they go below ``ringwalk/_rooms`` (``ci/wheel/ringwalk/__init__.py`` makes them importable there).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build

ROOMS = ("device", "formats", "lab", "miniport", "ndis", "ntos", "protocols")


class Build(build):
    """The usual build; for a wheel, the rooms move below the one top package."""

    def run(self) -> None:
        """Build, then move what was built."""
        super().run()
        if "bdist_wheel" not in self.distribution.commands:
            return
        top = Path(self.build_lib)
        rooms = top / "ringwalk" / "_rooms"
        rooms.mkdir(parents=True, exist_ok=True)
        for name in ROOMS:
            shutil.rmtree(rooms / name, ignore_errors=True)
            (top / name).rename(rooms / name)
        shutil.copytree("guest-images", rooms / "guest-images", dirs_exist_ok=True)


setup(
    cffi_modules=["device/engine/_build.py:ffibuilder", "miniport/_build.py:ffibuilder"],
    cmdclass={"build": Build},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
