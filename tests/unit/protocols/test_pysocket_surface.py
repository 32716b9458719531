"""The names of Python's ``socket`` module: each is there, or it is said why not."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import errno
import socket
import struct
from typing import Any, cast

import pytest

from protocols.apis.winsock.constants import Msg
from protocols.apis.winsock.pysocket import numbers, socket_module

MODULE = socket_module(cast("Any", None), cast("Any", None))
"""Nothing here opens a socket."""


def names() -> set[str]:
    return {name for name in dir(socket) if not name.startswith("_")}


def test_every_name_of_pythons_module_is_there_or_refused_for_a_reason() -> None:
    refused = {name for name in names() if not hasattr(MODULE, name)}

    unexplained = {name for name in refused if not name.startswith(tuple(numbers.REFUSED))}

    assert unexplained == set()
    assert {"AF_UNIX", "SO_REUSEPORT", "TCP_CORK", "send_fds"} & names() <= refused


def test_the_functions_of_pythons_reference_are_there() -> None:
    wanted = {
        *("create_connection", "create_server", "has_dualstack_ipv6", "socketpair", "fromfd", "getaddrinfo"),
        *("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "getservbyname", "close"),
        *("getservbyport", "getprotobyname", "getdefaulttimeout", "setdefaulttimeout", "getfqdn", "gaierror"),
    }

    assert {name for name in wanted if not hasattr(MODULE, name)} == set()


def test_every_method_of_pythons_class_is_there_but_those_of_linux() -> None:
    missing = {name for name in dir(socket.socket) if not hasattr(MODULE.socket, name)}

    assert missing <= {"sendmsg_afalg"}


def test_no_constant_of_the_machine_is_there_that_is_in_no_table() -> None:
    numbered = {
        n for n in vars(MODULE) if n.startswith(("SO_", "IP_", "IPV6_", "TCP_", "MSG_", "AF_", "SOCK_"))
    }

    assert numbered <= set(numbers.CONSTANTS)


@pytest.mark.parametrize("flag", ["MSG_MORE", "MSG_ERRQUEUE", "MSG_FASTOPEN"])
def test_a_flag_that_winsock_has_not_is_refused(flag: str) -> None:
    with pytest.raises(OSError, match="no such message flag") as caught:
        numbers.winsock_flags(getattr(socket, flag))

    assert caught.value.errno == errno.EOPNOTSUPP


def test_flags_are_told_in_winsocks_numbers() -> None:
    told = numbers.winsock_flags(socket.MSG_PEEK | socket.MSG_WAITALL | socket.MSG_NOSIGNAL)

    assert told == Msg.PEEK


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        (("SOL_SOCKET", "SO_LINGER"), struct.pack("ii", 1, 5), 5),
        (("SOL_SOCKET", "SO_LINGER"), struct.pack("ii", 0, 0), None),
        (("SOL_SOCKET", "SO_RCVTIMEO"), struct.pack("ll", 2, 300_000), 2300),
        (("IPPROTO_TCP", "TCP_NODELAY"), struct.pack("i", 1), 1),
    ],
)
def test_an_options_structure_is_read_and_laid_out_again(
    name: tuple[str, str], raw: bytes, value: object
) -> None:
    option = numbers.OPTION_NAMES[name]

    read = numbers.unpacked(option, raw)

    assert read == value
    assert numbers.packed(option, read) == raw


def test_a_structure_that_is_too_short_is_refused() -> None:
    with pytest.raises(OSError, match="8 bytes") as caught:
        numbers.unpacked(numbers.OPTION_NAMES["SOL_SOCKET", "SO_LINGER"], b"1234")

    assert caught.value.errno == errno.EINVAL
