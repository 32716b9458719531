"""What a driver answered: whole as data, cut where a table is printed."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

from dataclasses import asdict

from ndis import inspect
from ndis.inspect import SHOWN_BYTES, HexBytes, OidView


def test_data_has_every_byte_and_the_table_says_that_it_has_not() -> None:
    whole = bytes(range(64)).hex(" ")
    view = OidView("{1}", "OID_GEN_SUPPORTED_LIST", "SUCCESS", "", HexBytes(whole))

    assert asdict(view)["raw"] == whole
    assert f"{bytes(range(SHOWN_BYTES)).hex(' ')} ...\n" in inspect.table([view])


def test_an_answer_that_fits_is_printed_whole() -> None:
    whole = bytes(range(SHOWN_BYTES)).hex(" ")
    view = OidView("{1}", "OID_802_3_CURRENT_ADDRESS", "SUCCESS", "", HexBytes(whole))

    assert f"{whole}\n" in inspect.table([view])
