"""Intermediate drivers: to the card below a protocol, to the protocols above a card."""
