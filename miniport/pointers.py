"""Where a view's bytes are, for C that keeps the address longer than a call."""

from __future__ import annotations

from typing import Any

from miniport._burst import ffi


def pointer(view: memoryview) -> Any:  # noqa: ANN401 - cffi has no types
    """Return the address of a writable view's bytes; the caller keeps the view while C keeps the address.

    A ``from_buffer`` that is itself kept is an export of the view. In a cycle with it the collector clears
    the view first, and the export's release then crashes the interpreter: so none outlives this call.
    """
    return ffi.cast("uint8_t *", ffi.from_buffer(view, require_writable=True))
