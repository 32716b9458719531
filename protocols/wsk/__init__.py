"""Winsock Kernel: sockets for drivers. A ``WskRegistration`` is an application's way to ``WskSubsystem``."""

from protocols.wsk.npi import WskBuf
from protocols.wsk.registration import WskRegistration
from protocols.wsk.subsystem import WSK, WskSubsystem

__all__ = ["WSK", "WskBuf", "WskRegistration", "WskSubsystem"]
