"""``ringwalk ndis bindings``: the tree of INF files, edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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
