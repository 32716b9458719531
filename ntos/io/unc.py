r"""UNC providers: the redirectors that ``\\server\share`` may belong to, and which prefix is whose.

This is what the multiple UNC provider (``\Device\Mup``) works with; it asks nobody itself. A prefix, once
claimed, is remembered for a quarter of an hour after its last use. Source: FsRtlRegisterUncProvider,
"Support for UNC Naming and MUP".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from ntos.object.namespace import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN_NS = 900_000_000_000
"""How long an unused prefix is remembered: 15 minutes."""
MOST_PREFIXES = 1024
"""The least recently used prefix goes when there is one more."""
MOST_PROVIDERS = 64


@dataclass(frozen=True, slots=True)
class UncProvider:
    """A redirector: its device's name, and whether it takes mailslots."""

    device: str
    mailslots: bool = False


@dataclass(slots=True)
class _Prefix:
    provider: UncProvider
    used_ns: int


class UncProviders:
    """Who has registered, in the order of asking, and the prefix cache."""

    def __init__(self) -> None:
        self.providers: list[UncProvider] = []
        self._prefixes: dict[str, _Prefix] = {}
        """By folded prefix, the least recently used first."""

    def register(self, device: str, *, mailslots: bool = False) -> UncProvider:
        """FsRtlRegisterUncProvider: the last in order.

        NtError(OBJECT_NAME_COLLISION, INSUFFICIENT_RESOURCES).
        """
        if any(fold(one.device) == fold(device) for one in self.providers):
            raise NtError(NtStatus.OBJECT_NAME_COLLISION, device)
        if len(self.providers) >= MOST_PROVIDERS:
            raise NtError(NtStatus.INSUFFICIENT_RESOURCES, f"{MOST_PROVIDERS} providers")
        provider = UncProvider(device, mailslots)
        self.providers.append(provider)
        return provider

    def deregister(self, provider: UncProvider) -> None:
        """FsRtlDeregisterUncProvider: its prefixes are forgotten. NtError(NOT_FOUND)."""
        if provider not in self.providers:
            raise NtError(NtStatus.NOT_FOUND, provider.device)
        self.providers.remove(provider)
        self._prefixes = {name: one for name, one in self._prefixes.items() if one.provider != provider}

    def order(self, devices: Sequence[str]) -> None:
        """Ask the named ones first, in this order (the registry's ProviderOrder)."""
        rank = {fold(device): at for at, device in enumerate(devices)}
        self.providers.sort(key=lambda one: rank.get(fold(one.device), len(rank)))

    def claim(self, prefix: str, provider: UncProvider, now_ns: int) -> None:
        r"""Remember that ``\server\share`` is a provider's. NtError(NOT_FOUND): it has not registered."""
        if provider not in self.providers:
            raise NtError(NtStatus.NOT_FOUND, provider.device)
        self._prefixes.pop(fold(prefix), None)
        while len(self._prefixes) >= MOST_PREFIXES:
            del self._prefixes[next(iter(self._prefixes))]
        self._prefixes[fold(prefix)] = _Prefix(provider, now_ns)

    def find(self, path: str, now_ns: int) -> tuple[UncProvider, str] | None:
        """Return the provider of the longest known prefix of ``path``, and that prefix."""
        ends = [at for at, one in enumerate(path) if one == "\\" and at] + [len(path)]
        for end in reversed(ends[:8]):  # a server, a share, and what a DFS link may add
            key = fold(path[:end])
            known = self._prefixes.get(key)
            if known is None:
                continue
            del self._prefixes[key]
            if now_ns - known.used_ns > KNOWN_NS:
                continue
            known.used_ns = now_ns
            self._prefixes[key] = known
            return known.provider, path[:end]
        return None

    def forget(self, path: str) -> None:
        """Forget all prefixes of a path: the provider has said that it is not its own."""
        whole = fold(path) + "\\"
        for prefix in [one for one in self._prefixes if whole.startswith(one + "\\")]:
            del self._prefixes[prefix]
