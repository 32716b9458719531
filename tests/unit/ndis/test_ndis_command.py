"""``ringwalk ndis`` without a running stack: INF files, the demonstration, the rules, and what it refuses."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from lab.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

INF = """[Version]
Signature="$Windows NT$"
Class={kind}
[Manufacturer]
Maker=Models
[Models]
{name}=Install,{name}_ID
[Install]
AddReg=Registry
[Registry]
HKR,Ndi,Service,,{name}
HKR,Ndi\\Interfaces,UpperRange,,{upper}
HKR,Ndi\\Interfaces,LowerRange,,{lower}
"""


def write(folder: Path, name: str, kind: str, upper: str, lower: str) -> str:
    """Write an INF; return its path."""
    path = folder / f"{name}.inf"
    path.write_text(INF.format(name=name, kind=kind, upper=upper, lower=lower))
    return str(path)


def test_the_tree_is_printed_and_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disabled binding is crossed; a wrong name is one line and status 2."""
    card = write(tmp_path, "Card", "Net", "ndis5", "ethernet")
    tcpip = write(tmp_path, "Tcpip", "NetTrans", "tdi", "ndis5")

    plain = main(["ndis", "bindings", card, tcpip, "--linkage"])
    shown = capsys.readouterr().out
    edited = main(["ndis", "bindings", card, tcpip, "--disable", "Tcpip>{1}"])
    crossed = capsys.readouterr().out
    wrong = main(["ndis", "bindings", card, tcpip, "--disable", "Nbf>{1}"])

    assert (plain, edited, wrong) == (0, 0, 2)
    assert "  Tcpip (Tcpip)\n    - Card ({1})\n" in shown
    assert "Tcpip\\Linkage\\Bind: \\Device\\{1}\n" in shown
    assert "    x Card ({1})\n" in crossed
    assert "does not match" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["serialized", "deserialized", "ndis6"])
def test_the_demonstration_has_packets_under_way(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Four sends with the driver, three receives with the transport; one of them with its history."""
    status = main(["ndis", "pending", "--demo", "--mode", mode, "--json"])
    pending = json.loads(capsys.readouterr().out)
    number = re.search(r"\d+", next(one["what"] for one in pending if one["where"].startswith("receive")))
    assert number is not None
    found = main(["ndis", "packet", number[0], "--demo", "--mode", mode, "--json"])
    packet = json.loads(capsys.readouterr().out)

    assert (status, found) == (0, 0)
    assert [one["where"].split(",")[0] for one in pending] == ["send"] * 4 + ["receive"] * 3
    assert packet["packets"][0]["references"] == 1
    assert {one["kind"] for one in packet["history"]} >= {"RETAINED"}


def test_the_38_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each once, in order."""
    status = main(["ndis", "rules"])

    assert status == 0
    assert [line[:3] for line in capsys.readouterr().out.splitlines()] == [f"V{n:02}" for n in range(1, 39)]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["packet", "--demo"], "name one packet"),
        (["packet", "1", "--demo"], "no packet 1"),
        (["bindings", "--demo"], "no binding engine"),
        (["log", "--lines", "-1", "--demo"], "0 or more lines"),
        (["adapters", "--stack", "nobody"], "no stack called nobody"),
        (["bindings", "/nowhere.inf"], "cannot read"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_status_2(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do."""
    status = main(["ndis", *arguments])

    said = capsys.readouterr().err
    assert status == 2
    assert why in said
    assert said.count("\n") == 1
