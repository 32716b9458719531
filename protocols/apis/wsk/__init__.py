"""Winsock Kernel: sockets for drivers. A ``WskRegistration`` is an application's way to ``WskSubsystem``."""

from protocols.apis.wsk.npi import WskBuf
from protocols.apis.wsk.registration import WskRegistration
from protocols.apis.wsk.subsystem import WSK, WskSubsystem

__all__ = ["WSK", "WskBuf", "WskRegistration", "WskSubsystem"]
