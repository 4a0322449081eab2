"""The timers of the core: values that come back when their time is over.

A timer is never cancelled. It carries what it was set for, and is ignored when that is over.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class ProbePeriod(Struct, frozen=True):
    """A protocol period ends and the next one begins."""


class DirectProbeTimeout(Struct, frozen=True):
    """The direct ack of this probe is overdue: ask others."""

    sequence: int


class RelayNack(Struct, frozen=True):
    """A member that we probe for another has not answered yet: say so."""

    sequence: int


class RelayExpiry(Struct, frozen=True):
    """The member that asked us to probe has stopped waiting."""

    sequence: int


class SuspicionTimeout(Struct, frozen=True):
    """A suspect has not refuted; `generation` counts the confirmations that moved the deadline."""

    name: str
    incarnation: int
    generation: int


class ProbeVerdict(Struct, frozen=True):
    """This probe's target was silent for the probe timeout: suspect it if all helpers have found the same."""

    sequence: int


class GossipTick(Struct, frozen=True):
    """Send queued news to a few members."""


class VitalsTick(Struct, frozen=True):
    """Send queued vitals to a few members."""


class PushPullTick(Struct, frozen=True):
    """Exchange state with one member."""


class SettleTick(Struct, frozen=True):
    """Exchange state once more, a moment after joining."""


class ReconnectTick(Struct, frozen=True):
    """Try one of the dead."""


class ContactRetry(Struct, frozen=True):
    """Ask a dead member, that a layer above has met, once more."""

    name: str


class ReapTick(Struct, frozen=True):
    """Forget the long dead."""


Timer: TypeAlias = (
    ProbePeriod
    | DirectProbeTimeout
    | RelayNack
    | RelayExpiry
    | SuspicionTimeout
    | ProbeVerdict
    | GossipTick
    | VitalsTick
    | PushPullTick
    | SettleTick
    | ReconnectTick
    | ContactRetry
    | ReapTick
)
