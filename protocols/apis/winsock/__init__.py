"""Winsock 2 over AFD, with Windows' names in Python's case: ``WSAStartup`` is ``startup`` of a ``Winsock``.

``api.Winsock`` is a process's view of ws2_32; ``pysocket`` makes Python's ``socket`` module of it.
"""

from protocols.apis.winsock.api import Winsock
from protocols.apis.winsock.errors import WinsockError, Wsae

__all__ = ["Winsock", "WinsockError", "Wsae"]
