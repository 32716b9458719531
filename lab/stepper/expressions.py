"""What a user's own Python may use at the stepper, and what may come of it: expressions and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.effects import DmaError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPRESSION_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DmaError,
    LookupError,
    NameError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a user's own code may raise; it is told to the user."""

NAMES: Final[Mapping[str, object]] = {
    one.__name__: one
    for one in (
        hex,
        len,
        any,
        all,
        sum,
        min,
        max,
        sorted,
        range,
        str,
        int,
        abs,
        bool,
        bytes,
        list,
        set,
        enumerate,
    )
}
"""The builtins that expressions have; none that opens or changes anything."""
