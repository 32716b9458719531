"""Every error situation that ``interop wine`` compares, on our stack alone: what Microsoft documents."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from lab.host.locked_winsock import Locked
from lab.host.station import Station
from lab.trials.interop.documented import SITUATIONS
from lab.trials.interop.echo import SIZES, EchoServer, echoes
from lab.trials.interop.situations import Situations

ADDRESS, NOBODY, PORT = "10.82.57.9", "10.82.57.77", 7000


def test_each_situation_has_the_documented_code() -> None:
    """The server is on the same stack; no host answers at NOBODY, since nobody else is on the switch."""
    with closing(Station(f"switch:situations{os.getpid()}", verify=True)) as station:
        station.configure(f"{ADDRESS}/24")
        server = EchoServer(station.sockets, PORT)
        winsock: Any = Locked(station.host.upper.process(), station.host.executive.entry)

        answers = Situations(winsock, ADDRESS, PORT, NOBODY).run()
        server.close()

    wrong = {name: code for name, code in answers.items() if code not in SITUATIONS[name].codes}
    assert list(answers) == list(SITUATIONS)
    assert wrong == {}
    assert station.reports == []


def test_the_echo_server_sends_back_every_size() -> None:
    """Our server and our client, which meet the ones in C in ``interop wine``."""
    with closing(Station(f"switch:echoes{os.getpid()}", verify=True)) as station:
        station.configure(f"{ADDRESS}/24")
        server = EchoServer(station.sockets, PORT)

        lines = echoes(station.sockets, ADDRESS, PORT)
        server.close()

    assert {line.rpartition(" ")[2] for line in lines} == {"same"}
    assert len(lines) == 2 * len(SIZES) - 2  # two sizes are too long for a datagram
    assert station.reports == []
