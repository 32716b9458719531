"""NetBIOS over TCP/IP: its name service (RFC 1001, 1002). Sessions and datagrams are not here."""

from protocols.transports.netbt.message import MessageError, NetbiosName
from protocols.transports.netbt.names import NameService

__all__ = ["MessageError", "NameService", "NetbiosName"]
