"""``ringwalk net trace``: the layers of a real send, and the frame as tshark reads it."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.cli.main import main
from lab.host.tracing import DOWN, KERNEL_DOWN, Trace, trace_kernel_send, trace_send
from tests.judges import wireshark

if TYPE_CHECKING:
    from pathlib import Path


def test_a_send_passes_every_layer_down_to_the_wire(tmp_path: Path) -> None:
    traced = trace_send(tmp_path)

    assert traced.hops == DOWN
    assert [call for call in traced.layered if call in ("connect", "send")] == ["connect", "send"]
    assert traced.expected == ("eth", "ip", "udp", "data")
    assert (tmp_path / "trace.pcapng").stat().st_size


def test_a_drivers_send_passes_wsk_and_tlnpi_in_place_of_winsock_afd_and_tdi(tmp_path: Path) -> None:
    traced = trace_kernel_send(tmp_path)

    assert traced.hops == KERNEL_DOWN
    assert traced.good


def test_tshark_nests_the_frame_in_the_order_of_the_hops(capsys: pytest.CaptureFixture[str]) -> None:
    wireshark()

    status = main(["net", "trace"])

    said = capsys.readouterr().out
    assert status == 0
    assert "tshark's frame  eth > ip > udp > data: the same order, from the wire up" in said
    assert "wsk(5) -> tlnpi(5/4) -> udp(4) -> ip(3) -> ndis" in said
    assert "tcp" not in said


@pytest.mark.parametrize(
    "traced",
    [
        Trace(DOWN[:-1], None),
        Trace((*DOWN[:3], DOWN[4], DOWN[3], *DOWN[5:]), None),
        Trace(DOWN, ("eth", "udp", "ip", "data")),
    ],
)
def test_a_missing_layer_or_another_order_is_no_success(traced: Trace) -> None:
    assert not traced.good
