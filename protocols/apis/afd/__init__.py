"""AFD: sockets as files. A file-system-like driver above TDI; Winsock's provider is its client."""

from protocols.apis.afd.dispatch import AFD, AfdDriver

__all__ = ["AFD", "AfdDriver"]
