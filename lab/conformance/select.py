"""``-k EXPR``: words joined by ``and``, ``or``, ``not`` and parentheses, as pytest has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.conformance import catalogue
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.conformance.check import Check

    Test = Callable[[str], bool]

NO_WORD = ("", ")", "and", "or")
TOKEN = re.compile(r"\s*([()]|[^\s()]+)")


class _Parser:
    """Recursive descent: or, and, not, word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = TOKEN.findall(text)

    def parse(self) -> Test:
        test = self._either()
        if self._tokens:
            raise self._wrong()
        return test

    def _peek(self) -> str:
        return self._tokens[0].lower() if self._tokens else ""

    def _wrong(self) -> UsageError:
        return UsageError(f"-k {self._text!r} is no expression: words, and, or, not, parentheses")

    def _either(self) -> Test:
        left = self._both()
        while self._peek() == "or":
            self._tokens.pop(0)
            left = _or(left, self._both())
        return left

    def _both(self) -> Test:
        left = self._one()
        while self._peek() == "and":
            self._tokens.pop(0)
            left = _and(left, self._one())
        return left

    def _one(self) -> Test:
        word = self._peek()
        if word in NO_WORD:
            raise self._wrong()
        self._tokens.pop(0)
        if word == "not":
            return _not(self._one())
        if word == "(":
            inside = self._either()
            if self._peek() != ")":
                raise self._wrong()
            self._tokens.pop(0)
            return inside
        return lambda text: word in text


def _or(left: Test, right: Test) -> Test:
    return lambda text: left(text) or right(text)


def _and(left: Test, right: Test) -> Test:
    return lambda text: left(text) and right(text)


def _not(inside: Test) -> Test:
    return lambda text: not inside(text)


def select(checks: Sequence[Check], expression: str | None) -> list[Check]:
    """Return the checks whose id, topic or sentence satisfies the expression; all without one.

    Raises ``UsageError`` when it is no expression, or leaves nothing.
    """
    if expression is None:
        return list(checks)
    test = _Parser(expression).parse()
    chosen = [
        check
        for check in checks
        if test(f"{check.id} {catalogue.topic_of(check.id)} {check.summary}".lower())
    ]
    if not chosen:
        raise UsageError(f"no check matches -k {expression!r}: see `ringwalk conform --list`")
    return chosen
