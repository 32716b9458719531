"""The vfio-user protocol: codec, session, server and client. Imports nothing else of ours."""

from device.vfio_user.capabilities import Capabilities
from device.vfio_user.client import Client
from device.vfio_user.device import NO_REGION, Device, Feature, RegionInfo
from device.vfio_user.dma import DmaChange, DmaMap, DmaRegion
from device.vfio_user.errors import DmaError, GuestError, ReplyError, RequestRefused, TransportError
from device.vfio_user.irqs import NO_EVENTFD, IrqChange, Irqs
from device.vfio_user.listening import ListenError
from device.vfio_user.messages import Header, IoFd, MmapArea
from device.vfio_user.protocol import Command, PciIrq, PciRegion, Protection, RegionFlags
from device.vfio_user.server import Server
from device.vfio_user.session import SERVER_CAPABILITIES, Reply, Session
from device.vfio_user.transport import Incoming, SocketTransport, Transport

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
    "Session",
    "SocketTransport",
    "Transport",
    "TransportError",
]
