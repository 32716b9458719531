"""Makes a running stack known to other processes: its tools on a control socket, under a name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lab.host import tools as net_tools
from lab.host.binding_edits import Bound
from lab.host.control_socket import Answer, ControlServer, QuestionError
from lab.host.inspection import Inspected, tools
from lab.host.inspection_gate import LockDesk
from protocols.transports.tcpip.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host.control_socket import Tool
    from lab.host.live import LiveHost
    from ndis.journal import Journal
    from ndis.verifier.core import Verifier


def publish_host(
    name: str,
    about: str,
    host: LiveHost,
    *,
    journal: Journal | None = None,
    verifier: Verifier | None = None,
    save: Callable[[], None] = lambda: None,
) -> ControlServer:
    """Answer what ``ringwalk net`` and ``ringwalk ndis`` ask of a host. UsageError when the name is taken."""
    desk = LockDesk(host.executive.entry)
    bound = Bound(host.loader.engine, host.loader.connection, host.loader.started, save)
    stack = Inspected(host.ndis, desk, journal, verifier, bound)

    def report(tool: str, arguments: list[str]) -> Answer:
        def question() -> Answer:
            try:
                return net_tools.answer(tool, host.upper, arguments)
            except NetworkError as error:
                raise QuestionError(str(error)) from error

        return desk.serve(question)

    asked: dict[str, Tool] = {tool: partial(report, tool) for tool in net_tools.names()}
    return ControlServer(name, about, {**asked, **tools(lambda: stack)})
