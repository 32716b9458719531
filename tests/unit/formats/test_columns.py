"""Tables fit the terminal that they are printed on."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest

from formats.columns import broken, columns, hanging

ROWS = (
    ("name", "what it says", "count"),
    ("short", "a few words", "7"),
    (
        "a-word-that-cannot-be-broken",
        "many words, and a list: ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN " * 3,
        "1,234",
    ),
)


def test_rows_that_fit_are_as_wide_as_they_are() -> None:
    assert columns([("a", "bb"), ("ccc", "d")], 100) == ["a    bb", "ccc  d"]


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_wider_than_asked_and_no_word_is_lost(width: int) -> None:
    lines = columns(ROWS, width, right={2})

    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert text.count("SEVEN") == 3
    assert "a-word-that-cannot-be-broken" in text


def test_two_wide_columns_share_what_there_is() -> None:
    line, *_ = columns([("x " * 50, "y " * 50)], 60)

    assert line.count("x") == line.count("y")


def test_a_word_is_cut_where_it_alone_is_too_long() -> None:
    assert broken("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_a_line_break_in_a_cell_is_kept() -> None:
    assert columns([("one\ntwo", "x")], 100) == ["one  x", "two"]


def test_further_lines_stand_below_the_first() -> None:
    assert hanging("head: ", "aaaa bbbb cccc", 16) == ["head: aaaa bbbb", "      cccc"]


def test_a_column_that_leans_right_does() -> None:
    assert columns([("a", "1"), ("b", "100")], 100, right={1}) == ["a    1", "b  100"]
