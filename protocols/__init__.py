"""Transports and APIs above the NDIS edge. Knows ``ndis``; knows no device, miniport or lab."""
