"""The vfio-user protocol: codec, session, server and client. Imports nothing else of ours."""

from .capabilities import Capabilities
from .client import Client
from .device import NO_REGION, Device, Feature, RegionInfo
from .dma import DmaChange, DmaMap, DmaRegion
from .errors import DmaError, GuestError, ReplyError, RequestRefused, TransportError
from .irqs import NO_EVENTFD, IrqChange, Irqs
from .listening import ListenError
from .messages import Header, IoFd, MmapArea
from .protocol import Command, PciIrq, PciRegion, Protection, RegionFlags
from .server import Server, ServerFactory, Serving
from .session import SERVER_CAPABILITIES, Reply, Session
from .transport import Incoming, SocketTransport, Transport

__all__ = [
    "NO_EVENTFD",
    "NO_REGION",
    "SERVER_CAPABILITIES",
    "Capabilities",
    "Client",
    "Command",
    "Device",
    "DmaChange",
    "DmaError",
    "DmaMap",
    "DmaRegion",
    "Feature",
    "GuestError",
    "Header",
    "Incoming",
    "IoFd",
    "IrqChange",
    "Irqs",
    "ListenError",
    "MmapArea",
    "PciIrq",
    "PciRegion",
    "Protection",
    "RegionFlags",
    "RegionInfo",
    "Reply",
    "ReplyError",
    "RequestRefused",
    "Server",
    "ServerFactory",
    "Serving",
    "Session",
    "SocketTransport",
    "Transport",
    "TransportError",
]
