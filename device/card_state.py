"""The saved state of a card, as JSON: its engine's, and the policy's (configuration space, PHY, NVM, MSI-X).

Either engine takes over what the other saved. A state is untrusted: ``restore`` raises ``ValueError`` for one
that is not whole; the card then has to be reset.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from device.card import Card

FORMAT = "82574L-card/1"


def save(card: Card) -> bytes:
    """Return the whole state of a card that does no DMA at present."""
    return json.dumps(
        {
            "format": FORMAT,
            "engine": json.loads(card.engine.save()),
            "config": card.function.config.save().hex(),
            "msix": card.msix.save(),
            "nvm": card.nvm.save(),
            "phy": card.phy.save(),
            "io_address": card.io_address,
        }
    ).encode()


def restore(card: Card, state: bytes) -> None:
    """Take a saved state over; ValueError when it is not one."""
    try:
        saved = json.loads(state)
        if saved["format"] != FORMAT:
            raise ValueError("not a saved card: the format is another")
        card.function.config.restore(bytes.fromhex(saved["config"]))
        card.msix.restore(saved["msix"])
        card.nvm.restore(saved["nvm"])
        card.phy.restore(saved["phy"])
        card.io_address = int(saved["io_address"])
        # no DMA before the card is told to: who restores it may have no memory yet
        card.engine.restore(json.dumps(saved["engine"] | {"mastering": False}).encode())
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a saved card: {error!r}") from error
    card.control.mastering_allowed = card.function.mastering
