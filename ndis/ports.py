"""What the parts of an adapter see of it, of each other and of what stands above. Protocols only.

Each part takes what it uses: here is what several take; what one part alone takes stands beside it.
Only ``ndis.adapter`` knows all parts.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ndis.events import Kind, Observer
    from ndis.nbl import NetBufferList
    from ndis.oids import ProtocolOption
    from ndis.packet import Packet
    from ndis.protocol import BindingClient, OpenState
    from ndis.requests import Request
    from ndis.status import Status
    from ntos.executive.contract import Executive
    from ntos.executive.irql import IrqlModel

R = TypeVar("R")


class Gate(Protocol):
    """How calls reach the driver: through a lock, or straight."""

    @property
    def holder(self) -> int | None:
        """The context inside the lock; None when free, or when there is no lock."""

    def post(self, call: Callable[[], None]) -> None:
        """Make a call at DISPATCH_LEVEL, perhaps later."""

    def exclusive(self, call: Callable[[], R]) -> R:
        """Make a call at PASSIVE_LEVEL, alone."""


class Border(Protocol):
    """The border of a driver's code: the handlers behind it, the gate in it, and who watches it.

    ``ndis6``: the driver is of that generation. ``observer`` is told of every crossing; callers of
    ``emit`` check first that there is one, because making an event costs.
    """

    name: str
    executive: Executive
    irql: IrqlModel
    observer: Observer | None
    ndis6: bool
    handlers: dict[str, Callable[..., Any]]
    gate: Gate

    def emit(self, kind: Kind, name: str, subject: object = None, **details: object) -> None:
        """Tell the observer."""

    def enter(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - each handler has its own types
        """Call one handler of the driver."""

    def handler(self, name: str) -> Callable[..., Any]:
        """Return a handler that registration has checked is there."""


class Bound(Hashable, Protocol):
    """An open, as the adapter below it sees it."""

    protocol: str
    client: BindingClient
    options: ProtocolOption
    state: OpenState
    receives_lists: bool

    def callout(self, handler: str, *arguments: Any) -> Any:  # noqa: ANN401 - each handler has its own types
        """Call one of the client's handlers."""

    def deliver(self, packet: Packet, *, resources: bool) -> int:
        """Give the client one received packet; return the references it takes."""

    def check_closed(self) -> None:
        """Finish a close that waits for the last send or request."""

    def close(self) -> Status:
        """NdisCloseAdapter: SUCCESS, or PENDING (then ``close_adapter_complete``)."""


class FilteredRequests(Protocol):
    """The OID requests that are with an adapter's light-weight filters."""

    @property
    def held(self) -> Mapping[Request, object]:
        """Every request that a filter got and has not completed."""

    def submit(self, request: Request) -> None:
        """Take a request from NDIS: in at the top."""


class Filters(Protocol):
    """The light-weight filters of one adapter, as the path of lists below them sees them."""

    @property
    def modules(self) -> Sequence[object]:
        """The filters, top first."""

    @property
    def requests(self) -> FilteredRequests:
        """The OID requests on their way through the filters."""

    def send(self, nbls: list[NetBufferList]) -> None:
        """Send from the protocols: in at the top."""

    def send_completed(self, nbls: list[NetBufferList]) -> None:
        """Complete lists from the driver: in at the bottom."""

    def receive(self, nbls: list[NetBufferList], *, resources: bool) -> None:
        """Indicate lists from the driver: in at the bottom."""

    def returned(self, nbls: list[NetBufferList]) -> None:
        """Return lists from the protocols: in at the top."""


class Filtered(Protocol):
    """A path that filters may stand in; None: there are none."""

    stack: Filters | None
