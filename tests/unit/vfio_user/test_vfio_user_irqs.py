"""SET_IRQS and what follows from it: every data type and action, INTx' automask, and who closes which fd."""

from __future__ import annotations

import errno

import pytest

from device.vfio_user import NO_EVENTFD, IrqChange, Irqs, PciIrq, RequestRefused
from device.vfio_user.messages import DeviceSetIrqs
from device.vfio_user.protocol import IrqSetFlags as F
from tests.support.vfio_user_double import NotingSink

NONE_TRIGGER = F.DATA_NONE | F.ACTION_TRIGGER
BOOL_TRIGGER = F.DATA_BOOL | F.ACTION_TRIGGER
FD_TRIGGER = F.DATA_EVENTFD | F.ACTION_TRIGGER
UNMASK = F.DATA_NONE | F.ACTION_UNMASK
MASK = F.DATA_NONE | F.ACTION_MASK


class Setup:
    """Interrupts as an 82574L has them, with numbers for eventfds."""

    def __init__(self) -> None:
        """One INTx, one MSI, five MSI-X."""
        self.sink = NotingSink()
        self.irqs = Irqs((1, 1, 5, 1, 1), self.sink)

    def set(self, flags: int, index: int, start: int = 0, fds: tuple[int, ...] = (), **more: object) -> None:
        """SET_IRQS; the count is that of the fds unless given."""
        count = more.get("count", len(fds))
        data = more.get("data", b"")
        assert isinstance(count, int)
        assert isinstance(data, bytes)
        self.irqs.set_irqs(DeviceSetIrqs(flags, index, start, count, data), fds)


@pytest.fixture
def setup() -> Setup:
    """Nothing armed yet."""
    return Setup()


def test_a_vector_signals_its_own_eventfd(setup: Setup) -> None:
    """And only when it has one."""
    setup.set(FD_TRIGGER, PciIrq.MSIX, 1, (101, 102))

    delivered = [setup.irqs.trigger(PciIrq.MSIX, vector) for vector in range(5)]

    assert delivered == [False, True, True, False, False]
    assert setup.sink.signalled == [101, 102]
    assert setup.irqs.eventfd(PciIrq.MSIX, 2) == 102
    assert setup.irqs.eventfd(PciIrq.MSIX, 4) == NO_EVENTFD
    assert (setup.irqs.armed(PciIrq.MSIX), setup.irqs.armed(PciIrq.MSI)) == (True, False)


def test_rearming_closes_the_fds_that_were_replaced(setup: Setup) -> None:
    """QEMU arms MSI-X with 1, 2, ... 5 vectors, new fds each time."""
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (10,))
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (20, 21))
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (30, 31, 32))

    setup.irqs.trigger(PciIrq.MSIX, 1)

    assert setup.sink.closed == [10, 20, 21]
    assert setup.sink.signalled == [31]


def test_a_listener_sees_the_new_eventfds_while_the_old_are_still_open(setup: Setup) -> None:
    """An engine that writes them itself changes over first."""
    seen: list[tuple[IrqChange, list[int]]] = []
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (10, 11))
    setup.irqs.on_change(lambda change: seen.append((change, list(setup.sink.closed))))

    setup.set(FD_TRIGGER, PciIrq.MSIX, 1, (21,))

    change = IrqChange(PciIrq.MSIX, (10, 21, -1, -1, -1), (False,) * 5)
    assert seen == [(change, [])]
    assert setup.sink.closed == [11]


def test_count_0_disables_the_whole_type_and_only_it(setup: Setup) -> None:
    """The special case of the specification."""
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (10, 11))
    setup.set(FD_TRIGGER, PciIrq.ERR, 0, (40,))

    setup.set(NONE_TRIGGER, PciIrq.MSIX, 0)

    assert setup.sink.closed == [10, 11]
    assert not setup.irqs.trigger(PciIrq.MSIX, 0)
    assert setup.irqs.trigger(PciIrq.ERR)


def test_eventfd_data_without_fds_disarms_those_vectors(setup: Setup) -> None:
    """How QEMU takes single vectors away (its fd is -1 then, and none is sent)."""
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (10, 11, 12))

    setup.set(FD_TRIGGER, PciIrq.MSIX, 1, (), count=2)

    assert setup.sink.closed == [11, 12]
    assert setup.irqs.eventfd(PciIrq.MSIX, 0) == 10
    assert setup.irqs.eventfd(PciIrq.MSIX, 1) == NO_EVENTFD


def test_a_client_can_trigger_vectors_itself(setup: Setup) -> None:
    """DATA_NONE all of the range, DATA_BOOL the chosen ones."""
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (10, 11, 12, 13, 14))

    setup.set(NONE_TRIGGER, PciIrq.MSIX, 1, (), count=2)
    setup.set(BOOL_TRIGGER, PciIrq.MSIX, 0, (), count=5, data=b"\1\0\0\0\1")

    assert setup.sink.signalled == [11, 12, 10, 14]


def test_an_asserted_level_signals_once_and_masks(setup: Setup) -> None:
    """AUTOMASKED: nothing more until UNMASK."""
    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))

    setup.irqs.set_level(asserted=True)
    setup.irqs.set_level(asserted=True)
    setup.irqs.set_level(asserted=False)
    setup.irqs.set_level(asserted=True)

    assert setup.sink.signalled == [50]
    assert setup.irqs.masked(PciIrq.INTX)


@pytest.mark.parametrize("flags", [UNMASK, F.DATA_BOOL | F.ACTION_UNMASK])
def test_unmasking_a_level_that_is_still_asserted_signals_again(setup: Setup, flags: int) -> None:
    """QEMU unmasks after every access of the guest to a BAR (hw/vfio/pci.c, vfio_pci_intx_eoi)."""
    data = b"\1" if flags & F.DATA_BOOL else b""
    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))
    setup.irqs.set_level(asserted=True)

    setup.set(flags, PciIrq.INTX, 0, (), count=1, data=data)
    setup.irqs.set_level(asserted=False)
    setup.set(flags, PciIrq.INTX, 0, (), count=1, data=data)

    assert setup.sink.signalled == [50, 50]
    assert not setup.irqs.masked(PciIrq.INTX)


def test_a_masked_level_is_delivered_at_unmask(setup: Setup) -> None:
    """Masked by the client, asserted meanwhile."""
    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))
    setup.set(MASK, PciIrq.INTX, 0, (), count=1)
    setup.irqs.set_level(asserted=True)
    assert setup.sink.signalled == []

    setup.set(UNMASK, PciIrq.INTX, 0, (), count=1)

    assert setup.sink.signalled == [50]


def test_a_false_bool_leaves_its_vector_alone(setup: Setup) -> None:
    """Only true ones are acted on."""
    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))

    setup.set(F.DATA_BOOL | F.ACTION_MASK, PciIrq.INTX, 0, (), count=1, data=b"\0")

    assert not setup.irqs.masked(PciIrq.INTX)


def test_a_level_asserted_before_arming_is_signalled_at_arming(setup: Setup) -> None:
    """It is a level, not an edge: nothing is lost."""
    setup.irqs.set_level(asserted=True)

    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))

    assert setup.sink.signalled == [50]
    assert setup.irqs.level


def test_a_listener_learns_of_an_unmask_that_changes_nothing_here(setup: Setup) -> None:
    """An engine that keeps the level itself must look at it again."""
    seen: list[IrqChange] = []
    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))
    stop = setup.irqs.on_change(seen.append)

    setup.set(UNMASK, PciIrq.INTX, 0, (), count=1)
    stop()
    setup.set(UNMASK, PciIrq.INTX, 0, (), count=1)

    assert seen == [IrqChange(PciIrq.INTX, (50,), (False,), (0,))]


def test_clearing_closes_everything_and_tells_the_listeners(setup: Setup) -> None:
    """What happens when the client has gone."""
    setup.set(FD_TRIGGER, PciIrq.INTX, 0, (50,))
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (10, 11))
    seen: list[IrqChange] = []
    setup.irqs.on_change(seen.append)

    setup.irqs.clear()

    assert sorted(setup.sink.closed) == [10, 11, 50]
    assert {fd for change in seen for fd in change.eventfds} == {NO_EVENTFD}
    assert [change.index for change in seen] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("flags", "index", "start", "count", "data", "fds", "number"),
    [
        (FD_TRIGGER, 5, 0, 1, b"", (9,), errno.EINVAL),  # no such type
        (FD_TRIGGER, 0xFFFFFFFF, 0, 1, b"", (9,), errno.EINVAL),
        (FD_TRIGGER, 2, 0, 6, b"", (9,) * 6, errno.EINVAL),  # six of five
        (FD_TRIGGER, 2, 4, 2, b"", (9, 9), errno.EINVAL),
        (FD_TRIGGER, 2, 0xFFFFFFFF, 1, b"", (9,), errno.EINVAL),
        (NONE_TRIGGER, 2, 0, 0xFFFFFFFF, b"", (), errno.EINVAL),
        (FD_TRIGGER, 2, 0, 2, b"", (9,), errno.EINVAL),  # fewer fds than vectors
        (FD_TRIGGER, 2, 0, 2, b"", (9, 9, 9), errno.EINVAL),  # more
        (FD_TRIGGER, 2, 0, 1, b"\1", (9,), errno.EINVAL),  # data that does not belong
        (FD_TRIGGER, 2, 0, 1, b"", (13,), errno.EINVAL),  # not an eventfd
        (NONE_TRIGGER, 2, 0, 1, b"", (9,), errno.EINVAL),  # fds that do not belong
        (NONE_TRIGGER, 2, 0, 1, b"\1", (), errno.EINVAL),
        (BOOL_TRIGGER, 2, 0, 2, b"\1", (), errno.EINVAL),  # too little data
        (BOOL_TRIGGER, 2, 0, 2, b"\1\1\1", (), errno.EINVAL),
        (NONE_TRIGGER, 2, 1, 0, b"", (), errno.EINVAL),  # count 0, but not from 0 on
        (UNMASK, 0, 0, 0, b"", (), errno.EINVAL),
        (FD_TRIGGER, 2, 0, 0, b"", (), errno.EINVAL),
        (BOOL_TRIGGER, 2, 0, 0, b"", (), errno.EINVAL),
        (MASK, 2, 0, 1, b"", (), errno.EINVAL),  # MSI-X is not MASKABLE
        (UNMASK, 1, 0, 1, b"", (), errno.EINVAL),
        (F.DATA_EVENTFD | F.ACTION_UNMASK, 0, 0, 1, b"", (9,), errno.ENOTSUP),
        (F.DATA_EVENTFD | F.ACTION_MASK, 0, 0, 1, b"", (9,), errno.ENOTSUP),
        (F.DATA_NONE, 2, 0, 1, b"", (), errno.EINVAL),  # no action
        (F.ACTION_TRIGGER, 2, 0, 1, b"", (), errno.EINVAL),  # no data type
        (NONE_TRIGGER | F.DATA_BOOL, 2, 0, 1, b"\1", (), errno.EINVAL),
        (NONE_TRIGGER | F.ACTION_MASK, 2, 0, 1, b"", (), errno.EINVAL),
        (NONE_TRIGGER | 0x40, 2, 0, 1, b"", (), errno.EINVAL),
    ],
)
def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(  # noqa: PLR0917 - one column each
    setup: Setup,
    flags: int,
    index: int,
    start: int,
    count: int,
    data: bytes,
    fds: tuple[int, ...],
    number: int,
) -> None:
    """The fds stay the caller's."""
    setup.set(FD_TRIGGER, PciIrq.MSIX, 0, (101, 102, 103, 104, 105))
    setup.sink.foreign.add(13)

    with pytest.raises(RequestRefused) as why:
        setup.irqs.set_irqs(DeviceSetIrqs(flags, index, start, count, data), fds)

    assert why.value.errno == number
    assert (setup.sink.closed, setup.sink.signalled) == ([], [])
    assert [setup.irqs.eventfd(PciIrq.MSIX, v) for v in range(5)] == [101, 102, 103, 104, 105]
