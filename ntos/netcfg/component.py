"""Network components and their installation from an INF file into the registry.

Source: "INF DDInstall Section", "AddReg", "Specifying Binding Interfaces" (NDIS 5 and 6).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntos.netcfg.inf import InfError
from ntos.netcfg.registry import CLASS, EVENT_LOG, NETWORK, SERVICES, Registry, Value

if TYPE_CHECKING:
    from ntos.netcfg.inf import Inf, InfLine

RELEASE = (10, 0, 26100)
"""The system that we play: major, minor and build of Windows 11 24H2."""
_SZ, _BINARY, _MULTI, _EXPAND, _DWORD = 0, 1, 0x0001_0000, 0x0002_0000, 0x0001_0001
_APPEND, _DELETE = 0x08, 0x04
_TYPE_MASK = 0x0003_0001


class ComponentClass(enum.Enum):
    """The four setup classes of networking."""

    NET = "net"
    TRANSPORT = "nettrans"
    SERVICE = "netservice"
    CLIENT = "netclient"


class Characteristics(enum.IntFlag):
    """NCF_* of a component."""

    NONE = 0
    VIRTUAL = 0x01
    SOFTWARE_ENUMERATED = 0x02
    PHYSICAL = 0x04
    HIDDEN = 0x08
    NO_SERVICE = 0x10
    NOT_USER_REMOVABLE = 0x20
    HAS_UI = 0x80
    FILTER = 0x400
    DONTEXPOSELOWER = 0x1000
    NDIS_PROTOCOL = 0x4000
    LW_FILTER = 0x40000


class StartType(enum.IntEnum):
    """When the service control manager starts a service."""

    BOOT = 0
    SYSTEM = 1
    AUTO = 2
    DEMAND = 3
    DISABLED = 4


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a component, as its AddService section says."""

    name: str
    start: StartType = StartType.DEMAND
    group: str = ""
    depends: tuple[str, ...] = ()  # services, and +groups
    binary: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """One installed component.

    ``instance`` names it: a GUID for adapters, the service for others.
    """

    kind: ComponentClass
    identifier: str
    description: str
    instance: str
    service: str = ""
    upper: frozenset[str] = frozenset()
    lower: frozenset[str] = frozenset()
    characteristics: Characteristics = Characteristics.NONE
    services: tuple[Service, ...] = ()
    notify_class: str = ""
    media: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_adapter(self) -> bool:
        """Whether it is a network card, real or virtual."""
        return self.kind is ComponentClass.NET


def models(
    inf: Inf, platform: str = "ntamd64", release: tuple[int, int, int] = RELEASE
) -> list[tuple[str, str, str]]:
    """Return (description, install section, hardware id) of every model for a platform.

    Of a maker's sections only the one that fits best counts: for this architecture, and for the newest
    ``release`` (major, minor, build) that is not newer than ours.
    """
    found = []
    for maker in inf.section("Manufacturer"):
        base = maker.value(0) or maker.key
        fitting = [(_target(v, platform), v) for v in maker.values[1:]]
        ranked = [(rank, v) for rank, v in fitting if rank is not None and rank[1:] <= release]
        name = f"{base}.{max(ranked)[1]}" if ranked else base
        found += [(x.key, x.value(0), x.value(1)) for x in inf.section(name)]
    return found


def _target(decoration: str, platform: str) -> tuple[int, int, int, int] | None:
    """Rank ``NT[arch][.major[.minor[.product[.suite[.build]]]]]``; None when it is another architecture's.

    The rank is whether it names the architecture, and the release. Source: "INF Manufacturer Section".
    """
    # NT$ARCH$ is what the build stamps the platform over.
    name, *parts = decoration.strip().lower().replace("$arch$", platform[2:]).split(".")
    if name not in {platform, "nt"}:
        return None
    numbers = [int(part, 0) if part else 0 for part in [*parts, "", "", "", "", ""][:5]]
    return int(name == platform), numbers[0], numbers[1], numbers[4]


def install(
    inf: Inf,
    registry: Registry,
    identifier: str,
    instance: str = "",
    platform: str = "ntamd64",
) -> Component:
    """Install one model into the registry. Raises InfError when the file has no such model."""
    wanted = identifier.lower()
    rows = [row for row in models(inf, platform) if row[2].lower() == wanted]
    if not rows:
        raise InfError(f"no model {identifier} for {platform}")
    description, base, hardware_id = rows[0]
    section = _decorated(inf, base, platform)
    kind = _kind(inf)
    services = _services(inf, section, registry)
    ndi = _ndi_values(inf, section)
    service = _text(ndi, "ndi", "service") or (services[0].name if services else "")
    name = instance or service or hardware_id
    interfaces = "ndi\\interfaces"
    component = Component(
        kind,
        hardware_id,
        description,
        name,
        service,
        _range(_text(ndi, interfaces, "upperrange")),
        _range(_text(ndi, interfaces, "lowerrange")),
        _characteristics(inf, section),
        services,
        _text(ndi, "ndi", "clsid"),
        _range(_text(ndi, interfaces, "filtermediatypes")),
    )
    _write(registry, component, ndi)
    return component


def software_key(component: Component) -> str:
    """Return the key that HKR means: of the class for adapters, of the network for others."""
    base = CLASS if component.is_adapter else NETWORK
    return rf"{base}\{component.kind.value}\{component.instance}"


def _write(registry: Registry, component: Component, ndi: dict[tuple[str, str], Value]) -> None:
    base = software_key(component)
    registry.set(base, "ComponentId", component.identifier)
    registry.set(base, "Characteristics", int(component.characteristics))
    registry.set(base, "DriverDesc", component.description)
    for (key, name), value in ndi.items():
        registry.set(base + "\\" + key if key else base, name, value)


def _kind(inf: Inf) -> ComponentClass:
    line = inf.get("Version", "Class")
    try:
        return ComponentClass(line.value(0).lower() if line else "")
    except ValueError:
        raise InfError(f"class {line.value(0) if line else 'missing'} is no network class") from None


def _decorated(inf: Inf, base: str, platform: str) -> str:
    for suffix in (platform, "nt"):
        if inf.section(f"{base}.{suffix}"):
            return f"{base}.{suffix}"
    return base


def _characteristics(inf: Inf, section: str) -> Characteristics:
    line = inf.get(section, "Characteristics")
    return Characteristics(int(line.value(0), 0)) if line else Characteristics.NONE


def _range(text: str) -> frozenset[str]:
    names = (part.strip().lower() for part in text.split(","))
    return frozenset(n for n in names if n and n not in {"noupper", "nolower"})


def _text(values: dict[tuple[str, str], Value], key: str, name: str) -> str:
    for (k, n), value in values.items():
        if (k.lower(), n.lower()) == (key, name):
            return ", ".join(value) if isinstance(value, tuple) else str(value)
    return ""


def _ndi_values(inf: Inf, section: str) -> dict[tuple[str, str], Value]:
    """Collect what AddReg writes below HKR: (subkey, name) to value."""
    found: dict[tuple[str, str], Value] = {}
    for name in inf.all(section, "AddReg"):
        for line in inf.section(name):
            if line.value(0).upper() == "HKR":
                key, value = line.value(1), _value(line)
                if value is not None:
                    old = found.get((key, line.value(2)))
                    flags = int(line.value(3) or "0", 0)
                    if flags & _APPEND and isinstance(old, tuple) and isinstance(value, tuple):
                        value = old + tuple(v for v in value if v not in old)
                    found[key, line.value(2)] = value
    return found


def _value(line: InfLine) -> Value | None:
    flags = int(line.value(3) or "0", 0)
    data = line.values[4:]
    if flags & _DELETE and not data:
        return None
    kind = flags & _TYPE_MASK
    if kind == _DWORD:
        return int(data[0], 0) if data and data[0] else 0
    if kind == _MULTI:
        return tuple(d for d in data if d)
    if kind == _BINARY:
        return bytes(int(d, 16) for d in data if d)
    # A list for UpperRange is often written without quotes: it is one string with commas.
    return ", ".join(d for d in data if d) if len(data) > 1 else (data[0] if data else "")


def services(inf: Inf, platform: str = "ntamd64") -> tuple[Service, ...]:
    """Return the services of an INF file's first model, without installing anything."""
    (_description, base, _identifier), *_ = models(inf, platform)
    return tuple(service for service, _line in _service_lines(inf, _decorated(inf, base, platform)))


def _service_lines(inf: Inf, section: str) -> list[tuple[Service, InfLine]]:
    """Return what each AddService line of an install section declares."""
    found = []
    for line in inf.section(section + ".Services"):
        if line.key.lower() != "addservice" or not line.value(0):
            continue
        name, at = line.value(0), line.value(2)
        start = inf.get(at, "StartType")
        group = inf.get(at, "LoadOrderGroup")
        binary = inf.get(at, "ServiceBinary")
        service = Service(
            name,
            StartType(int(start.value(0), 0)) if start else StartType.DEMAND,
            group.value(0) if group else "",
            tuple(inf.all(at, "Dependencies")),
            binary.value(0) if binary else "",
        )
        found.append((service, line))
    return found


def _services(inf: Inf, section: str, registry: Registry) -> tuple[Service, ...]:
    found = []
    for service, line in _service_lines(inf, section):
        name, at, depends = service.name, line.value(2), service.depends
        found.append(service)
        key = rf"{SERVICES}\{name}"
        registry.set(key, "Start", int(service.start))
        registry.set(key, "Group", service.group)
        registry.set(key, "ImagePath", service.binary)
        registry.set(key, "DependOnService", tuple(d for d in depends if not d.startswith("+")))
        registry.set(key, "DependOnGroup", tuple(d[1:] for d in depends if d.startswith("+")))
        for where, at_key in ((at, key), (line.value(3), rf"{EVENT_LOG}\{name}")):
            for (subkey, value_name), value in _ndi_values(inf, where).items():
                registry.set(rf"{at_key}\{subkey}" if subkey else at_key, value_name, value)
    return tuple(found)
