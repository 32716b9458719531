"""Who may bind beside whom: Microsoft's tables cell by cell, for one user and for two; and Wine's cases."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest

from ntos.io.status import NtStatus
from ntos.object.sid import Sid
from ntos.object.token import Token, user_token
from protocols.interfaces.tdi.address import internet
from protocols.interfaces.tdi.requests import TransportAddress
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.tdi_edge.sharing import V6_ONLY, Claim, judge

ANNA, BERT = (user_token(Sid(5, (21, 1, 2, 3, rid))) for rid in (1001, 1002))
ANY, HERE, ANY6, HERE6 = bytes(4), parse("127.0.0.1"), bytes(16), parse("::1")
MAPPED = bytes(10) + b"\xff\xff"
INUSE, ACCESS, OK = NtStatus.ADDRESS_ALREADY_EXISTS, NtStatus.ACCESS_DENIED, NtStatus.SUCCESS
COLUMNS = [(how, wild) for how in "DRE" for wild in (True, False)]

ONE_USER = {
    # first: default, REUSEADDR, EXCLUSIVEADDRUSE; wildcard?   second: the same, in this order
    ("D", True): (INUSE, OK, ACCESS, OK, INUSE, OK),
    ("D", False): (OK, INUSE, OK, ACCESS, INUSE, INUSE),
    ("R", True): (INUSE, OK, OK, OK, INUSE, OK),
    ("R", False): (OK, INUSE, OK, OK, INUSE, INUSE),
    ("E", True): (INUSE, ACCESS, ACCESS, ACCESS, INUSE, ACCESS),
    ("E", False): (OK, INUSE, OK, ACCESS, INUSE, INUSE),
}
TWO_USERS = {
    ("D", True): (INUSE, ACCESS, ACCESS, ACCESS, INUSE, ACCESS),
    ("D", False): (OK, INUSE, OK, ACCESS, INUSE, INUSE),
    ("R", True): (INUSE, ACCESS, OK, OK, INUSE, ACCESS),
    ("R", False): (OK, INUSE, OK, OK, INUSE, INUSE),
    ("E", True): (INUSE, ACCESS, ACCESS, ACCESS, INUSE, ACCESS),
    ("E", False): (OK, INUSE, OK, ACCESS, INUSE, INUSE),
}
WINE = [
    # family, address, exclusive: first and second   ``sock.c``, tests_exclusive; IPv6 sockets are dual-mode
    ((ANY, True), (HERE, False), ACCESS),
    ((ANY6, True), (HERE, False), ACCESS),
    ((ANY, False), (HERE, True), OK),
    ((ANY, True), (HERE, True), ACCESS),
    ((HERE, True), (ANY, False), OK),
    ((HERE, False), (ANY, True), INUSE),
    ((HERE, False), (ANY6, True), INUSE),
    ((HERE6, False), (ANY, True), OK),
    ((HERE6, True), (HERE, True), OK),
    ((MAPPED + HERE, False), (ANY, True), INUSE),
    ((ANY6, True), (ANY, False), ACCESS),
    ((ANY6, False), (ANY, True), OK),
    ((ANY, False), (ANY, True), INUSE),
    ((ANY, False), (ANY, False), INUSE),
    ((ANY6, False), (ANY, False), OK),
    ((MAPPED + ANY, False), (ANY, False), INUSE),
    ((MAPPED + HERE, False), (HERE, False), INUSE),
    ((HERE, False), (MAPPED + HERE, False), INUSE),
    ((HERE, True), (HERE, False), INUSE),
    ((HERE, False), (HERE, True), INUSE),
]


def claim(how: str, address: bytes, owner: Token | None = ANNA, *, dual: bool = False) -> Claim:
    local = internet(address, 5150)
    options = {V6_ONLY: int(not dual)}
    return Claim.of_tdi(TransportAddress(local, how == "R", 0, how == "E", options, owner))


@pytest.mark.parametrize("first", COLUMNS)
@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize(("table", "owner"), [(ONE_USER, ANNA), (TWO_USERS, BERT)], ids=["one", "two"])
def test_a_second_bind_does_what_the_page_says(
    first: tuple[str, bool], at: int, table: dict[tuple[str, bool], tuple[NtStatus, ...]], owner: Token
) -> None:
    """The page "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", Windows Server 2003 on: 36 cells each."""
    second = COLUMNS[at]
    one = claim(first[0], ANY if first[1] else HERE)
    other = claim(second[0], ANY if second[1] else HERE, owner)

    assert judge(other, one) is table[first][at]


@pytest.mark.parametrize(("first", "second", "expected"), WINE)
def test_families_meet_as_they_do_for_wine_s_tests(
    first: tuple[bytes, bool], second: tuple[bytes, bool], expected: NtStatus
) -> None:
    one, other = (
        claim("E" if exclusive else "D", address, dual=len(address) == 16)
        for address, exclusive in (first, second)
    )

    assert judge(other, one) is expected


@pytest.mark.parametrize("how", ["D", "E"])
def test_what_does_not_meet_does_not_matter(how: str) -> None:
    four, six = claim(how, ANY), claim(how, ANY6)

    assert [judge(six, four), judge(claim(how, HERE), claim(how, parse("10.0.0.1")))] == [OK, OK]


def test_a_socket_of_the_system_is_another_user_s() -> None:
    assert judge(claim("D", HERE, None), claim("D", ANY)) is ACCESS
