"""Every check there is, in the order of the topics, and how ``-k`` picks among them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lab.conformance.checks import (
    filters,
    hostile,
    interrupts,
    nvm,
    offload,
    packet_buffer,
    pci,
    periphery,
    receive,
    registers,
    reset,
    statistics,
    timers,
    transmit,
    wake,
)

if TYPE_CHECKING:
    from lab.conformance.check import Check, Topic

TOPICS: tuple[Topic, ...] = tuple(
    module.TOPIC
    for module in (
        *(registers, reset, transmit, offload, receive, packet_buffer, filters, interrupts, timers),
        *(nvm, periphery, wake, statistics, pci, hostile),
    )
)


@cache
def checks() -> tuple[Check, ...]:
    """Return every check; raises ``ValueError`` when two have one id."""
    found = tuple(check for topic in TOPICS for check in topic)
    seen: set[str] = set()
    for check in found:
        if check.id in seen:
            raise ValueError(f"two checks are named {check.id}")
        seen.add(check.id)
    return found


def topic_of(check_id: str) -> str:
    """Return the name of the topic that a check belongs to."""
    return next(topic.name for topic in TOPICS for check in topic if check.id == check_id)
