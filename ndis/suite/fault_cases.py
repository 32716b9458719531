"""The cases in which something is taken back: sends are cancelled, resources are refused at Initialize.

Source: "Cancel send" and "1c_FaultHandling" of NDISTest (Windows CE documentation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.filter8023 import PacketFilter
from ndis.hardware import Fault
from ndis.packet import PacketInfo
from ndis.status import Status
from ndis.suite.fixture import ETHERTYPE, STRESS, Party, check
from ndis.verifier.faults import inject_all

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.packet import Packet
    from ndis.suite.fixture import Rig

STRANGER = bytes.fromhex("0200000000fd")
CANCELLED, KEPT = "cancelled", "kept"


def cancel_send(rig: Rig) -> None:
    """Cancel half of a burst by its id; each packet comes back once, those aborted are of that id only."""
    party = Party(rig)
    packets: dict[Packet, str] = {}
    for number in range(STRESS):
        frame = (STRANGER + party.address + ETHERTYPE + number.to_bytes(4, "big")).ljust(60, b"\xa5")
        packet = party.pool.allocate(frame)
        packet.info[PacketInfo.CANCEL_ID] = packets[packet] = CANCELLED if number % 2 else KEPT
    party.open.send_packets(list(packets))
    party.open.cancel_sends(CANCELLED)
    party.await_sent(STRESS)
    check(len({p for p, _ in party.client.sent}) == STRESS, "a packet came back twice")
    for packet, status in party.client.sent:
        check(
            status is Status.SUCCESS or (status is Status.REQUEST_ABORTED and packets[packet] == CANCELLED),
            f"a {packets[packet]} packet completed {status.name}",
        )
    party.close()


def faults(rig: Rig) -> None:
    """Refuse each resource in turn at Initialize: it fails cleanly, loads without the fault, and works."""
    first = rig.adapters[0]

    def load(fault: Fault) -> MiniportAdapter:
        now = next((one for one in rig.ndis.adapters if one.name == first.name), first)
        return rig.ndis.reload_adapter(now, fault)

    # Each is put back before the next: what one left behind would show there.
    for fault in Fault:
        reports = inject_all(load, lambda _adapter: None, [fault, Fault.NONE])
        check(not reports, "; ".join(f"{report.adapter}: {report.what}" for report in reports))
    party = Party(rig, 0, PacketFilter.DIRECTED)
    party.send((party.address * 2 + ETHERTYPE).ljust(60, b"\0"))
    party.await_sent(1)
    check(len(party.heard()) == 1, "nothing is received after the faults")
    party.close()
