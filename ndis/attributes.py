"""What a miniport says of itself with NdisMSetAttributesEx."""

from __future__ import annotations

import enum


class Attribute(enum.IntFlag):
    """NDIS_ATTRIBUTE_* of NdisMSetAttributesEx."""

    NONE = 0
    IGNORE_PACKET_TIMEOUT = 0x01
    IGNORE_REQUEST_TIMEOUT = 0x02
    IGNORE_TOKEN_RING_ERRORS = 0x04
    BUS_MASTER = 0x08
    INTERMEDIATE_DRIVER = 0x10
    DESERIALIZE = 0x20
    NO_HALT_ON_SUSPEND = 0x40
    SURPRISE_REMOVE_OK = 0x80
