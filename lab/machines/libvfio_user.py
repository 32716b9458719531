"""The second transport: finds or fetches libvfio-user, compiles the binding, makes its server.

``RINGWALK_LIBVFIO_USER`` names a prefix with another libvfio-user (``include/libvfio-user.h`` and
``lib*/libvfio-user.so``), to be used in place of the one that is fetched.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from device.vfio_user import libvfio
from device.vfio_user.libvfio_build import MODULE, BuildError, compile_binding, fingerprint
from device.vfio_user.libvfio_server import LibvfioServer
from lab.errors import UsageError
from lab.machines import cache, fetch
from lab.machines.fetch.libvfio import LIBRARY, NAME
from lab.machines.kinds import OURS

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from device.vfio_user import Device, ServerFactory, Serving

PREFIX_VARIABLE = "RINGWALK_LIBVFIO_USER"


def installation(*, offline: bool = False) -> tuple[Path, Path]:
    """Return the headers' folder and the shared library, fetched and built when missing. UsageError."""
    named = os.environ.get(PREFIX_VARIABLE)
    if not named:
        fetch.ensure([NAME], offline=offline)
        return fetch.tree(NAME) / "include", fetch.tree(NAME) / "lib" / LIBRARY
    prefix = Path(named).absolute()
    header = next((f for f in (prefix / "include").rglob("libvfio-user.h")), None)
    library = next((f for f in sorted(prefix.glob("lib*/**/libvfio-user.so*"))), None)
    if header is None or library is None:
        raise UsageError(f"{PREFIX_VARIABLE}={named} has no include/libvfio-user.h or no lib/libvfio-user.so")
    return header.parent, library


def binding(*, offline: bool = False) -> Path:
    """Return the compiled binding's file, made when it is missing. UsageError."""
    include, library = installation(offline=offline)
    status = library.stat()
    key = hashlib.sha256(f"{fingerprint()} {library} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    folder = cache.directory("libvfio", key)
    file = folder / f"{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not file.is_file():
        with cache.exclusive("libvfio"):
            try:
                compile_binding(include, library, folder)
            except BuildError as error:
                raise UsageError(
                    f"the binding to libvfio-user cannot be compiled ({error}): install a C compiler and"
                    " Python's headers (python3-dev), or use --transport vfio-user"
                ) from error
    return file


def server_factory(transport: str, *, offline: bool = False) -> ServerFactory | None:
    """Return what makes the transport's server; None for our own, which needs nothing. UsageError."""
    if transport == OURS:
        return None
    file = binding(offline=offline)
    try:
        loaded = libvfio.load(file)
    except (ImportError, OSError) as error:
        raise UsageError(
            f"libvfio-user does not load ({error}): run `ringwalk fetch --clean`, then again"
        ) from error

    def make(at: str | socket.socket, device: Device, *, allowed_uids: Collection[int] | None) -> Serving:
        if not isinstance(at, str):
            raise UsageError("libvfio-user listens at a path, not at a socket that is given to it")
        return LibvfioServer(at, device, loaded, allowed_uids=allowed_uids)

    return make
