"""What getaddrinfo reads by itself: hosts and services that are numbers, and the services file.

Sources: getaddrinfo (Microsoft); ReactOS ``modules/rostests/winetests`` and ``apitests/ws2_32/getaddrinfo.c``
for what Windows makes of odd numbers; the services file of Windows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from protocols.interfaces.tdi.address import InternetAddress

ULONG_MAX = 0xFFFF_FFFF
SERVICE_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]{1,64})")
"""What strtoul takes whole, in base 10."""
PART = re.compile(r"0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}")
"""A part of a dotted address: hexadecimal, octal or decimal, as in C."""
PORTS: dict[str, int] = {
    "echo": 7,
    "discard": 9,
    "sink": 9,
    "systat": 11,
    "daytime": 13,
    "qotd": 17,
    "chargen": 19,
    "ftp-data": 20,
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "mail": 25,
    "time": 37,
    "nameserver": 42,
    "nicname": 43,
    "whois": 43,
    "domain": 53,
    "bootps": 67,
    "bootpc": 68,
    "tftp": 69,
    "gopher": 70,
    "finger": 79,
    "http": 80,
    "www": 80,
    "kerberos": 88,
    "pop3": 110,
    "sunrpc": 111,
    "nntp": 119,
    "ntp": 123,
    "epmap": 135,
    "netbios-ns": 137,
    "netbios-dgm": 138,
    "netbios-ssn": 139,
    "imap": 143,
    "imap4": 143,
    "snmp": 161,
    "snmptrap": 162,
    "bgp": 179,
    "ldap": 389,
    "https": 443,
    "microsoft-ds": 445,
    "isakmp": 500,
    "syslog": 514,
    "router": 520,
    "ldaps": 636,
    "imaps": 993,
    "pop3s": 995,
    "ms-wbt-server": 3389,
}


def port_of(service: str | int | None) -> int:
    """Return the port of a service, by name or number; a number is cut to 16 bits. WSATYPE_NOT_FOUND."""
    if service is None or service == "":
        return 0
    text = str(service)
    found = SERVICE_NUMBER.fullmatch(text)
    if found is None:
        if text.lower() not in PORTS:
            raise WinsockError(Wsae.WSATYPE_NOT_FOUND, text)
        return PORTS[text.lower()]
    sign, digits = found.groups()
    number = int(digits)
    if number > ULONG_MAX:  # strtoul's answer to what does not fit
        return ULONG_MAX & 0xFFFF
    return (-number if sign == "-" else number) & 0xFFFF


def numeric_host(host: str) -> InternetAddress:
    """Return the address that a host's name spells, an IPv6 one perhaps with its zone. ValueError."""
    if ":" in host:
        address, _, zone = host.partition("%")
        if zone and not (zone.isascii() and zone.isdecimal() and len(zone) <= 10):
            raise ValueError(host)
        return internet(parse(address), 0, int(zone or 0))
    parts = host.split(".")
    if len(parts) != 4 or not all(PART.fullmatch(one) for one in parts):
        raise ValueError(host)
    return internet(bytes(map(_part, parts)))


def _part(text: str) -> int:
    base = 16 if text[:2] in ("0x", "0X") else 8 if text[0] == "0" else 10
    return int(text, base)
