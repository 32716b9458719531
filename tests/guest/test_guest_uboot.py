"""U-Boot on machines of four processors drives our card (``./ringwalk interop uboot``)."""

from __future__ import annotations

import pytest

from lab.trials.interop.uboot import BOARDS, SET, session
from tests.guest.conftest import fetched_or_skipped

pytestmark = [pytest.mark.guest, pytest.mark.extra, pytest.mark.timeout(400)]


@pytest.mark.parametrize("board", BOARDS)
def test_uboot_finds_its_address_and_loads_a_file_without_a_pause_frame(board: str, engine: str) -> None:
    """DHCP, ping, TFTP with a CRC, and no more frames than the transfer's own."""
    fetched_or_skipped("qemu", SET)

    seen = session(board, engine, 1 << 20)

    assert [one for one in seen if not one.good] == []
    assert len(seen) == 5
