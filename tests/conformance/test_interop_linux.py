"""``ringwalk interop`` against this machine's Linux: the commands that the documents name, verifiers on."""

from __future__ import annotations

import pytest

from lab.trials.interop.hostile_frames import KINDS
from lab.trials.interop.impaired import CABLES
from lab.trials.interop.iperf3 import cases
from tests.conformance.interop_command import run_part


def test_the_real_iperf3_is_client_and_server_of_ours() -> None:
    """TCP and UDP, both directions, parallel streams, both ways round."""
    seen = run_part("iperf3", "--seconds", "1")

    assert len(seen) == 2 * len(cases(1))


def test_transfers_arrive_whole_over_two_bad_cables() -> None:
    """Both ways at once; the second cable has every fault that there is."""
    cables = ("loss=5%", CABLES[9])

    seen = run_part("impaired", *(f"--cable={cable}" for cable in cables), "--kilobytes", "150")

    assert [one["what"] for one in seen[::2]] == list(cables)


@pytest.mark.extra
@pytest.mark.timeout(400)
def test_transfers_arrive_whole_over_every_bad_cable() -> None:
    """Extra: two minutes."""
    seen = run_part("impaired", timeout_s=390)

    assert len(seen) == 2 * len(CABLES)


@pytest.mark.extra
@pytest.mark.timeout(400)
def test_curl_gets_and_puts_a_hundred_megabytes() -> None:
    """Extra: a minute on a busy machine; 4 MB go in test_winsock_curl.py."""
    seen = run_part("curl", timeout_s=390)

    assert [one["what"] for one in seen] == [
        "curl gets from our server",
        "curl puts to our server",
        "SHA-256",
    ]


def test_hostile_frames_do_not_keep_the_stack_from_answering() -> None:
    """Ten thousand here; ``ringwalk interop hostile --frames 1000000`` is the long run."""
    seen = {one["what"]: one["result"] for one in run_part("hostile", "--frames", "10000", "--seed", "3")}

    assert all(kind in seen["kinds"] for kind in KINDS)


def test_keystrokes_are_echoed_while_bulk_goes_on() -> None:
    """Idle, beside a transfer that we send, beside one that we receive."""
    seen = run_part("prompt", "--keys", "40")

    assert [("bulk" in one["result"]) for one in seen] == [False, True, True]


def test_kernel_sockets_serve_linux_and_are_served_by_it() -> None:
    """The echo driver on WSK, by receives and by events, and a WSK client."""
    seen = run_part("wsk", "--largest", "65536", "--connections", "12")

    assert len([one for one in seen if one["what"].startswith(("TCP", "UDP", "our WSK client"))]) == 8


def test_scripts_are_played_by_name() -> None:
    """All of them are tests of their own: test_tcpip_scripts.py."""
    seen = run_part("scripts", "active open", "sack fills only the hole", verify=False)

    assert [bool(one["note"]) for one in seen] == [False, True]
