"""The driver store and the loader: folders with an INF file and a declaration, found and loaded by it."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ntos.executive.virtual import VirtualExecutive
from ntos.io.system import IoSystem
from ntos.netcfg.loader import Loader
from ntos.netcfg.services import DependencyError
from ntos.netcfg.store import DriverStore, DriverStoreError
from ntos.netcfg.system import MissingExportError, System
from ntos.netcfg.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INF = """[Version]
Signature = "$Windows NT$"
Class = {kind}
[Manufacturer]
Us = Models, NTamd64
[Models.NTamd64]
"{name}" = Install, {name}
[Install]
AddReg = Reg
[Reg]
HKR, Ndi, Service, 0, "{name}"
HKR, Ndi\\Interfaces, UpperRange, 0, "{upper}"
HKR, Ndi\\Interfaces, LowerRange, 0, "{lower}"
[Install.Services]
AddService = {name}, , Service
[Service]
ServiceType = 1
StartType = {start}
ServiceBinary = %12%\\{binary}
{more}
"""
DRIVER = """
from ntos.netcfg.driver import Driver, DriverObject

class Object(DriverObject):
    def __init__(self, system):
        self.events = []
    def bind(self, lower):
        self.events.append(("bind", lower))
    def unbind(self, lower):
        self.events.append(("unbind", lower))
    def unload(self):
        self.events.append(("unload", ""))

def entry(system):
    found = Object(system)
    system.export(found)
    return found

DRIVER = Driver(name="{name}", binary="{name}.sys", title="", components=(), seed="", proof="", judge="",
                entry=entry, is_standing={standing})
"""


@pytest.fixture(autouse=True)
def _modules_of_a_test_end_with_it() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _folder(
    top: Path,
    name: str,
    *,
    upper: str = "x",
    lower: str = "noupper",
    start: int = 1,
    binary: str = "",
    more: str = "",
) -> Path:
    folder = top / name
    folder.mkdir()
    text = INF.format(
        kind="NetTrans",
        name=name,
        upper=upper,
        lower=lower,
        start=start,
        binary=binary or f"{name}.sys",
        more=more,
    )
    (folder / f"net{name}.inf").write_text(text)
    (folder / "driver.py").write_text(DRIVER.format(name=name, standing=lower == "noupper"))
    return folder


def _loader(*folders: Path) -> Loader:
    store = DriverStore()
    for folder in folders:
        store.add(folder)
    return Loader(store, System(IoSystem(), VirtualExecutive()))


def test_a_folder_from_anywhere_is_loaded_by_what_its_inf_file_names(tmp_path: Path) -> None:
    loader = _loader(_folder(tmp_path, "below"), _folder(tmp_path, "above", upper="y", lower="x"))

    loader.load_host()

    assert loader.objects.of["above"].events == [("bind", "below")]  # type: ignore[attr-defined]  # the test's own class
    assert tree(loader.engine) == "Protocols\n  above (above)\n    - below (below)\n  below (below)\n"


def test_a_driver_on_demand_waits_to_be_asked_for(tmp_path: Path) -> None:
    loader = _loader(_folder(tmp_path, "eager"), _folder(tmp_path, "lazy", start=3))

    loader.load_host()
    before = [one.name for one in loader.started]
    loader.load("netlazy")

    assert before == ["eager"]
    assert [one.name for one in loader.started] == ["eager", "lazy"]


def test_unloading_ends_the_bindings_above_then_those_below_then_the_driver(tmp_path: Path) -> None:
    folders = [
        _folder(tmp_path, "low"),
        _folder(tmp_path, "mid", upper="m", lower="x"),
        _folder(tmp_path, "high", upper="h", lower="m"),
    ]
    loader = _loader(*folders)
    loader.load_host()
    mid, high = loader.objects.of["mid"], loader.objects.of["high"]

    loader.unload("mid")

    assert mid.events == [("bind", "low"), ("unbind", "low"), ("unload", "")]  # type: ignore[attr-defined]  # the test's own class
    assert high.events == [("bind", "mid"), ("unbind", "mid")]  # type: ignore[attr-defined]  # the test's own class
    assert [one.name for one in loader.started] == ["high", "low"]


def test_a_driver_that_was_unloaded_can_be_loaded_again(tmp_path: Path) -> None:
    loader = _loader(_folder(tmp_path, "again"))
    loader.load_host()

    loader.unload("again")
    loader.load("netagain")

    assert "again" in loader.engine.components


def test_a_driver_that_another_depends_on_is_not_unloaded(tmp_path: Path) -> None:
    loader = _loader(_folder(tmp_path, "base"), _folder(tmp_path, "user", more="Dependencies = base"))
    loader.load_host()

    with pytest.raises(DependencyError, match="base cannot stop: user"):
        loader.unload("base")

    assert "base" in loader.engine.components


def test_an_inf_file_that_names_other_code_is_refused(tmp_path: Path) -> None:
    loader = _loader(_folder(tmp_path, "liar", binary="other.sys"))

    with pytest.raises(DriverStoreError, match=r"names other\.sys, driver\.py is liar\.sys"):
        loader.install("netliar")


def test_a_folder_without_an_inf_file_is_no_driver(tmp_path: Path) -> None:
    with pytest.raises(DriverStoreError, match="has no INF file"):
        DriverStore().add(tmp_path)


def test_a_folder_cannot_take_the_name_of_a_package(tmp_path: Path) -> None:
    with pytest.raises(DriverStoreError, match="json is the name of another package"):
        DriverStore().add(_folder(tmp_path, "json"))


def test_an_inf_file_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    loader = _loader(_folder(tmp_path, "there"))

    with pytest.raises(DriverStoreError, match=r"no nowhere\.inf; there are netthere"):
        loader.load("nowhere")


def test_what_no_driver_exports_is_missing_by_name() -> None:
    system = System(IoSystem(), VirtualExecutive())

    with pytest.raises(MissingExportError, match="no driver exports IoSystem"):
        system.find(IoSystem)
