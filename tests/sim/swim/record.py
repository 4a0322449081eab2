"""What a simulation saw, and figures made of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import msgspec

from membership.member import MemberState
from membership.messages import UserEvent


class Sighting(msgspec.Struct, frozen=True):
    """At a time, one member came to believe something of another."""

    at_s: float
    observer: str
    subject: str
    state: MemberState


class EventSighting(msgspec.Struct, frozen=True):
    """At a time, one member heard a user event."""

    at_s: float
    observer: str
    event: UserEvent


class Detection(msgspec.Struct, frozen=True):
    """How a death became known, in seconds after it."""

    suspected_s: float
    """The first suspicion anywhere."""
    first_s: float
    """The first member that held it dead."""
    full_s: float
    """The last one."""


class FalsePositives(msgspec.Struct, frozen=True):
    """Deaths of members that lived and were not paused: one for each member that believed in each."""

    everywhere: int
    healthy: int
    """Those believed by members that were not paused themselves."""


class Recorder:
    """Everything that was sighted."""

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []
        self.events: list[EventSighting] = []
        self.deaths_seen = 0

    def saw(self, sighting: Sighting) -> None:
        """Keep it."""
        self.sightings.append(sighting)
        self.deaths_seen += sighting.state is MemberState.DEAD

    def detection(self, subject: str, since_s: float) -> Detection:
        """Of a subject that all have come to hold dead."""
        of_subject = [s for s in self.sightings if s.subject == subject and s.at_s >= since_s]
        suspected = [s.at_s - since_s for s in of_subject if s.state is MemberState.SUSPECT]
        dead = [s.at_s - since_s for s in of_subject if s.state is MemberState.DEAD]
        return Detection(min(suspected), min(dead), max(dead))

    def false_positives(self, *, ill: Collection[str], down: Collection[str] = ()) -> FalsePositives:
        """Of all that was seen so far."""
        false = [
            s for s in self.sightings if s.state is MemberState.DEAD and s.subject not in ill and s.subject not in down
        ]
        return FalsePositives(len(false), sum(s.observer not in ill for s in false))


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation between the nearest ranks; of nothing it is not a number."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float], unit: str = "s") -> str:
    """`p50 1.00 s, p99 2.00 s, max 2.00 s`."""
    shares = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    return ", ".join(f"{word} {percentile(values, share):.2f} {unit}" for word, share in shares)
