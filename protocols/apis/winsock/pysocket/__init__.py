"""Python's ``socket`` module over Winsock.

``module`` makes the module ``_socket``, whose class is ``base.BaseSocket``, and runs Python's own
``socket.py`` over it: all above the calls is Python's. It knows Winsock's functions and nothing below them.
"""

from protocols.apis.winsock.pysocket.base import FIRST_FILENO
from protocols.apis.winsock.pysocket.module import socket_module

__all__ = ["FIRST_FILENO", "socket_module"]
