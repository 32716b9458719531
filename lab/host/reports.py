"""What ``ringwalk net`` prints of a running stack: each report is a function from a host to text.

They are called with the host's lock held; those that ask the network (ping, tracert, nslookup) give it up
while they wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.columns import columns
from lab.host.control_socket import Answer, QuestionError
from protocols.apis.winsock.constants import Ns
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.interfaces.tdi.address import InternetAddress
from protocols.transports.netbt.message import GROUP
from protocols.transports.tcpip.addresses import mac_text, parse, text
from protocols.transports.tcpip.icmp import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.host.host import Upper
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.transports.netbt.names import Owned, Status
    from protocols.transports.tcpip.ping import EchoResult

PING_COUNT = 4
PING_TIMEOUT_NS = 4_000_000_000
MOST_HOPS = 30
NO_REPLY = "Nothing answered: is the host on, and on this network? (net arp, net route)"
ECHO_FAILURES = {
    ErrorKind.NET_UNREACHABLE: "Destination net unreachable.",
    ErrorKind.HOST_UNREACHABLE: "Destination host unreachable.",
    ErrorKind.PROTOCOL_UNREACHABLE: "Destination protocol unreachable.",
    ErrorKind.PORT_UNREACHABLE: "Destination port unreachable.",
    ErrorKind.PROHIBITED: "Communication administratively prohibited.",
    ErrorKind.TOO_BIG: "Packet needs to be fragmented but DF set.",
    ErrorKind.HOPS_EXCEEDED: "TTL expired in transit.",
    ErrorKind.REASSEMBLY_EXCEEDED: "TTL expired during reassembly.",
    ErrorKind.PARAMETER: "Bad header in the request.",
    ErrorKind.UNKNOWN_OPTION: "Bad option specified.",
}
"""What ping of Windows prints of each."""
NAME_FAILURES = {
    Wsae.WSASERVICE_NOT_FOUND: "no such name, or nobody who knows it answered",
    Wsae.WSAHOST_NOT_FOUND: "no such host",
    Wsae.WSATRY_AGAIN: "no server answered; ask again",
    Wsae.WSANO_DATA: "the name has no address of that kind",
}


class ReportError(QuestionError):
    """A question about TCP/IP that cannot be answered."""


def ipconfig(host: Upper) -> str:
    """Interfaces with their addresses, gateways and resolvers."""
    lines = ["Windows IP Configuration (Ringwalk)", ""]
    for interface in host.stack.interfaces[1:]:
        lines.append(f"Ethernet adapter {interface.name}:")
        lines.append("")
        fields = [
            ("Media State", "connected" if interface.up else "disconnected"),
            ("Physical Address", mac_text(interface.mac).upper()),
            ("MTU", str(interface.mtu)),
        ]
        for entry in interface.addresses.values():
            name = "IPv4 Address" if len(entry.address) == 4 else "IPv6 Address"
            fields.append(
                (name, f"{text(entry.address)}/{entry.prefix_length} ({entry.origin}, {entry.state.name})")
            )
        fields += [
            ("Default Gateway", text(row.gateway))
            for row in host.stack.ip.routes
            if row.interface is interface and row.gateway and not row.prefix.length
        ]
        lines += [f"   {name:.<28}: {value}" for name, value in fields]
        lines.append("")
    servers = ", ".join(map(text, host.stack.dns_servers())) or "none"
    return "\n".join([*lines, f"DNS Servers: {servers}", ""])


def netstat(host: Upper, *, statistics: bool = False) -> Answer:
    """Print connections and open ports, or the counters."""
    if statistics:
        counters = dict(sorted(host.stack.counters.items()))
        return Answer("".join(f"{name:<36}{value}\n" for name, value in counters.items()), counters)
    rows = [("Proto", "Local Address", "Foreign Address", "State")]
    tcp = host.stack.tcp
    rows += [
        ("TCP", _endpoint(listener.local or bytes(4), listener.port), "*:*", "LISTENING")
        for listener in tcp.listeners.values()
    ]
    for connection in tcp.connections.values():
        key = connection.key
        local, remote = _endpoint(key.local, key.local_port), _endpoint(key.remote, key.remote_port)
        rows.append(("TCP", local, remote, connection.state.name))
    for endpoints in host.stack.udp.endpoints.values():
        for one in endpoints:
            peer = _endpoint(*one.peer) if one.peer else "*:*"
            rows.append(("UDP", _endpoint(one.local or bytes(4), one.port), peer, ""))
    return tabled(rows)


def route(host: Upper) -> Answer:
    """Print the routing table."""
    rows = [("Destination", "Gateway", "Interface", "Metric", "Origin")]
    for row in host.stack.ip.routes:
        gateway = text(row.gateway) if row.gateway else "on-link"
        rows.append((str(row.prefix), gateway, row.interface.name, str(row.metric), row.origin))
    return tabled(rows)


def arp(host: Upper) -> Answer:
    """Print the neighbours of both IP versions."""
    rows = [("Internet Address", "Physical Address", "State", "Interface")]
    for interface in host.stack.interfaces[1:]:
        for cache in (interface.neighbours4, interface.neighbours6):
            for entry in cache.entries.values():
                mac = mac_text(entry.mac) if entry.mac else "-"
                rows.append((text(entry.address), mac, entry.state.name.lower(), interface.name))
    return tabled(rows)


def ping(host: Upper, name: str) -> str:
    """Four echo requests."""
    address = _resolved(host, name)
    lines = [f"Pinging {name} [{text(address)}] with 32 bytes of data:"]
    times: list[int] = []
    for _ in range(PING_COUNT):
        result = _echo(host, address, 0)
        if result.source is not None and result.error is None:
            times.append(result.rtt)
            lines.append(
                f"Reply from {text(result.source)}: bytes={len(result.data)} "
                f"time={result.rtt / 1e6:.3f}ms TTL={result.ttl}"
            )
        else:
            lines.append(_failed(result))
    lost = PING_COUNT - len(times)
    lines.append(f"Packets: Sent = {PING_COUNT}, Received = {len(times)}, Lost = {lost}")
    if not times:
        lines.append(NO_REPLY)
    if times:
        low, mean, high = min(times) / 1e6, sum(times) / len(times) / 1e6, max(times) / 1e6
        lines.append(f"Minimum = {low:.3f}ms, Maximum = {high:.3f}ms, Average = {mean:.3f}ms")
    return "\n".join([*lines, ""])


def tracert(host: Upper, name: str) -> str:
    """Echo requests with growing time to live."""
    address = _resolved(host, name)
    lines = [f"Tracing route to {name} [{text(address)}] over a maximum of {MOST_HOPS} hops:"]
    for hop in range(1, MOST_HOPS + 1):
        result = _echo(host, address, hop)
        if result.source is None:
            lines.append(f"{hop:3}     *        Request timed out.")
            continue
        if result.error not in (None, ErrorKind.HOPS_EXCEEDED):
            lines += [f"{hop:3}     *        {_failed(result)}", NO_REPLY]
            break
        lines.append(f"{hop:3}  {result.rtt / 1e6:7.3f} ms  {text(result.source)}")
        if result.error is None:
            break
    return "\n".join([*lines, ""])


def nslookup(host: Upper, name: str) -> str:
    """Print a name's addresses, by DNS alone."""
    if not host.stack.dns_servers():
        raise ReportError(f"{name}: no DNS server is known; name one with net up --dns, or get one by DHCP")
    try:
        found = host.names.lookup(name, Ns.DNS)
    except WinsockError as error:
        raise ReportError(f"{name}: {NAME_FAILURES.get(error.code, str(error))}") from error
    servers = ", ".join(map(text, host.stack.dns_servers()))
    return "\n".join(
        [f"Server: {servers}", f"Name: {name}", *(f"Address: {_numeric(one)}" for one in found), ""]
    )


def resolve(host: Upper, name: str) -> str:
    """Print what getaddrinfo finds for a name, by all namespace providers in their order."""
    try:
        found = host.names.getaddrinfo(name, None)
    except WinsockError as error:
        raise ReportError(f"{name}: {NAME_FAILURES.get(error.code, str(error))}") from error
    asked = ", ".join(provider for _namespace, provider in host.names.enumerate())
    addresses = dict.fromkeys(text(one.address.address) for one in found)
    return "\n".join([f"Asked: {asked}", f"Name: {name}", *(f"Address: {one}" for one in addresses), ""])


def catalog(host: Upper) -> str:
    """Print the transport catalog of a new process and the namespace catalog, each in its order."""
    entries = host.process().catalog.entries
    spaces = host.names.enumerate()
    return "\n".join(
        [
            "Transport providers",
            *(f"  {entry.number}  {entry.name}  {entry.device}" for entry in entries),
            "Namespace providers",
            *(f"  {Ns(namespace).name:9}  {name}" for namespace, name in spaces),
            "",
        ]
    )


def nbtstat(host: Upper, name: str | None) -> Answer:
    """Print NetBIOS names: ours, or with a host or address those that it says it has."""
    if name is None:
        rows = [(str(one.name), "GROUP" if one.group else "UNIQUE", one.state.value) for one in _sorted(host)]
        return tabled([("Name", "Type", "Status"), *rows], "NetBIOS local name table\n")
    address = _resolved(host, name, 4)
    found: list[Status | None] = []
    host.netbt.adapter_status(address, found.append)
    host.stack.request_turn()
    host.executive.wait(lambda: bool(found), "an echo", PING_TIMEOUT_NS)
    if not found or found[0] is None:
        raise ReportError(f"{text(address)}: host not found")
    names, mac = found[0]
    theirs = [(str(name), "GROUP" if flags & GROUP else "UNIQUE") for name, flags in names]
    end = f"\nMAC Address = {mac_text(mac)}\n"
    return tabled([("Name", "Type"), *theirs], f"Names of {text(address)}\n", end)


def _sorted(host: Upper) -> list[Owned]:
    return sorted(host.netbt.names.values(), key=lambda one: (one.group, str(one.name)))


def _echo(host: Upper, address: bytes, ttl: int) -> EchoResult:
    results: list[EchoResult] = []
    host.stack.ping(address, results.append, timeout=PING_TIMEOUT_NS, ttl=ttl)
    host.stack.request_turn()
    host.executive.wait(lambda: bool(results), "an echo", 2 * PING_TIMEOUT_NS)
    if not results:
        raise ReportError("the stack took no turn")
    return results[0]


def _failed(result: EchoResult) -> str:
    """Say how an echo request ended that was not answered."""
    if result.error is None:
        return "Request timed out."
    words = ECHO_FAILURES[result.error]
    return f"Reply from {text(result.source)}: {words}" if result.source is not None else words


def _resolved(host: Upper, name: str, size: int = 0) -> bytes:
    """Return the address of a host, of ``size`` bytes where only one version will do."""
    try:
        found = [parse(name)]
    except ValueError:
        try:
            found = [one.address for one in host.names.lookup(name) if isinstance(one, InternetAddress)]
        except WinsockError as error:
            raise ReportError(f"could not find host {name}; give an address or a resolver") from error
    fitting = [one for one in found if size in (0, len(one))]
    if not fitting:
        raise ReportError(f"{name} has no {'IPv4' if size == 4 else 'IPv6'} address")
    return fitting[0]


def _numeric(address: TdiAddress) -> str:
    return text(address.address) if isinstance(address, InternetAddress) else repr(address)


def _endpoint(address: bytes, port: int) -> str:
    return f"{text(address)}:{port}" if len(address) == 4 else f"[{text(address)}]:{port}"


def tabled(rows: Sequence[Sequence[str]], before: str = "", behind: str = "") -> Answer:
    """Return a table, whose first row is its head, as text and as an object a row."""
    head, *rest = rows
    return Answer(before + _table(rows) + behind, [dict(zip(head, row, strict=True)) for row in rest])


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "".join(line + "\n" for line in columns(rows))
