"""All rules, by number. V14 is a procedure: ``ndis.verifier.faults``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.verifier.life_rules import LIFE_RULES
from ndis.verifier.receive_rules import RECEIVE_RULES
from ndis.verifier.request_rules import REQUEST_RULES
from ndis.verifier.send_rules import SEND_RULES

if TYPE_CHECKING:
    from ndis.verifier.rule import Rule

RULES: tuple[type[Rule], ...] = tuple(
    sorted((*SEND_RULES, *RECEIVE_RULES, *REQUEST_RULES, *LIFE_RULES), key=lambda rule: rule.NUMBER)
)
