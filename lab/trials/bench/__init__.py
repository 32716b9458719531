"""Measurements: how fast the parts are, on this machine, now."""
