"""The NDIS protocol edge: what every transport does with NDIS, once.

A transport derives an ``EdgeLink`` (one binding to one adapter) and an ``EdgeDriver`` (all of them, with the
transport's turns and its timer), and says by ``Wanted`` which frames are its own. Several transports share a
card: each has its own open, packets and filter.
"""

from protocols.interfaces.edge.link import EdgeLink
from protocols.interfaces.edge.protocol import EdgeDriver
from protocols.interfaces.edge.wanted import Wanted

__all__ = ["EdgeDriver", "EdgeLink", "Wanted"]
