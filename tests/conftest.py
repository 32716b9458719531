"""Fixtures that all kinds of tests share: the card's engines, one after the other."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, cast

import pytest

from device.engine.reference import ReferenceEngine
from tests.bench import Bench, EngineFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINES: dict[str, EngineFactory] = {"reference": ReferenceEngine}
if importlib.util.find_spec("device.engine.native"):
    native = importlib.import_module("device.engine.native")
    ENGINES["native"] = cast("EngineFactory", native.NativeEngine)


@pytest.fixture(params=sorted(ENGINES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Make a card's engine with link and DMA, on a megabyte of memory; its wire takes no offload."""
    made = Bench(ENGINES[request.param])
    yield made
    made.close()


@pytest.fixture(params=sorted(ENGINES))
def offloading(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Make the same on a wire that takes frames with an ``Offload``."""
    made = Bench(ENGINES[request.param], offload=True)
    yield made
    made.close()
