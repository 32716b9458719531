"""Why a call of the filtering platform failed: FWP_E_*, with their numbers of "WFP Error Codes"."""

from __future__ import annotations

import enum


class FwpFailure(enum.IntEnum):
    """FWP_E_*."""

    CALLOUT_NOT_FOUND = 0x8032_0001
    CONDITION_NOT_FOUND = 0x8032_0002
    FILTER_NOT_FOUND = 0x8032_0003
    LAYER_NOT_FOUND = 0x8032_0004
    PROVIDER_NOT_FOUND = 0x8032_0005
    SUBLAYER_NOT_FOUND = 0x8032_0007
    NOT_FOUND = 0x8032_0008
    ALREADY_EXISTS = 0x8032_0009
    IN_USE = 0x8032_000A
    DYNAMIC_SESSION_IN_PROGRESS = 0x8032_000B
    WRONG_SESSION = 0x8032_000C
    NO_TXN_IN_PROGRESS = 0x8032_000D
    TXN_IN_PROGRESS = 0x8032_000E
    TXN_ABORTED = 0x8032_000F
    SESSION_ABORTED = 0x8032_0010
    INCOMPATIBLE_TXN = 0x8032_0011
    TIMEOUT = 0x8032_0012
    LIFETIME_MISMATCH = 0x8032_0016
    INVALID_ACTION_TYPE = 0x8032_0024
    INVALID_WEIGHT = 0x8032_0025
    MATCH_TYPE_MISMATCH = 0x8032_0026
    TYPE_MISMATCH = 0x8032_0027
    OUT_OF_BOUNDS = 0x8032_0028
    TOO_MANY_SUBLAYERS = 0x8032_0036
    ALREADY_COMPLETED = 0x8032_0037
    """Ours: a pended operation is completed again, or a clone injected again."""
    CANNOT_PEND = 0x8032_0103
    ACCESS_DENIED = 0x8007_0005
    """ERROR_ACCESS_DENIED."""


class FwpError(Exception):
    """A call that cannot be done; ``failure`` says why."""

    def __init__(self, failure: FwpFailure, detail: str = "") -> None:
        super().__init__(f"{failure.name}{': ' + detail if detail else ''}")
        self.failure = failure
