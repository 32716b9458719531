"""What VERSION negotiates, as text."""

from __future__ import annotations

import json

import pytest

from device.vfio_user import SERVER_CAPABILITIES, Capabilities
from device.vfio_user.client import CLIENT_CAPABILITIES
from device.vfio_user.errors import MalformedError

QEMU = (
    b'{"capabilities": {"migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, "max_msg_fds": 16, '
    b'"max_data_xfer_size": 1048576, "pgsizes": 4096, "max_dma_maps": 65535, "write_multiple": true}}'
)  # what hw/vfio-user/proxy.c (caps_json) builds


def test_what_qemu_proposes_is_understood() -> None:
    """With the members of "migration" that only QEMU has."""
    found = Capabilities.parse(QEMU)

    assert (found.max_msg_fds, found.max_dma_maps, found.write_multiple) == (16, 65535, True)
    assert (found.migration, found.twin_socket) == (True, False)


@pytest.mark.parametrize("write_multiple", [False, True])
def test_the_answer_to_qemu_has_only_names_it_sent_and_is_no_longer(write_multiple: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """QEMU's receive buffer is as long as its own message, and unknown names make it complain."""
    offered = Capabilities(max_msg_fds=16, write_multiple=write_multiple)

    answer = offered.answer(Capabilities.parse(QEMU))

    names = {"max_msg_fds", "max_data_xfer_size", "pgsizes", "max_dma_maps"}
    assert set(json.loads(answer)["capabilities"]) == names | (
        {"write_multiple"} if write_multiple else set()
    )
    assert len(answer) <= len(QEMU)


def test_twin_socket_is_refused_in_so_many_words() -> None:
    """And is not spoken of unless the client did."""
    asked = Capabilities.parse(b'{"capabilities":{"twin_socket":{"supported":true}}}')

    answer = SERVER_CAPABILITIES.answer(asked)

    assert asked.twin_socket
    assert json.loads(answer) == {"capabilities": {"twin_socket": {"supported": False}}}


def test_write_multiple_needs_both_sides() -> None:
    """A client that says false gets no answer about it."""
    offered = Capabilities(write_multiple=True)

    answer = offered.answer(Capabilities.parse(b'{"capabilities":{"write_multiple":false}}'))

    assert json.loads(answer) == {"capabilities": {}}


def test_fewer_dma_maps_are_agreed() -> None:
    """Never more than the client asked for."""
    asked = Capabilities.parse(b'{"capabilities":{"max_dma_maps":100}}')

    assert json.loads(SERVER_CAPABILITIES.answer(asked)) == {"capabilities": {"max_dma_maps": 100}}


def test_no_text_means_the_defaults_of_the_specification() -> None:
    """One fd a message, 1 MiB, 65,535 maps, 4 KiB pages."""
    found = Capabilities.parse(b"")

    assert found == Capabilities(1, 1048576, 65535, 4096)
    assert SERVER_CAPABILITIES.answer(found) == b""


def test_what_a_client_proposes_is_read_back_the_same() -> None:
    """Emit and parse agree."""
    found = Capabilities.parse(CLIENT_CAPABILITIES.emit())

    assert (found.max_msg_fds, found.write_multiple) == (16, True)
    assert found.named == {"max_msg_fds", "max_data_xfer_size", "max_dma_maps", "pgsizes", "write_multiple"}


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"x"',
        b'{"capabilities":[]}',
        b'{"capabilities":{"max_msg_fds":"8"}}',
        b'{"capabilities":{"max_msg_fds":true}}',
        b'{"capabilities":{"max_msg_fds":-1}}',
        b'{"capabilities":{"max_data_xfer_size":1.5}}',
        b'{"capabilities":{"max_data_xfer_size":18446744073709551616}}',
        b'{"capabilities":{"pgsizes":NaN}}',
        b'{"capabilities":{"write_multiple":1}}',
        b'{"capabilities":{"twin_socket":true}}',
        b'{"capabilities":{"twin_socket":{"supported":1}}}',
        b'{"capabilities":{"migration":4096}}',
        b"[" * 100_000,
        b'{"capabilities":{"pgsizes":' + b"9" * 5000 + b"}}",
    ],
)
def test_text_that_is_no_capabilities_is_malformed(text: bytes) -> None:
    """Wrong JSON, wrong types, numbers out of range, nesting: one error, never another exception."""
    with pytest.raises(MalformedError):
        Capabilities.parse(text)


def test_unknown_names_are_not_in_the_way() -> None:
    """A later protocol may add some."""
    found = Capabilities.parse(b'{"capabilities":{"future":[1,2]},"more":null}')

    assert found.named == {"future"}
