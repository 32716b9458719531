"""The declarations of our systems: whole, true to their INF files, and known to no loader by name."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.cli import main as cli
from lab.host import systems
from ntos.netcfg.component import services

LAST_ROW = 66
DECLARED = [driver for _package, driver in systems.declarations()]


def test_every_row_of_the_list_of_systems_is_declared_or_still_to_come() -> None:
    rows = [row for driver in DECLARED for row in driver.rows] + [one.row for one in systems.to_come()]

    assert sorted(rows) == list(range(1, LAST_ROW + 1))


def test_every_inf_file_of_ours_names_code_that_is_declared() -> None:
    store = systems.store()

    for name in store.names():
        package, inf = store.find(name)
        for service in services(inf):
            assert package.driver(service.binary.rpartition("\\")[2]) is not None


def test_every_component_has_code_where_its_declaration_says() -> None:
    missing = [
        f"{part.name}: {package.folder.name}/{part.code}*"
        for package, driver in systems.declarations()
        for part in driver.components
        if part.code and not list(package.folder.glob(f"{part.code.rstrip('/')}*"))
    ]

    assert missing == []


def test_no_loader_knows_a_driver_by_name() -> None:
    names = {driver.name.lower() for driver in DECLARED} | {driver.binary.lower() for driver in DECLARED}
    names -= {"ndis", "tdi"}  # load order groups have these names, too

    guilty = [
        f"{path.name}: {literal}"
        for path in (systems.TOP / "ntos/netcfg").glob("*.py")
        for literal in re.findall(r'"([^"\n]*)"', path.read_text())
        if literal.lower() in names
    ]

    assert guilty == []


@pytest.mark.parametrize("driver", DECLARED, ids=lambda driver: driver.name)
def test_the_proof_of_a_system_is_a_command_that_exists(driver: object) -> None:
    proof = driver.proof.split()  # type: ignore[attr-defined]  # a Driver: pytest's parameters are objects

    if proof[0] == "pytest":
        assert (systems.TOP / proof[1]).is_file()
    else:
        cli.parser().parse_args(proof[1:])


def test_the_table_says_what_each_system_is_and_what_is_not_there_yet() -> None:
    table = systems.markdown()

    assert "| 4 | Ancillary function driver (AFD) | `afd.sys` |" in table
    assert re.search(r"\| 10 \| COM, .*\| not yet \|", table)


def test_the_place_of_a_file_is_its_innermost_component() -> None:
    top = Path("protocols/transports/tcpip")

    found = [
        systems.component_at((top / name).as_posix())
        for name in ("tcp/output.py", "ipv4_layer.py", "timers.py")
    ]

    assert found == ["tcp", "ip", ""]
