"""What ``ringwalk boot`` finds out about a guest and its cards, and how it says so.

``observe`` asks the guest; ``text`` and ``data`` only render.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.wire.spec import parse_spec
from lab.machines import traffic
from lab.machines.peer import PeerError

if TYPE_CHECKING:
    from lab.machines.cards import FarEnd, Fitted
    from lab.machines.guest.session import Guest

Say = Callable[[tuple[str, str]], object]
"""Takes a labelled line as soon as it is known."""
TRANSFER_BYTES = 32 << 20
PORT = 8257
PINGS = 5
LEVELS = {2500: "2.5 Gb/s", 1000: "1000 Mb/s", 100: "100 Mb/s", 10: "10 Mb/s"}


@dataclass(frozen=True, slots=True)
class Transfer:
    """One direction of TCP."""

    megabytes: float
    mbit_per_s: float
    sha256_agrees: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """What ping reported."""

    sent: int
    received: int
    average_ms: float


@dataclass(frozen=True, slots=True)
class CardStory:
    """One card, as the guest and the card itself tell it."""

    kind: str
    engine: str | None
    interface: str
    pci: str
    driver: str
    driver_version: str
    firmware: str
    mac: str
    speed: str
    interrupts: str
    wire: str
    address: str | None = None
    ping: Ping | None = None
    to_host: Transfer | None = None
    to_guest: Transfer | None = None
    account: dict[str, int] | None = None

    @property
    def link(self) -> str:
        """Whether there is a link: not without a cable."""
        return "down" if self.wire == "none" else "up"

    @property
    def flowed(self) -> bool:
        """Whether traffic went both ways and arrived whole."""
        return (self.ping is None or self.ping.received > 0) and all(
            t is not None and t.sha256_agrees for t in (self.to_host, self.to_guest)
        )


@dataclass(frozen=True, slots=True)
class PairStory:
    """Two cards of the guest on one switch, the second in a network namespace of its own."""

    near: str
    far: str
    wire: str
    ping: Ping
    mbit_per_s: float
    sha256_agrees: bool

    @property
    def flowed(self) -> bool:
        """Whether echoes came back and a file arrived whole."""
        return self.ping.received > 0 and self.sha256_agrees

    @property
    def text(self) -> str:
        """It in one line."""
        proof = "SHA-256 agrees" if self.sha256_agrees else "SHA-256 DIFFERS"
        return (
            f"{self.near} to {self.far} on {self.wire}: ping {self.ping.received} of {self.ping.sent},"
            f" {self.ping.average_ms:.2f} ms; TCP {self.mbit_per_s:.0f} Mbit/s, {proof}"
        )


@dataclass(frozen=True, slots=True)
class Story:
    """The whole account of a boot."""

    qemu: str
    accelerator: str
    reason: str
    kernel: str
    boot_seconds: float
    cards: tuple[CardStory, ...]
    pairs: tuple[PairStory, ...] = ()
    """What passed between two cards on one cable of ours."""
    complaints: tuple[str, ...] = ()
    """Lines of the kernel's log that a healthy driver does not cause."""

    @property
    def tried(self) -> bool:
        """Whether any card has a far end of ours to exchange traffic with."""
        return bool(self.pairs) or any(card.to_host is not None for card in self.cards)

    @property
    def flowed(self) -> bool:
        """Whether every card with a far end of ours carried traffic."""
        judged: list[CardStory | PairStory] = [card for card in self.cards if card.to_host is not None]
        judged += self.pairs
        return bool(judged) and all(card.flowed for card in judged) and not self.complaints

    @property
    def good(self) -> bool:
        """Whether nothing that was tried failed, and no driver complained."""
        return self.flowed or not (self.tried or self.complaints)

    @property
    def verdict(self) -> str:
        """The last line."""
        if self.good and not self.tried:
            return "no traffic was tried: no far end is ours"
        return "traffic flowed" if self.flowed else "traffic did NOT flow"


COMPLAINT = re.compile(
    r"Detected Hardware Unit Hang|NETDEV WATCHDOG|Reset adapter|\bOops\b|\bBUG:|Call Trace"
)


def complaints(dmesg: str) -> tuple[str, ...]:
    """Return the lines of a kernel log that say a driver is not content."""
    return tuple(line for line in dmesg.splitlines() if COMPLAINT.search(line))


def around_complaints(dmesg: str, before: int = 12, after: int = 30) -> str:
    """Return a kernel log from ``before`` lines ahead of the first complaint: what led to it."""
    lines = dmesg.splitlines()
    first = next((at for at, line in enumerate(lines) if COMPLAINT.search(line)), len(lines))
    return "\n".join(lines[max(0, first - before) : first + after])


def fields(listing: str) -> dict[str, str]:
    """Read ``name: value`` lines, as ethtool prints them."""
    pairs = (line.split(":", 1) for line in listing.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def parse_ping(out: str) -> Ping:
    """Read ping's summary (iputils)."""
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    times = re.search(r"= [\d.]+/([\d.]+)/", out)
    if counts is None:
        return Ping(PINGS, 0, 0.0)
    return Ping(int(counts[1]), int(counts[2]), float(times[1]) if times else 0.0)


def interrupt_kind(table: str, *names: str) -> str:
    """Say how a device interrupts, from /proc/interrupts: how many vectors of which kind bear its names."""
    pattern = "|".join(rf"\b{re.escape(name)}\b" for name in names)
    lines = [line for line in table.splitlines() if re.search(pattern, line)]
    if not lines:
        return "no interrupts"
    kinds = (("MSI-X", r"MSI-?X"), ("MSI", r"PCI-MSI"), ("INTx", r"fasteoi|IO-APIC"))
    kind = next((name for name, pattern in kinds if re.search(pattern, lines[0])), "?")
    return f"{kind}, {len(lines)} vector{'s' if len(lines) > 1 else ''}"


def link_text(listing: dict[str, str]) -> str:
    """Say an interface's speed and duplex, from ``ethtool``'s listing; a virtual card may have neither."""
    digits = re.match(r"\d+", listing.get("Speed", ""))
    if digits is None:
        return "no speed told"
    speed = LEVELS.get(int(digits[0]), listing["Speed"])
    return f"{speed} {listing.get('Duplex', 'unknown').lower()} duplex"


def raise_link(guest: Guest, fitted: Fitted, interface: str) -> None:
    """Bring an interface up and wait for its link; a card without a cable never has one."""
    if parse_spec(fitted.spec.wire).kind == "none":
        guest.run(f"ip link set {interface} up", check=True)
    else:
        guest.wait_link(interface)


def observe_card(guest: Guest, fitted: Fitted, interface: str, say: Say = lambda _: None) -> CardStory:
    """Bring one card up, move traffic over it; return what was seen, each line told as it is known."""
    raise_link(guest, fitted, interface)
    about = fields(guest.run(f"ethtool -i {interface}", check=True).out)
    device = guest.run(f"basename $(readlink -f /sys/class/net/{interface}/device)", check=True).out.strip()
    address = configure(guest, interface, fitted.far_end)
    end = fitted.far_end
    told = Teller(say)
    card = CardStory(
        kind=fitted.spec.kind,
        engine=fitted.spec.engine if fitted.spec.kind == "82574l" else None,
        interface=interface,
        pci=about.get("bus-info", "?"),
        driver=about.get("driver", "?"),
        driver_version=about.get("version", "?"),
        firmware=about.get("firmware-version", ""),
        mac=guest.run(f"cat /sys/class/net/{interface}/address", check=True).out.strip(),
        speed=link_text(fields(guest.run(f"ethtool {interface}").out)),
        interrupts=interrupt_kind(guest.run("cat /proc/interrupts", check=True).out, interface, device),
        wire=fitted.spec.asked_wire or fitted.spec.wire,
        address=address,
    )
    told.rows(card_rows(card, whole=False))
    if end is not None and address is not None:
        if end.address is not None:  # passt may not send echoes where ping_group_range forbids it
            card = replace(card, ping=parse_ping(guest.run(f"ping -c {PINGS} -i 0.2 -W 5 {address}").out))
            told.rows(card_rows(card, whole=False))
        card = replace(card, to_host=transfer_to_host(guest, end, address))
        told.rows(card_rows(card, whole=False))
        card = replace(card, to_guest=transfer_to_guest(guest, end, address))
    counted = fitted.account() if fitted.account is not None else kernel_account(guest, interface)
    card = replace(card, account=counted)
    told.rows(card_rows(card))
    return card


class Teller:
    """Tells the lines of a list that grows, each once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told = 0

    def rows(self, rows: list[tuple[str, str]]) -> None:
        """Tell what is new."""
        for row in rows[self._told :]:
            self._say(row)
        self._told = len(rows)


def observe_pairs(
    guest: Guest, fitted: tuple[Fitted, ...], interfaces: list[str], say: Say
) -> tuple[PairStory, ...]:
    """Move traffic between two cards of the guest that are on one switch of ours."""
    found: list[PairStory] = []
    first: dict[str, str] = {}
    for one, interface in zip(fitted, interfaces, strict=True):
        spec = parse_spec(one.spec.wire)
        if spec.kind != "switch":
            continue
        near = first.pop(spec.arguments[0], None)
        if near is None:
            first[spec.arguments[0]] = interface
            continue
        pair = observe_pair(guest, near, interface, one.spec.asked_wire or one.spec.wire, len(found))
        say(("between", pair.text))
        found.append(pair)
    return tuple(found)


def observe_pair(guest: Guest, near: str, far: str, wire: str, number: int) -> PairStory:
    """Put the second card into a namespace of its own, ping it, and send it a file."""
    space, network = f"far{number}", f"10.83.{number}"
    inside = f"ip netns exec {space}"
    guest.run(
        f"ip netns add {space} && ip link set {far} netns {space} && {inside} ip link set lo up"
        f" && {inside} ip link set {far} up && {inside} ip address add {network}.2/24 dev {far}"
        f" && ip address add {network}.1/24 dev {near}",
        check=True,
    )
    guest.run(
        f'n=0; until [ "$({inside} cat /sys/class/net/{far}/carrier)" = 1 ] || [ $n -ge 100 ];'
        " do n=$((n+1)); sleep 0.1; done"
    )
    ping = parse_ping(guest.run(f"ping -c {PINGS} -i 0.2 -W 5 {network}.2").out)
    connect = CONNECT.format(f"{network}.2", PORT)
    moved = guest.run(
        f"head -c {TRANSFER_BYTES} /dev/urandom >/tmp/sent; ({inside} nc -l -p {PORT} >/tmp/got) & "
        f"s=$(cut -d' ' -f1 /proc/uptime); bash -c {shlex.quote(f'{connect}; cat /tmp/sent >&3')}; wait;"
        " echo \"$s $(cut -d' ' -f1 /proc/uptime)\"; sha256sum </tmp/sent; sha256sum </tmp/got",
        timeout_s=120,
    ).out.splitlines()
    guest.run(f"{inside} ip link set {far} netns 1; ip netns delete {space}")
    try:
        began, ended = map(float, moved[0].split())
        agrees = moved[1] == moved[2]
    except (IndexError, ValueError):
        return PairStory(near, far, wire, ping, 0.0, sha256_agrees=False)
    rate = TRANSFER_BYTES * 8 / max(ended - began, 0.01) / 1e6
    return PairStory(near, far, wire, ping, round(rate, 1), agrees)


def kernel_account(guest: Guest, interface: str) -> dict[str, int]:
    """Return the kernel's counters, for a card that keeps no account for us."""
    names = ("tx_packets", "tx_bytes", "rx_packets", "rx_bytes")
    script = "; ".join(f"cat /sys/class/net/{interface}/statistics/{name}" for name in names)
    values = guest.run(script, check=True).out.split()
    return dict(zip(names, map(int, values), strict=True))


def configure(guest: Guest, interface: str, end: FarEnd | None) -> str | None:
    """Give the interface its address; return the far end's, or None when nobody is known there."""
    if end is None:
        return None
    if end.address is not None:
        guest.run(f"ip address replace {end.guest_address} dev {interface}", check=True)
        return str(end.address.ip)
    guest.run(f"udhcpc -i {interface} -n -q -t 10 -T 1", timeout_s=60, check=True)
    route = guest.run(f"ip -4 route show default dev {interface}", check=True).out.split()
    return route[route.index("via") + 1] if "via" in route else None


def program(*arguments: object) -> list[str]:
    """Return the far end's program; isolated, since the namespace may be another user's."""
    return [sys.executable, "-I", str(Path(traffic.__file__).resolve()), *map(str, arguments)]


CONNECT = (
    "n=0; until exec 3<>/dev/tcp/{}/{}; do n=$((n+1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done 2>/dev/null"
)
"""bash's own sockets; the far end's program takes a moment until it listens."""


def over_tcp(address: str, command: str) -> str:
    """Return a script that runs ``command`` with a connection to the far end as descriptor 3."""
    return f"bash -c {shlex.quote(CONNECT.format(address, PORT) + '; ' + command)}"


def transfer_to_host(guest: Guest, end: FarEnd, address: str, size_bytes: int = TRANSFER_BYTES) -> Transfer:
    """Send a file from the guest and compare its digest at both ends."""
    prepared = guest.run(f"head -c {size_bytes} /dev/urandom >/tmp/sent && sha256sum /tmp/sent", check=True)
    number = end.peer.start(program("receive", PORT))
    guest.run(over_tcp(address, "dd bs=128k if=/tmp/sent >&3"), timeout_s=120)
    return judge(end, number, prepared.out, size_bytes)


def transfer_to_guest(guest: Guest, end: FarEnd, address: str, size_bytes: int = TRANSFER_BYTES) -> Transfer:
    """Send bytes to the guest and compare their digest at both ends."""
    number = end.peer.start(program("send", PORT, size_bytes, 82574))
    fetched = over_tcp(address, "dd bs=128k of=/tmp/got <&3")
    arrived = guest.run(f"{fetched}; sha256sum /tmp/got", timeout_s=120)
    return judge(end, number, arrived.out, size_bytes)


def judge(end: FarEnd, number: int, guest_digest: str, size_bytes: int) -> Transfer:
    """Compare what the far end's program says with the guest's digest."""
    try:
        finished = end.peer.finish(number, 120)
        said: dict[str, Any] = json.loads(finished.out) if finished.status == 0 else {}
    except (PeerError, json.JSONDecodeError):
        said = {}
    seconds = float(said.get("seconds", 0.0))
    size = int(said.get("bytes", 0))
    agrees = size == size_bytes and said.get("sha256") == guest_digest.split(" ", 1)[0].strip()
    rate = size * 8 / seconds / 1e6 if seconds else 0.0
    return Transfer(round(size / 1e6, 1), round(rate, 1), agrees)


def data(story: Story) -> dict[str, Any]:
    """Return the story as plain data."""
    return {**asdict(story), "flowed": story.flowed}


def head_rows(story: Story) -> list[tuple[str, str]]:
    """Return the lines about the machine."""
    return [
        ("qemu", f"{story.qemu}, {story.accelerator.upper()}: {story.reason}"),
        ("guest", f"Linux {story.kernel}, up in {story.boot_seconds:.1f} s"),
    ]


def rows(story: Story) -> list[tuple[str, str]]:
    """Return the story as labelled lines."""
    lines = head_rows(story)
    for card in story.cards:
        lines += card_rows(card)
    lines += [("between", pair.text) for pair in story.pairs]
    lines += [("complaint", line) for line in story.complaints]
    return lines


def card_rows(card: CardStory, *, whole: bool = True) -> list[tuple[str, str]]:
    """Return one card's lines; those of a card that is not looked through yet, unless it is ``whole``."""
    engine = f", {card.engine} engine" if card.engine else ""
    firmware = f", firmware {card.firmware}" if card.firmware else ""
    lines = [
        ("card", f"{card.kind}{engine}, {card.interface} at {card.pci}, {card.mac}"),
        ("driver", f"{card.driver} {card.driver_version}{firmware}"),
        ("link", f"{card.link}, {card.speed}; {card.interrupts}; wire {card.wire}"),
    ]
    if card.ping is not None:
        ping = card.ping
        lines.append(
            ("ping", f"{ping.received} of {ping.sent} from {card.address}, {ping.average_ms:.2f} ms")
        )
    if card.to_host is None and whole:
        lines.append(("traffic", "the far end of this wire is not ours: nothing was sent"))
    directions = (("TCP out", "guest to host", card.to_host), ("TCP in", "host to guest", card.to_guest))
    for label, way, moved in directions:
        if moved is not None:
            proof = "SHA-256 agrees" if moved.sha256_agrees else "SHA-256 DIFFERS"
            text = f"{moved.megabytes:.0f} MB {way} at {moved.mbit_per_s:.0f} Mbit/s, {proof}"
            lines.append((label, text))
    if card.account:
        told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in card.account.items())
        lines.append(("account", told))
    return lines


def line(row: tuple[str, str], *, colour: bool = False) -> str:
    """Return one labelled line for people."""
    bold, plain = ("\033[1m", "\033[0m") if colour else ("", "")
    return f"  {bold}{row[0]:<10}{plain} {row[1]}"


def text(story: Story, *, colour: bool = False) -> str:
    """Return the story for people."""
    return "\n".join([*(line(row, colour=colour) for row in rows(story)), last_line(story, colour=colour)])


def last_line(story: Story, *, colour: bool = False) -> str:
    """Return the verdict for people."""
    bold, plain = ("\033[1m", "\033[0m") if colour else ("", "")
    return f"{bold}{story.verdict}{plain}"
