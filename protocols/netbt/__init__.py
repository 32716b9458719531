"""NetBIOS over TCP/IP: its name service (RFC 1001, 1002). Sessions and datagrams are not here."""

from protocols.netbt.message import MessageError, NetbiosName
from protocols.netbt.names import NameService

__all__ = ["MessageError", "NameService", "NetbiosName"]
