"""Python's ``socket`` module over Winsock.

``lowlevel`` makes the module ``_socket`` (``base.BaseSocket`` is its class), and Python's own ``socket.py`` is
run over it, so that all above the calls is Python's. It knows Winsock's functions and nothing below them.
"""

from protocols.apis.winsock.pysocket.base import FIRST_FILENO
from protocols.apis.winsock.pysocket.module import socket_module

__all__ = ["FIRST_FILENO", "socket_module"]
