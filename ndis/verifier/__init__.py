"""The checked build: 38 rules that observe every crossing of a driver's border.

``Verifier`` is an NDIS observer; without it NDIS makes no event at all.
"""
