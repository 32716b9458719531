"""Wire specifications: ``KIND:ARGUMENT,option=value,…`` as the command line takes them.

It knows which kinds and options there are, and makes the wires; how each works is in its module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from device.wire.capture import CaptureFile, CaptureStage, link_to, near_framing, open_capture_wire
from device.wire.contract import WireError
from device.wire.dialing import AT_ONCE, Opening
from device.wire.impairment import Impairment, ImpairmentStage
from device.wire.netns import NetnsOptions, NetnsWire
from device.wire.packet import open_packet_wire
from device.wire.passt import PasstWire
from device.wire.pump import PumpedWire
from device.wire.simple import LoopbackWire, NoWire
from device.wire.sockets import DatagramWire, InheritedWire, StreamWire, parse_address
from device.wire.switch import SwitchWire
from device.wire.tap import OFFLOADS, TapWire

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.wire.contract import Wire
    from device.wire.stage import Stage

_T = TypeVar("_T")

_TIME_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_RATE_BPS: Final = {
    "bit": 1,
    "kbit": 10**3,
    "mbit": 10**6,
    "gbit": 10**9,
    "bps": 1,
    "kbps": 10**3,
    "mbps": 10**6,
    "gbps": 10**9,
}
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)")


@dataclass(frozen=True, slots=True)
class WireSpec:
    """A specification taken apart."""

    text: str
    kind: str
    arguments: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)


def _share(text: str) -> float:
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= value <= 1:
        raise ValueError("a share is 0% to 100%")
    return value


def _quantity(text: str, units: dict[str, int], what: str) -> int:
    match = _QUANTITY.fullmatch(text.lower())
    if match is None or match[2] not in units:
        raise ValueError(f"{what} is a number and one of {', '.join(units)}")
    return round(float(match[1]) * units[match[2]])


def _time_ns(text: str) -> int:
    return _quantity(text, _TIME_NS, "a time")


def _rate_bps(text: str) -> int:
    return _quantity(text, _RATE_BPS, "a rate")


def _count(text: str) -> int:
    value = int(text, 0)
    if value < 0:
        raise ValueError("a number is not negative")
    return value


_IMPAIRMENTS: Final[dict[str, tuple[str, Callable[[str], int | float]]]] = {
    "loss": ("loss", _share),
    "delay": ("delay_ns", _time_ns),
    "jitter": ("jitter_ns", _time_ns),
    "reorder": ("reorder", _share),
    "duplicate": ("duplicate", _share),
    "corrupt": ("corrupt", _share),
    "rate": ("rate_bps", _rate_bps),
    "seed": ("seed", _count),
    "limit": ("limit", _count),
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of wire: how many arguments, which options of its own, how it is made, an example."""

    arguments: int
    options: frozenset[str]
    make: Callable[[WireSpec, Opening], Wire]
    example: str


def _tap(spec: WireSpec, _opening: Opening) -> Wire:
    offload = spec.options.get("offload", "none")
    if offload not in OFFLOADS:
        raise WireError(f"{spec.text}: offload is one of {', '.join(OFFLOADS)}")
    return TapWire(spec.text, spec.arguments[0], spec.options.get("address", ""), offload)


def _stream(spec: WireSpec, opening: Opening) -> Wire:
    return StreamWire(spec.text, parse_address(spec.arguments[0], spec.text), opening=opening)


def _dgram(spec: WireSpec, opening: Opening) -> Wire:
    if "fd" in spec.options:
        return InheritedWire(spec.text, _converted(spec, "fd", _count))
    if len(spec.arguments) != 2:
        raise WireError(f"{spec.text}: needs two addresses, as in dgram:LOCAL,REMOTE; or dgram:fd=N")
    local, remote = (parse_address(one, spec.text) for one in spec.arguments)
    return DatagramWire(spec.text, local, remote, opening)


def _netns(spec: WireSpec, opening: Opening) -> Wire:
    own = spec.options
    base = NetnsOptions()
    cable = own.get("cable", base.cable)
    if cable not in ("auto", "tap", "veth"):
        raise WireError(f"{spec.text}: cable is one of auto, tap, veth")
    mtu = _converted(spec, "mtu", _count) if "mtu" in own else base.mtu_bytes
    address, address6 = own.get("address", base.address), own.get("address6", base.address6)
    rootless = own.get("userns", "auto") == "on"
    options = NetnsOptions(address, address6, mtu, cable, rootless)
    return NetnsWire(spec.text, options, started=opening.started)


def _passt(spec: WireSpec, _opening: Opening) -> Wire:
    mtu = _converted(spec, "mtu", _count) if "mtu" in spec.options else 1500
    return PasstWire(spec.text, spec.options.get("program", ""), mtu)


def _pcap(spec: WireSpec, opening: Opening) -> Wire:
    return open_capture_wire(spec.text, spec.arguments[0], started=opening.started)


def _packet(spec: WireSpec, opening: Opening) -> Wire:
    return open_packet_wire(spec.text, spec.arguments[0], started=opening.started)


def _switch(spec: WireSpec, opening: Opening) -> Wire:
    return SwitchWire(spec.text, spec.arguments[0], opening)


_NO_OPTIONS: Final[frozenset[str]] = frozenset()

KINDS: Final[dict[str, _Kind]] = {
    "tap": _Kind(1, frozenset({"address", "offload"}), _tap, "tap:NAME"),
    "stream": _Kind(1, _NO_OPTIONS, _stream, "stream:PATH"),
    "dgram": _Kind(2, frozenset({"fd"}), _dgram, "dgram:LOCAL,REMOTE"),
    "switch": _Kind(1, _NO_OPTIONS, _switch, "switch:NAME"),
    "pcap": _Kind(1, _NO_OPTIONS, _pcap, "pcap:FILE"),
    "loopback": _Kind(0, _NO_OPTIONS, lambda spec, _: LoopbackWire(spec.text), "loopback"),
    "none": _Kind(0, _NO_OPTIONS, lambda spec, _: NoWire(spec.text), "none"),
    "packet": _Kind(1, _NO_OPTIONS, _packet, "packet:IFNAME"),
    "netns": _Kind(0, frozenset({"address", "address6", "mtu", "cable", "userns"}), _netns, "netns"),
    "passt": _Kind(0, frozenset({"program", "mtu"}), _passt, "passt"),
}
"""Every kind of wire."""


def parse_spec(text: str) -> WireSpec:
    """Take a specification apart. Raises ``WireError``."""
    name, _, rest = text.partition(":")
    if "," in name:  # netns,loss=1%: a kind without an argument
        name, _, rest = text.partition(",")
    kind = KINDS.get(name)
    if kind is None:
        known = ", ".join(one.example for one in KINDS.values())
        raise WireError(f"{text!r}: no such kind of wire; use one of {known}")
    known_options = kind.options | _IMPAIRMENTS.keys() | {"pcap"}
    arguments: list[str] = []
    options: dict[str, str] = {}
    for item in rest.split(",") if rest else ():
        key, equals, value = item.partition("=")
        if not equals or "/" in key:
            arguments.append(item)
        elif key not in known_options or key in options:
            problem = "twice" if key in options else "not an option of this wire"
            raise WireError(f"{text}: {key}= is {problem}; it has {', '.join(sorted(known_options))}")
        else:
            options[key] = value
    wanted = kind.arguments if not (name == "dgram" and "fd" in options) else 0
    if len(arguments) != wanted or not all(arguments):
        raise WireError(f"{text}: expected {kind.example}, then options such as loss=1%")
    return WireSpec(text, name, tuple(arguments), options)


def impairment_of(spec: WireSpec) -> Impairment:
    """Return what the options ask the cable to do. Raises ``WireError``."""
    values = {
        name: _converted(spec, option, convert)
        for option, (name, convert) in _IMPAIRMENTS.items()
        if option in spec.options
    }
    return Impairment(**values)  # type: ignore[arg-type]  # each converter fits its field by the table


def _converted(spec: WireSpec, option: str, convert: Callable[[str], _T]) -> _T:
    try:
        return convert(spec.options[option])
    except ValueError as error:
        raise WireError(f"{spec.text}: {option}={spec.options[option]} is not understood: {error}") from error


def open_wire(spec: str, opening: Opening = AT_ONCE) -> Wire:
    """Open the wire that ``spec`` describes; the caller closes it. Raises ``WireError``.

    With impairment or ``pcap=FILE`` the wire is behind a pump, whose ``inner`` is the wire itself.
    """
    parsed = parse_spec(spec)
    impairment = impairment_of(parsed)
    inner = KINDS[parsed.kind].make(parsed, opening)
    stages: list[Stage] = []
    try:
        if "pcap" in parsed.options:
            stages.append(CaptureStage(CaptureFile(parsed.options["pcap"], spec)))
    except WireError:
        inner.close()
        raise
    if impairment or _IMPAIRMENTS.keys() & parsed.options.keys():  # loss=0%: it may come later
        stages.append(ImpairmentStage(impairment))
    if not stages:
        return inner
    return PumpedWire(
        spec, near_framing(inner.framing), link_to(inner), stages, inner=inner, started=opening.started
    )


def start(wire: Wire) -> None:
    """Start the threads of a wire that was opened without, those of the wires inside it too."""
    inner: Wire | None = wire
    while inner is not None:
        if isinstance(inner, PumpedWire | NetnsWire):
            inner.start()
        inner = getattr(inner, "inner", None)
