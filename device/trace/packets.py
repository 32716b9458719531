"""A frame's headers in words and facts, as deep as a person at a breakpoint wants: Ethernet to TCP.

Pure; nothing in a frame is believed before its length is checked. It is for reading, not for forwarding:
``formats.packet`` is the engine's own parser.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final

from formats import ethernet

_ETHERTYPES: Final = {
    ethernet.IPV4: "IPv4",
    ethernet.ARP: "ARP",
    ethernet.IPV6: "IPv6",
    ethernet.MAC_CONTROL: "MAC control",
    ethernet.PTP: "PTP",
}
_VLAN: Final = ethernet.VLAN
_TCP_FLAGS: Final = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
_PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}

Fact = int | str | bool | frozenset[str]


@dataclass(slots=True)
class Dissection:
    """One line a header, a summary, and facts by name."""

    lines: list[str] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
    summary: str = ""


def dissect(frame: bytes) -> Dissection:
    """Take a frame apart."""
    out = Dissection()
    if len(frame) < 14:
        out.summary = f"{len(frame)} bytes, no Ethernet header"
        return out
    target, source = frame[:6].hex(":"), frame[6:12].hex(":")
    kind, at = int.from_bytes(frame[12:14], "big"), 14
    out.facts |= {"dst": target, "src": source, "mac": frozenset({target, source})}
    if kind == _VLAN and len(frame) >= 18:
        tag = int.from_bytes(frame[14:16], "big")
        out.facts["vlan"] = tag & 0xFFF
        out.lines.append(f"802.1Q    vid {tag & 0xFFF} priority {tag >> 13}")
        kind, at = int.from_bytes(frame[16:18], "big"), 18
    out.facts["type"] = kind
    name = _ETHERTYPES.get(kind, f"type {kind:#06x}")
    out.lines.insert(0, f"Ethernet  {source} > {target} {name} {len(frame)} bytes")
    out.summary = f"{source} > {target} {name}"
    network = _NETWORK.get(kind)
    if network is not None:
        network(frame[at:], out)
    out.summary += f", {len(frame)} bytes"
    return out


def _arp(data: bytes, out: Dissection) -> None:
    if len(data) < 28:
        return
    sender, target = ipaddress.IPv4Address(data[14:18]), ipaddress.IPv4Address(data[24:28])
    asks = int.from_bytes(data[6:8], "big") == 1
    text = f"who has {target}? tell {sender}" if asks else f"{sender} is at {data[8:14].hex(':')}"
    out.facts["host"] = frozenset({str(sender), str(target)})
    out.lines.append(f"ARP       {text}")
    out.summary = f"ARP {text}"


def _ipv4(data: bytes, out: Dissection) -> None:
    if len(data) < 20 or data[0] >> 4 != 4:
        return
    header = (data[0] & 15) * 4
    addresses = ipaddress.IPv4Address(data[12:16]), ipaddress.IPv4Address(data[16:20])
    fragment = int.from_bytes(data[6:8], "big") & 0x1FFF
    out.lines.append(
        f"IPv4      {addresses[0]} > {addresses[1]} ttl {data[8]} length {int.from_bytes(data[2:4], 'big')}"
        f" id {int.from_bytes(data[4:6], 'big'):#x} protocol {data[9]}"
    )
    _transport((str(addresses[0]), str(addresses[1])), data[9], b"" if fragment else data[header:], out)


def _ipv6(data: bytes, out: Dissection) -> None:
    if len(data) < 40:
        return
    addresses = ipaddress.IPv6Address(data[8:24]), ipaddress.IPv6Address(data[24:40])
    out.lines.append(
        f"IPv6      {addresses[0]} > {addresses[1]} hop limit {data[7]}"
        f" length {int.from_bytes(data[4:6], 'big')} next {data[6]}"
    )
    _transport((str(addresses[0]), str(addresses[1])), data[6], data[40:], out)


_NETWORK: Final = {ethernet.IPV4: _ipv4, ethernet.IPV6: _ipv6, ethernet.ARP: _arp}


def _transport(hosts: tuple[str, str], protocol: int, data: bytes, out: Dissection) -> None:
    name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    out.facts |= {"host": frozenset(hosts), "proto": name.lower()}
    out.summary = f"{hosts[0]} > {hosts[1]} {name}"
    if protocol in (6, 17) and len(data) >= 8:
        ports = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        out.facts |= {"sport": ports[0], "dport": ports[1], "port": frozenset(map(str, ports))}
        out.summary = f"{hosts[0]}:{ports[0]} > {hosts[1]}:{ports[1]} {name}"
    if protocol == 6 and len(data) >= 20:
        flags = [flag for bit, flag in enumerate(_TCP_FLAGS) if data[13] >> bit & 1]
        out.facts["tcp"] = frozenset(flags)
        sequence, acknowledged = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        out.lines.append(
            f"TCP       {ports[0]} > {ports[1]} seq {sequence} ack {acknowledged} {' '.join(flags)}"
            f" window {int.from_bytes(data[14:16], 'big')}"
        )
        out.summary += f" {' '.join(flags)}"
    elif protocol == 17 and len(data) >= 8:
        out.lines.append(f"UDP       {ports[0]} > {ports[1]} length {int.from_bytes(data[4:6], 'big')}")
    elif protocol in (1, 58) and len(data) >= 4:
        out.lines.append(f"{name:9} type {data[0]} code {data[1]}")


def hexdump(data: bytes, base: int = 0) -> list[str]:
    """Return lines of 16 bytes: address, hexadecimal, text."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{base + at:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}  {text}")
    return lines
