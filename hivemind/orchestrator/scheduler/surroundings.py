"""What gossip tells of the nodes and nobody has agreed: how busy they are, and how far from each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct


class Place(Protocol):
    """A place in the network (`membership.coordinates`)."""

    def distance_s(self, other: Any, /) -> float:
        """The estimated round trip to another of its kind, in seconds."""
        ...


class Surroundings(Struct, frozen=True, kw_only=True):
    """As it was when the plan began. Nodes of which nothing is known are left out.

    Attributes:
        busy: by node id, the share of its scarcest resource that is in use, from 0 to 1.
        places: by node id.
    """

    busy: Mapping[str, float] = {}
    places: Mapping[str, Place] = {}
