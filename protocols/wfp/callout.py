"""What a callout is and what it is shown: FWPS_CALLOUT and the values of one classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.transports.tcpip.classify import Endpoint, Subject
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.bfe import Change
    from protocols.wfp.conditions import Value
    from protocols.wfp.kernel import Pended
    from protocols.wfp.layers import Field, Layer
    from protocols.wfp.objects import Filter


class StreamIo:
    """FWPS_STREAM_CALLOUT_IO_PACKET: a piece of a stream, and what is to become of it.

    ``enforced`` (countBytesEnforced): the decision is for that many bytes; the rest is shown again. A block
    takes them out of the stream, and what is injected meanwhile takes their place.
    """

    def __init__(self, data: bytes, *, is_inbound: bool, is_last: bool) -> None:
        self.data = data
        self.is_inbound = is_inbound
        self.is_last = is_last
        """FWPS_STREAM_FLAG_RECEIVE_DISCONNECT or SEND_DISCONNECT: nothing comes behind it."""
        self.enforced: int | None = None
        """None: all of it."""
        self.needs_more = False
        """FWPS_STREAM_ACTION_NEED_MORE_DATA: show it again with what follows."""
        self.drops_connection = False
        """FWPS_STREAM_ACTION_DROP_CONNECTION."""


@dataclass(slots=True)
class Incoming:
    """FWPS_INCOMING_VALUES, FWPS_INCOMING_METADATA_VALUES and layerData of one classification."""

    layer: Layer
    values: Mapping[Field, Value]
    subject: Subject
    flow: int = 0
    """FWPS_METADATA_FIELD_FLOW_HANDLE: the flow's number; 0 where there is none."""
    stream: StreamIo | None = None
    """At the STREAM layers."""
    filter: Filter | None = None
    """Whose action the callout is."""
    flow_context: object = None
    """What the callout has associated with the flow."""
    is_reauthorization: bool = False
    redirected: Endpoint | None = None
    """FwpsApplyModifiedLayerData: at a REDIRECT layer, the end to take instead."""
    is_pended: bool = False
    pended: Pended | None = None


class Callout:
    """FWPS_CALLOUT: the three functions of a callout. This base permits nothing and blocks nothing."""

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Classify (classifyFn): look, and decide by ``out`` if the filter's action has it decide."""

    def notify(self, change: Change, one: Filter) -> None:
        """Hear (notifyFn) that a filter with this callout was added or deleted."""

    def flow_deleted(self, flow: int, context: object) -> None:
        """Hear (flowDeleteFn) that a flow with a context of this callout is gone."""
