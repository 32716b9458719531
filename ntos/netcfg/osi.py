"""The OSI map: which layers each component of the stack is in, and what it speaks above and below.

NT folds the seven layers into three (API, transport, NDIS); a trace of one request names every
component that it passed, and ``layers`` says where each belongs. The components themselves are declared with
their drivers (``ntos.netcfg.driver``).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Layer(enum.Enum):
    """A layer of ISO 7498-1, or one of IEEE 802's two sublayers of layer 2."""

    PHYSICAL = "1"
    MAC = "2 MAC"
    LLC = "2 LLC"
    NETWORK = "3"
    TRANSPORT = "4"
    SESSION = "5"
    PRESENTATION = "6"
    APPLICATION = "7"

    @property
    def number(self) -> int:
        """1 to 7; both sublayers are 2."""
        return int(self.value[0])


ORDER = {layer: height for height, layer in enumerate(Layer)}


@dataclass(frozen=True, slots=True)
class Component:
    """One component. ``upper`` and ``lower`` name its edges; ``source`` says who defines them.

    ``code`` is where it is: how the paths of its files begin, from the folder of its declaration on. None: it
    has no file of its own.
    """

    name: str
    layers: tuple[Layer, ...]
    upper: str
    lower: str
    source: str
    code: str | None = None

    @property
    def top(self) -> Layer:
        """The highest layer that it is in."""
        return max(self.layers, key=ORDER.__getitem__)

    @property
    def bottom(self) -> Layer:
        """The lowest layer that it is in."""
        return min(self.layers, key=ORDER.__getitem__)


class UnknownComponentError(KeyError):
    """A trace named a component that nobody has registered."""


class UpsideDownError(Exception):
    """A trace of a request on its way down went up."""

    def __init__(self, above: Component, below: Component) -> None:
        super().__init__(
            f"{below.name} ({below.top.value}) cannot be below {above.name} ({above.bottom.value})"
        )
        self.above = above
        self.below = below


class Registry:
    """Components by name."""

    def __init__(self, components: Iterable[Component] = ()) -> None:
        self._components: dict[str, Component] = {}
        for component in components:
            self.add(component)

    def __iter__(self) -> Iterator[Component]:
        """Walk the components, highest first."""
        return iter(sorted(self._components.values(), key=lambda c: -ORDER[c.top]))

    def __getitem__(self, name: str) -> Component:
        """Return a component; UnknownComponentError when there is none of that name."""
        try:
            return self._components[name]
        except KeyError:
            raise UnknownComponentError(name) from None

    def add(self, component: Component) -> None:
        """Register a component; a name is given once."""
        if component.name in self._components:
            raise ValueError(f"{component.name} is registered already")
        if not component.layers:
            raise ValueError(f"{component.name} is in no layer")
        self._components[component.name] = component

    def joins(self, above: str, below: str) -> bool:
        """Tell whether the lower edge of one is the upper edge of the other."""
        return self[above].lower == self[below].upper

    def annotate(self, hops: Iterable[str]) -> list[tuple[Component, str]]:
        """Return (component, layers) of each hop of a request on its way down.

        Raises UpsideDownError when a hop lies wholly above the one before it.
        """
        annotated: list[tuple[Component, str]] = []
        for name in hops:
            component = self[name]
            if annotated and ORDER[component.bottom] > ORDER[annotated[-1][0].top]:
                raise UpsideDownError(annotated[-1][0], component)
            layers = sorted(component.layers, key=lambda layer: -ORDER[layer])
            annotated.append((component, "/".join(layer.value for layer in layers)))
        return annotated

    def describe(self, hops: Iterable[str]) -> str:
        """Return a trace on one line: ``winsock(7/6/5) -> afd(5) -> tcp(4) -> ...``."""
        return " -> ".join(f"{c.name}({layers})" for c, layers in self.annotate(hops))
