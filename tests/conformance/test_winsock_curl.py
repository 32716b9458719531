"""curl, over Linux's TCP, fetches from and puts to Python's web server on our stack and our card."""

from __future__ import annotations

import hashlib
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.host.station import Station
from lab.host.web import WebServer

if TYPE_CHECKING:
    from pathlib import Path

DATA = random.Random(100).randbytes(4 << 20)
TIMEOUT_S = 60.0


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_gets_and_puts_back_what_has_the_same_sha256(tmp_path: Path) -> None:
    """Linux in a namespace, a wire, the card's process, NDIS, TCP/IP, Winsock, http.server; and back."""
    try:
        station = Station("netns", verify=True)
    except UsageError as error:
        pytest.skip(str(error))
    try:
        station.configure("10.82.57.9/24")
        web = WebServer(station.sockets, ("10.82.57.9", 80), {"/data": DATA})
        web.start()
        peer, copy = station.process.peer, tmp_path / "copy"
        assert peer is not None

        get = ["curl", "-sS", "-o", str(copy), "http://10.82.57.9/data"]
        put = ["curl", "-sS", "-T", str(copy), "http://10.82.57.9/back"]
        ends = [peer.finish(peer.start(argv), TIMEOUT_S) for argv in (get, put)]
        web.stop()

        assert [(end.status, end.err) for end in ends] == [(0, ""), (0, "")]
        assert hashlib.sha256(web.files["/back"]).digest() == hashlib.sha256(DATA).digest()
    finally:
        station.close()
    assert station.reports == []
