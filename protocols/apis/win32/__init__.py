"""Win32's handles: closing and duplicating, waiting, completion ports, reading and writing."""

from protocols.apis.win32.api import Win32 as Win32
from protocols.apis.win32.errors import ErrorCode as ErrorCode
from protocols.apis.win32.errors import Win32Error as Win32Error
from protocols.apis.win32.overlapped import Overlapped as Overlapped
