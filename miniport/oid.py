"""OIDs: what is asked and set, as two tables from number to small functions.

It writes no register itself: ``Nic`` does. Source: nt-stack section 7.8's list, ``ntddndis.h`` for
structures.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from miniport import oid6, scaling, wake
from miniport.filters import MAXIMUM_LIST_SIZE, SUPPORTED
from miniport.rxring import BUFFER_BYTES
from miniport.txring import STAGE_BYTES
from ndis.errors import NdisError
from ndis.filter8023 import split_addresses
from ndis.miniport import Medium
from ndis.offload import Offload
from ndis.oids import MEDIA_CONNECTED, MEDIA_DISCONNECTED, MacOption, Oid, PowerState
from ndis.rsc import Coalescing
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.nic import Nic
    from ndis.requests import InformationBuffer

ETHERNET_BYTES = 14
VENDOR_ID = 0x00AA00  # Intel's first OUI, in the order OID_GEN_VENDOR_ID wants
VENDOR_DESCRIPTION = b"Ringwalk driver for the Intel 82574L\0"
DRIVER_VERSION = 0x0001_0000
SEND_PACKETS = 64
READY, NOT_READY = 0, 4  # NdisHardwareStatusReady, NdisHardwareStatusNotReady

_STATISTICS = struct.Struct("<BBHI18Q")
_STATISTICS_TYPE, _STATISTICS_REVISION = 0x80, 1
_SUPPORTED_STATISTICS = 0x0003_FFFF
_MODERATION = struct.Struct("<BBHII")
_MODERATION_ENABLED, _MODERATION_DISABLED = 2, 3
MODERATED_US = 125
"""Least time between interrupts when moderation is switched on without a figure: 8,000 a second."""
_LINK_PARAMETERS = struct.Struct("<BBHIQQII")
_AUTO_EVERYTHING = 0xF
_RECEIVE_ERRORS = ("CRCERRS", "ALGNERRC", "SYMERRS", "RXERRC", "RUC", "RFC", "ROC", "RJC")


class Requests:
    """Answers and settings of one adapter."""

    def __init__(
        self,
        nic: Nic,
        version: tuple[int, int],
        change_power: Callable[[PowerState], Status],
        tell: Callable[[Status, bytes], None] = lambda _status, _data: None,
    ) -> None:
        """Work on ``nic``.

        ``change_power`` moves between power states, with the frames of the adapter; ``tell`` indicates
        a status.
        """
        self._nic = nic
        self._version = version
        self._change_power = change_power
        self._lookahead = nic.settings.jumbo_bytes - ETHERNET_BYTES
        self._answers: dict[int, Callable[[], bytes]] = {
            int(oid): _constant(value) for oid, value in self._fixed().items()
        }
        self._answers.update(self._live())
        self._settings: dict[int, Callable[[InformationBuffer], Status]] = {
            Oid.GEN_CURRENT_PACKET_FILTER: self._set_filter,
            Oid.GEN_CURRENT_LOOKAHEAD: self._set_lookahead,
            Oid.O802_3_MULTICAST_LIST: self._set_multicast,
            Oid.PNP_SET_POWER: self._set_power,
            Oid.PNP_ADD_WAKE_UP_PATTERN: self._add_pattern,
            Oid.PNP_REMOVE_WAKE_UP_PATTERN: self._remove_pattern,
            Oid.PNP_ENABLE_WAKE_UP: self._enable_wake_up,
            Oid.GEN_NETWORK_LAYER_ADDRESSES: _ignored,
            Oid.TCP_TASK_OFFLOAD: self._set_offload,
            Oid.GEN_RECEIVE_SCALE_PARAMETERS: self._set_scaling,
            Oid.GEN_INTERRUPT_MODERATION: self._set_moderation,
            Oid.GEN_LINK_PARAMETERS: self._set_link,
        }
        if nic.may_coalesce:
            self._answers[Oid.TCP_RSC_STATISTICS] = lambda: nic.coalescing_statistics().emit()
            self._settings[Oid.TCP_OFFLOAD_PARAMETERS] = self._set_coalescing
        if version >= (6, 0):
            self._answers.update(oid6.answers(nic))
            self._settings.update(oid6.settings(nic, tell))
        listed = sorted({*self._answers, *self._settings, Oid.GEN_SUPPORTED_LIST, Oid.PNP_QUERY_POWER})
        self._answers[Oid.GEN_SUPPORTED_LIST] = _constant(struct.pack(f"<{len(listed)}I", *listed))

    def query(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation."""
        if (
            oid == Oid.PNP_QUERY_POWER
        ):  # "may you sleep?": the buffer carries the state, the status is the answer
            return buffer.write(buffer.data[:4].ljust(4, b"\0"))
        answer = self._answers.get(oid)
        return Status.NOT_SUPPORTED if answer is None else buffer.write(answer())

    def set(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportSetInformation."""
        change = self._settings.get(oid)
        if change is None:
            return Status.NOT_SUPPORTED
        try:
            return change(buffer)
        except NdisError as error:
            return error.status

    # -- answers ----------------------------------------------------------------------------------------

    def _fixed(self) -> dict[Oid, bytes]:
        settings = self._nic.settings
        payload = settings.jumbo_bytes - ETHERNET_BYTES
        options = MacOption.COPY_LOOKAHEAD_DATA | MacOption.TRANSFERS_NOT_PEND | MacOption.NO_LOOPBACK
        options |= MacOption.FULL_DUPLEX | MacOption.RECEIVE_SERIALIZED
        if settings.vlan:
            options |= MacOption.P8021P_PRIORITY | MacOption.P8021Q_VLAN
        spares = settings.receive_descriptors - 1 + settings.receive_spares
        numbers = {
            Oid.GEN_MEDIA_SUPPORTED: Medium.M802_3,
            Oid.GEN_MEDIA_IN_USE: Medium.M802_3,
            Oid.GEN_MAXIMUM_LOOKAHEAD: payload,
            Oid.GEN_MAXIMUM_FRAME_SIZE: payload,
            Oid.GEN_MAXIMUM_TOTAL_SIZE: settings.jumbo_bytes,
            Oid.GEN_TRANSMIT_BUFFER_SPACE: settings.transmit_descriptors * STAGE_BYTES,
            Oid.GEN_RECEIVE_BUFFER_SPACE: spares * BUFFER_BYTES,
            Oid.GEN_TRANSMIT_BLOCK_SIZE: settings.jumbo_bytes,
            Oid.GEN_RECEIVE_BLOCK_SIZE: BUFFER_BYTES,
            Oid.GEN_VENDOR_ID: VENDOR_ID,
            Oid.GEN_VENDOR_DRIVER_VERSION: DRIVER_VERSION,
            Oid.GEN_MAC_OPTIONS: options,
            Oid.GEN_MAXIMUM_SEND_PACKETS: SEND_PACKETS,
            Oid.GEN_PHYSICAL_MEDIUM: 0,
            Oid.O802_3_MAXIMUM_LIST_SIZE: MAXIMUM_LIST_SIZE,
        }
        answers = {oid: struct.pack("<I", value) for oid, value in numbers.items()}
        answers[Oid.GEN_DRIVER_VERSION] = struct.pack("<H", self._version[0] << 8 | self._version[1])
        answers[Oid.GEN_VENDOR_DESCRIPTION] = VENDOR_DESCRIPTION
        answers[Oid.O802_3_PERMANENT_ADDRESS] = self._nic.permanent_address
        queues = settings.receive_queues
        if queues > 1:
            answers[Oid.GEN_RECEIVE_SCALE_CAPABILITIES] = scaling.capabilities(queues)
        state = PowerState.D3
        # NDIS_PNP_CAPABILITIES: flags, then the lowest states for magic packet, pattern and link change.
        answers[Oid.PNP_CAPABILITIES] = wake.CAPABILITIES.pack(0, state, state, state)
        return answers

    def _live(self) -> dict[int, Callable[[], bytes]]:
        nic = self._nic
        live: dict[int, Callable[[], bytes]] = {
            Oid.GEN_HARDWARE_STATUS: lambda: _word(READY if nic.wake.power is PowerState.D0 else NOT_READY),
            Oid.GEN_LINK_SPEED: lambda: _word(nic.speed_mbps * 10_000),  # units of 100 bit/s
            Oid.GEN_CURRENT_PACKET_FILTER: lambda: _word(nic.filters.packet_filter),
            Oid.GEN_CURRENT_LOOKAHEAD: lambda: _word(self._lookahead),
            Oid.GEN_MEDIA_CONNECT_STATUS: lambda: _word(
                MEDIA_CONNECTED if nic.link_up else MEDIA_DISCONNECTED
            ),
            Oid.O802_3_CURRENT_ADDRESS: lambda: nic.filters.address,
            Oid.O802_3_MULTICAST_LIST: lambda: b"".join(nic.filters.multicast),
            Oid.TCP_TASK_OFFLOAD: nic.capabilities.emit,
            Oid.GEN_RECEIVE_SCALE_PARAMETERS: lambda: nic.scaling.emit(),  # noqa: PLW0108 - it is replaced
            Oid.GEN_INTERRUPT_MODERATION: self._moderation,
            Oid.GEN_STATISTICS: self._statistics,
            Oid.GEN_RCV_DISCARDS: lambda: self._sum("MPC").to_bytes(8, "little"),
            Oid.PNP_ENABLE_WAKE_UP: lambda: _word(nic.wake.enabled),
        }
        counted = {
            Oid.GEN_XMIT_OK: ("GPTC",),
            Oid.GEN_RCV_OK: ("GPRC",),
            Oid.GEN_RCV_ERROR: _RECEIVE_ERRORS,
            Oid.O802_3_RCV_ERROR_ALIGNMENT: ("ALGNERRC",),
            Oid.O802_3_XMIT_ONE_COLLISION: ("SCC",),
            Oid.O802_3_XMIT_MORE_COLLISIONS: ("MCC",),
            Oid.O802_3_XMIT_DEFERRED: ("DC",),
            Oid.O802_3_XMIT_MAX_COLLISIONS: ("ECOL",),
            Oid.O802_3_RCV_OVERRUN: ("MPC",),
            Oid.O802_3_XMIT_TIMES_CRS_LOST: ("TNCRS",),
            Oid.O802_3_XMIT_LATE_COLLISIONS: ("LATECOL",),
        }
        for oid, names in counted.items():
            live[oid] = lambda names=names: _word(self._sum(*names))  # type: ignore[misc]  # bound per turn
        live[Oid.GEN_XMIT_ERROR] = lambda: _word(self._sum("ECOL", "LATECOL") + nic.statistics.send_errors)
        live[Oid.GEN_RCV_NO_BUFFER] = lambda: _word(self._sum("MPC") + nic.statistics.no_buffer)
        return live

    def _sum(self, *names: str) -> int:
        nic = self._nic
        if nic.wake.power is PowerState.D0:
            nic.statistics.gather(nic.hardware)
        return sum(nic.statistics[name] for name in names)

    def _statistics(self) -> bytes:
        self._sum()
        count = self._nic.statistics
        unicast_in = count["GPRC"] - count["BPRC"] - count["MPRC"]
        unicast_out = count["GPTC"] - count["BPTC"] - count["MPTC"]
        errors = sum(count[name] for name in _RECEIVE_ERRORS)
        return _STATISTICS.pack(
            *(_STATISTICS_TYPE, _STATISTICS_REVISION, _STATISTICS.size, _SUPPORTED_STATISTICS),
            *(count["MPC"] + count.no_buffer, errors),
            *(count["GORC"], max(unicast_in, 0), count["MPRC"], count["BPRC"]),
            *(count["GOTC"], max(unicast_out, 0), count["MPTC"], count["BPTC"]),
            *(count["ECOL"] + count["LATECOL"] + count.send_errors, 0),
            *(count["GORC"], 0, 0, count["GOTC"], 0, 0),
        )

    def _moderation(self) -> bytes:
        on = _MODERATION_ENABLED if self._nic.moderation_us else _MODERATION_DISABLED
        return _MODERATION.pack(0x80, 1, _MODERATION.size, 0, on)

    # -- settings -----------------------------------------------------------------------------------------

    def _set_filter(self, buffer: InformationBuffer) -> Status:
        value = buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        if value & ~SUPPORTED:
            return Status.NOT_SUPPORTED
        self._nic.set_packet_filter(value)
        return Status.SUCCESS

    def _set_lookahead(self, buffer: InformationBuffer) -> Status:
        value = buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        self._lookahead = min(value, self._nic.settings.jumbo_bytes - ETHERNET_BYTES)
        return Status.SUCCESS

    def _set_multicast(self, buffer: InformationBuffer) -> Status:
        groups = split_addresses(buffer.data)
        if len(groups) > MAXIMUM_LIST_SIZE:
            buffer.bytes_needed = 6 * MAXIMUM_LIST_SIZE
            return Status.MULTICAST_FULL
        self._nic.filters.set_multicast(groups)
        buffer.bytes_read = buffer.length
        return Status.SUCCESS

    def _set_power(self, buffer: InformationBuffer) -> Status:
        value = buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        if value not in set(PowerState) - {PowerState.UNSPECIFIED}:
            return Status.INVALID_DATA
        return self._change_power(PowerState(value))

    def _add_pattern(self, buffer: InformationBuffer) -> Status:
        self._nic.wake.add(wake.Pattern.parse(buffer.data))
        buffer.bytes_read = buffer.length
        return Status.SUCCESS

    def _remove_pattern(self, buffer: InformationBuffer) -> Status:
        self._nic.wake.remove(wake.Pattern.parse(buffer.data))
        buffer.bytes_read = buffer.length
        return Status.SUCCESS

    def _enable_wake_up(self, buffer: InformationBuffer) -> Status:
        value = buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        self._nic.wake.enabled = value & wake.SUPPORTED
        return Status.SUCCESS

    def _set_offload(self, buffer: InformationBuffer) -> Status:
        self._nic.set_offload(Offload.parse(buffer.data))
        buffer.bytes_read = buffer.length
        return Status.SUCCESS

    def _set_coalescing(self, buffer: InformationBuffer) -> Status:
        self._nic.set_coalescing(Coalescing.parse(buffer.data))
        buffer.bytes_read = buffer.length
        return Status.SUCCESS

    def _set_scaling(self, buffer: InformationBuffer) -> Status:
        if self._nic.settings.receive_queues < 2:
            return Status.NOT_SUPPORTED
        self._nic.set_scaling(scaling.Scaling.parse(buffer.data, self._nic.settings.receive_queues))
        buffer.bytes_read = buffer.length
        return Status.SUCCESS

    def _set_moderation(self, buffer: InformationBuffer) -> Status:
        raw = buffer.read(_MODERATION.size)
        if raw is None:
            return Status.INVALID_LENGTH
        on = _MODERATION.unpack(raw)[4]
        if on not in (_MODERATION_ENABLED, _MODERATION_DISABLED):
            return Status.INVALID_DATA
        asked = self._nic.settings.moderation_us or MODERATED_US
        self._nic.set_moderation(asked if on == _MODERATION_ENABLED else 0)
        return Status.SUCCESS

    def _set_link(self, buffer: InformationBuffer) -> Status:
        raw = buffer.read(_LINK_PARAMETERS.size)
        if raw is None:
            return Status.INVALID_LENGTH
        automatic = _LINK_PARAMETERS.unpack(raw)[7]
        # Forcing a speed would need the PHY's autonegotiation off: the driver negotiates everything.
        return Status.SUCCESS if automatic & _AUTO_EVERYTHING else Status.NOT_SUPPORTED


def _constant(value: bytes) -> Callable[[], bytes]:
    return lambda: value


def _word(value: int) -> bytes:
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


def _ignored(buffer: InformationBuffer) -> Status:
    """Take note of nothing, with success: the card has no use for network addresses."""
    buffer.bytes_read = buffer.length
    return Status.SUCCESS
