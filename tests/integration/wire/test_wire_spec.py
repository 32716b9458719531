"""Wire specifications: what is understood, and what a user is told about the rest."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from device.wire.contract import Framing, WireError
from device.wire.impairment import Impairment
from device.wire.passt import passt_arguments
from device.wire.simple import NoWire
from device.wire.spec import KINDS, WireSpec, impairment_of, open_wire, parse_spec


def test_a_specification_is_taken_apart() -> None:
    """Kind, arguments, options."""
    text = "dgram:/a,/b,loss=1%,pcap=/x"

    assert parse_spec(text) == WireSpec(text, "dgram", ("/a", "/b"), {"loss": "1%", "pcap": "/x"})


def test_a_kind_without_an_argument_takes_options() -> None:
    """After a comma or a colon."""
    for text in ("netns,mtu=9000", "netns:mtu=9000"):
        assert parse_spec(text).options == {"mtu": "9000"}


def test_every_impairment_has_its_unit() -> None:
    """The line of the documentation."""
    text = (
        "switch:lab,loss=1%,delay=10ms,jitter=2ms,reorder=1%,duplicate=1%,corrupt=0.1%,"
        "rate=10mbit,seed=7,limit=50"
    )

    assert impairment_of(parse_spec(text)) == Impairment(
        0.01, 10_000_000, 2_000_000, 0.01, 0.01, 0.001, 10_000_000, 7, 50
    )


def test_every_kind_shows_an_example_that_is_understood() -> None:
    """The error message is made of them."""
    assert [parse_spec(kind.example).kind for kind in KINDS.values()] == list(KINDS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "use one of tap:NAME"),
        ("token-ring", "use one of tap:NAME"),
        ("tap", "expected tap:NAME"),
        ("tap:a,b", "expected tap:NAME"),
        ("tap:much-too-long-name", "15 characters"),
        ("tap:x,offload=all", "none, csum, tso"),
        ("none:x", "expected none"),
        ("dgram:/a", "expected dgram:LOCAL,REMOTE"),
        ("dgram:/a,127.0.0.1:5", "two of a kind"),
        ("dgram:fd=999", "pass an open"),
        ("stream:" + "x" * 200, "107 bytes"),
        ("stream:/no/such/place", "name a socket"),
        ("pcap:/no/such/place", "name a file"),
        ("none,pcap=/no/such/place", "name a file"),
        ("none,loss=200%", "0% to 100%"),
        ("none,loss=much", "not understood"),
        ("none,delay=10", "a time is a number and one of ns, us, ms, s"),
        ("none,rate=fast", "a rate is a number"),
        ("none,seed=-1", "not negative"),
        ("none,los=1%", "not an option of this wire; it has"),
        ("none,loss=1%,loss=2%", "twice"),
        ("netns,cable=rope", "auto, tap, veth"),
        ("packet:no-such-if", "ip link"),
        ("passt:program=/no/such/passt", "apt-get install passt"),
    ],
)
def test_a_wrong_specification_is_told_in_one_line_with_the_remedy(text: str, told: str) -> None:
    """And leaves no descriptor open."""
    gc.collect()  # descriptors of others' garbage are not to be closed in between
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(WireError) as error:
        open_wire(text)

    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_wire_is_no_wire() -> None:
    """Nothing to poll, no carrier."""
    assert open_wire("none") == NoWire("none", -1, Framing.NONE, link=False)


def test_passt_is_given_an_open_socket_and_ends_with_it() -> None:
    """So no path's rights matter, also when root's passt becomes nobody."""
    assert passt_arguments("/usr/bin/passt", 7, 1500, ("--ipv4-only",)) == [
        "/usr/bin/passt",
        *("--quiet", "--one-off", "--fd", "7", "--mtu", "1500", "--ipv4-only"),
    ]


def test_a_passt_that_refuses_is_quoted(tmp_path: Path) -> None:
    """Its last line, and what it usually means."""
    program = tmp_path / "passt"
    program.write_text("#!/bin/sh\necho No external interface found >&2\nexit 1\n")
    program.chmod(0o755)

    with pytest.raises(WireError, match=r"No external interface found.*route"):
        open_wire(f"passt:program={program}")
