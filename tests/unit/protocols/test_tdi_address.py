"""TDI addresses: the bytes of each type, and what is refused."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.interfaces.tdi.address import (
    MOST_ADDRESSES,
    AddressError,
    AppletalkAddress,
    Ip6Address,
    IpAddress,
    IpxAddress,
    NetbiosName,
    NetbiosNameType,
    TaAddress,
    TdiAddress,
    emit_transport_address,
    internet,
    parse_address,
    parse_transport_address,
)

SAMPLES: list[tuple[TdiAddress, str]] = [
    (IpAddress(bytes((10, 0, 0, 1)), 80), "0050 0a000001 0000000000000000"),
    (Ip6Address(bytes(15) + b"\1", 443, 7, 5), "01bb 00000005 00000000000000000000000000000001 07000000"),
    (NetbiosName.of("server", 0x20), "0000 5345525645522020202020202020 20 20"),
    (NetbiosName(b"GROUP".ljust(16), NetbiosNameType.GROUP), "0100 47524f55502020202020202020202020"),
    (IpxAddress(0x12345678, bytes(range(1, 7)), 0x4003), "12345678 010203040506 4003"),
    (AppletalkAddress(0x1234, 5, 6), "3412 05 06"),
]


@pytest.mark.parametrize(("address", "raw"), SAMPLES)
def test_an_address_is_these_bytes_and_comes_back(address: TdiAddress, raw: str) -> None:
    data = bytes.fromhex(raw.replace(" ", ""))

    assert address.emit() == data
    assert parse_address(address.ta) == address


@pytest.mark.parametrize(("address", "raw"), SAMPLES)
def test_an_address_that_is_cut_is_none(address: TdiAddress, raw: str) -> None:
    del raw

    for length in range(len(address.emit())):
        with pytest.raises(AddressError):
            type(address).parse(address.emit()[:length])


@pytest.mark.parametrize(
    "make",
    [
        lambda: IpAddress(bytes(5)),
        lambda: IpAddress(bytes(4), 65536),
        lambda: IpAddress(bytes(4), -1),
        lambda: Ip6Address(bytes(4)),
        lambda: Ip6Address(bytes(16), 0, 1 << 32),
        lambda: internet(bytes(6), 80),
        lambda: NetbiosName(b"short"),
        lambda: NetbiosName.of("a name that is too long"),
        lambda: NetbiosName.of("日本"),
        lambda: NetbiosName.of("x", 256),
        lambda: NetbiosName.parse(b"\7\0" + bytes(16)),
        lambda: IpxAddress(1 << 32, bytes(6)),
        lambda: IpxAddress(1, bytes(5)),
        lambda: AppletalkAddress(1, 256),
        lambda: parse_address(TaAddress(99, b"")),
    ],
)
def test_what_is_no_address_is_refused(make: object) -> None:
    with pytest.raises(AddressError):
        make()  # type: ignore[operator]  # pytest's parameters are objects


def test_any_is_any_whatever_the_port() -> None:
    anybody = [
        internet(bytes(4), 80),
        internet(bytes(16)),
        IpxAddress(0, bytes(6), 5),
        AppletalkAddress(0, 0, 9),
    ]
    somebody = [
        internet(b"\n\0\0\1"),
        NetbiosName.of(""),
        IpxAddress(0, bytes(5) + b"\1"),
        AppletalkAddress(1, 0),
    ]

    assert [one.is_any for one in anybody] == [True] * 4
    assert [one.is_any for one in somebody] == [False] * 4


def test_a_transport_address_holds_several_and_unknown_ones_stay_bytes() -> None:
    addresses = [address for address, _raw in SAMPLES]

    found = parse_transport_address(emit_transport_address(addresses))

    assert [parse_address(one) for one in found] == addresses
    assert parse_transport_address(b"\1\0\0\0\3\0\x63\0abc") == [TaAddress(99, b"abc")]


def test_a_count_from_outside_is_bounded() -> None:
    with pytest.raises(AddressError, match="addresses"):
        parse_transport_address((MOST_ADDRESSES + 1).to_bytes(4, "little") + bytes(4) * 100)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parsers(raw: bytes) -> None:
    """They are read, or refused by AddressError; what was read emits what was read."""
    try:
        found = parse_transport_address(raw)
    except AddressError:
        return
    for one in found:
        try:
            address = parse_address(one)
        except AddressError:
            continue
        assert parse_address(address.ta) == address
