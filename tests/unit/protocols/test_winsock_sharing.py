"""Who may bind beside whom: every cell of Microsoft's table, and Wine's cases of dual-mode sockets."""

from __future__ import annotations

import pytest

from protocols.apis.winsock.constants import Af, IpOption, So, Sock, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_world import World

LOOPBACK, LOOPBACK6 = parse("127.0.0.1"), parse("::1")
ANY, ANY6, MAPPED = bytes(4), bytes(16), bytes(10) + b"\xff\xff"
OPTIONS = {"D": None, "R": So.REUSEADDR, "E": So.EXCLUSIVEADDRUSE}
SECONDS = ("Dw", "Ds", "Rw", "Rs", "Ew", "Es")
TABLE = {  # "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE": I WSAEADDRINUSE, A WSAEACCES, - success
    "Dw": "I-A-I-",
    "Ds": "-I-AII",
    "Rw": "I---I-",
    "Rs": "-I--II",
    "Ew": "IAAAIA",
    "Es": "-I-AII",
}
CODES = {"I": Wsae.WSAEADDRINUSE, "A": Wsae.WSAEACCES, "-": None}
CELLS = [(first, second, TABLE[first][at]) for first in TABLE for at, second in enumerate(SECONDS)]
# dlls/ws2_32/tests/sock.c, tests_exclusive: address and SO_EXCLUSIVEADDRUSE of each, and the second's end
DUAL = (
    (ANY, 1, LOOPBACK, 0, "A"),
    (ANY6, 1, LOOPBACK, 0, "A"),
    (ANY, 0, LOOPBACK, 1, "-"),
    (ANY, 1, LOOPBACK, 1, "A"),
    (LOOPBACK, 1, ANY, 0, "-"),
    (LOOPBACK, 0, ANY, 1, "I"),
    (LOOPBACK, 0, ANY6, 1, "I"),
    (LOOPBACK6, 0, ANY, 1, "-"),
    (LOOPBACK6, 1, LOOPBACK, 1, "-"),
    (MAPPED + LOOPBACK, 0, ANY, 1, "I"),
    (ANY6, 1, ANY, 0, "A"),
    (ANY6, 0, ANY, 1, "-"),
    (ANY, 0, ANY, 1, "I"),
    (ANY, 0, ANY, 0, "I"),
    (ANY6, 0, ANY, 0, "-"),
    (MAPPED + ANY, 0, ANY, 0, "I"),
    (MAPPED + LOOPBACK, 0, LOOPBACK, 0, "I"),
    (LOOPBACK, 0, MAPPED + LOOPBACK, 0, "I"),
    (LOOPBACK, 1, LOOPBACK, 0, "I"),
    (LOOPBACK, 0, LOOPBACK, 1, "I"),
)


def bound(world: World, kind: Sock, address: bytes, option: So | None) -> Wsae | None:
    """Bind a fresh socket; return what it failed with."""
    wide = len(address) == len(ANY6)
    number = world.client.socket(Af.INET6 if wide else Af.INET, kind)
    if option is not None:
        world.client.setsockopt(number, Sol.SOCKET, option, 1)
    if wide:
        world.client.setsockopt(number, Sol.IPV6, IpOption.V6ONLY, 0)
    try:
        world.client.bind(number, internet(address, 5150))
    except WinsockError as error:
        return error.code
    return None


@pytest.mark.parametrize("kind", [Sock.STREAM, Sock.DGRAM])
@pytest.mark.parametrize(("first", "second", "cell"), CELLS, ids=[f"{a}-{b}" for a, b, _ in CELLS])
def test_the_page_is_kept_to_the_cell(kind: Sock, first: str, second: str, cell: str) -> None:
    """72 cells: TCP and UDP, default, SO_REUSEADDR and SO_EXCLUSIVEADDRUSE, wildcard and specific."""
    world = World()

    ends = [
        bound(world, kind, ANY if bind[1] == "w" else LOOPBACK, OPTIONS[bind[0]]) for bind in (first, second)
    ]

    assert ends == [None, CODES[cell]]


@pytest.mark.parametrize(("one", "exclusive", "other", "exclusive_too", "cell"), DUAL)
def test_dual_mode_sockets_meet_ipv4s(
    one: bytes, exclusive: int, other: bytes, exclusive_too: int, cell: str
) -> None:
    """IPv4's wildcard beside a dual-mode one counts as specific."""
    world = World()

    ends = [
        bound(world, Sock.STREAM, address, So.EXCLUSIVEADDRUSE if only else None)
        for address, only in ((one, exclusive), (other, exclusive_too))
    ]

    assert ends == [None, CODES[cell]]
