"""NDIS: the library between miniport drivers and protocol drivers.

Sans I/O: no socket, thread, clock, log or random is in here. Time, locks and scheduling come from
an injected ``ntos.executive.contract.Executive``; hardware from an injected ``ndis.hardware.Hardware``.
"""
