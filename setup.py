"""Only what pyproject.toml cannot say: the C core and the driver's fast path are built by cffi."""

from setuptools import setup

setup(cffi_modules=["device/engine/_build.py:ffibuilder", "miniport/_build.py:ffibuilder"])
