"""``ringwalk boot --guest nt``: our driver in the guest, through VFIO, pings the far end."""

from __future__ import annotations

import pytest

from lab.errors import UsageError
from lab.host.nt_guest import run_inside
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec

ECHOES = 5


@pytest.mark.guest
@pytest.mark.timeout(300)
@pytest.mark.parametrize("deserialized", [False, True], ids=["serialized", "deserialized"])
def test_our_stack_in_the_guest_pings_the_far_end(*, deserialized: bool) -> None:
    """Raw frames, ARP and ICMP; MSI-X by eventfd; the verifier has nothing to say."""
    try:
        told = run_inside([CardSpec()], GuestSpec(), deserialized=deserialized, count=ECHOES)
    except UsageError as reason:
        pytest.skip(f"no guest here: {reason}")

    assert (told["echoes_answered"], told["interrupts_messages"], told["verifier"]) == (ECHOES, 5, [])
