"""Network coordinates: an estimate of the round trip between any two members, though only few pairs ever measured it.

Vivaldi (Dabek, Cox, Kaashoek, Morris, SIGCOMM 2004) as in Serf's `coordinate`: members are points in a Euclidean space
with springs between them whose rest length is the measured round trip. With every ack a member moves a little along
its spring, more if it is unsure of its place and the other is sure. The *height* is the way from a member to the core
of the network, which every path pays. The *adjustment* (Ledlie, Gardner, Seltzer, NSDI 2007) corrects what the space
cannot express, and a pull towards the origin keeps all from drifting.
"""

from __future__ import annotations

import math
import struct
from collections import deque

import msgspec

from membership.randomness import Randomness

DIMENSIONS = 8
HEIGHT_MIN_S = 10e-6
ERROR_MAX = 1.5
"""The error of a member that knows nothing of its place."""
ERROR_GAIN = 0.25
MOVE_GAIN = 0.25
ADJUSTMENT_SAMPLES = 20
MEDIAN_SAMPLES = 3
"""Of so many round trips to one member the median counts: one late ack moves nobody."""
GRAVITY_RHO = 150.0
"""The pull to the origin, in seconds: weak within any real network."""
LONGEST_RTT_S = 10.0
ZERO_DISTANCE_S = 1e-6
"""The tuning constants are those of Serf's `coordinate/config.go`."""

_PACKED = struct.Struct(f"<{DIMENSIONS + 3}f")
PACKED_BYTES = _PACKED.size


class Coordinate(msgspec.Struct, frozen=True):
    """A place in the network; all but the error in seconds."""

    vector: tuple[float, ...] = (0.0,) * DIMENSIONS
    error: float = ERROR_MAX
    adjustment_s: float = 0.0
    height_s: float = HEIGHT_MIN_S

    def distance_s(self, other: Coordinate) -> float:
        """The estimated round trip between the two."""
        raw_s = self.raw_distance_s(other)
        adjusted_s = raw_s + self.adjustment_s + other.adjustment_s
        return adjusted_s if adjusted_s > 0 else raw_s

    def raw_distance_s(self, other: Coordinate) -> float:
        """The distance without the adjustments."""
        return math.dist(self.vector, other.vector) + self.height_s + other.height_s

    def packed(self) -> bytes:
        """44 bytes of single precision: a microsecond is all that an ack can tell anyway."""
        return _PACKED.pack(*self.vector, self.error, self.adjustment_s, self.height_s)

    @staticmethod
    def unpacked(data: bytes) -> Coordinate | None:
        """The reverse of `packed`, or None if this is no coordinate that a sound member could have."""
        if len(data) != PACKED_BYTES:
            return None
        *vector, error, adjustment_s, height_s = _PACKED.unpack(data)
        lengths = (*vector, adjustment_s, height_s)
        if not math.isfinite(sum(lengths)) or max(map(abs, lengths)) > LONGEST_RTT_S:
            return None
        if not (0 <= error <= ERROR_MAX and height_s > 0):
            return None
        return Coordinate(tuple(vector), error, adjustment_s, height_s)


class Coordinates:
    """Our own coordinate, and the last that we heard of each other member."""

    def __init__(self, own_name: str, rng: Randomness) -> None:
        self._own_name = own_name
        self._rng = rng
        self.own = Coordinate()
        self._own_packed = self.own.packed()
        self._others: dict[str, Coordinate] = {}
        self._round_trips: dict[str, deque[float]] = {}
        self._residuals: deque[float] = deque(maxlen=ADJUSTMENT_SAMPLES)

    @property
    def own_packed(self) -> bytes:
        """What our acks carry."""
        return self._own_packed

    def get(self, name: str) -> Coordinate | None:
        """The coordinate of a member, if it is known."""
        return self.own if name == self._own_name else self._others.get(name)

    def known(self) -> dict[str, Coordinate]:
        """All that are known, our own among them."""
        return {**self._others, self._own_name: self.own}

    def distance_s(self, one: str, other: str) -> float | None:
        """The estimated round trip between two members, or None while either's place is unknown."""
        here, there = self.get(one), self.get(other)
        return None if here is None or there is None else here.distance_s(there)

    def measured(self, name: str, packed: bytes, rtt_s: float) -> None:
        """An ack of `name` took so long and carried this coordinate; nonsense of either kind is ignored."""
        there = Coordinate.unpacked(packed)
        if there is None or not 0 <= rtt_s <= LONGEST_RTT_S:
            return
        self._others[name] = there
        round_trips = self._round_trips.setdefault(name, deque(maxlen=MEDIAN_SAMPLES))
        round_trips.append(rtt_s)
        usual_s = max(ZERO_DISTANCE_S, sorted(round_trips)[len(round_trips) // 2])
        self._approach(there, usual_s)
        self._adjust(there, usual_s)
        self._settle()
        packed = self.own.packed()
        if Coordinate.unpacked(packed) is None:
            # Coordinates that no one could use: forget them and find our place anew.
            self.own = Coordinate()
            packed = self.own.packed()
        self._own_packed = packed

    def forget(self, name: str) -> None:
        """Drop a member that is gone."""
        self._others.pop(name, None)
        self._round_trips.pop(name, None)

    def _approach(self, there: Coordinate, rtt_s: float) -> None:
        """The step of Vivaldi (figure 3 of the paper)."""
        distance_s = self.own.raw_distance_s(there)
        wrongness = abs(distance_s - rtt_s) / rtt_s
        weight = self.own.error / max(self.own.error + there.error, ZERO_DISTANCE_S)
        gain = ERROR_GAIN * weight
        error = min(ERROR_MAX, wrongness * gain + self.own.error * (1 - gain))
        self.own = msgspec.structs.replace(self.own, error=error)
        self._push(there, MOVE_GAIN * weight * (rtt_s - distance_s))

    def _adjust(self, there: Coordinate, rtt_s: float) -> None:
        self._residuals.append(rtt_s - self.own.raw_distance_s(there))
        adjustment_s = sum(self._residuals) / (2 * ADJUSTMENT_SAMPLES)
        self.own = msgspec.structs.replace(self.own, adjustment_s=adjustment_s)

    def _settle(self) -> None:
        origin = Coordinate()
        distance_s = origin.raw_distance_s(self.own)
        self._push(origin, -((distance_s / GRAVITY_RHO) ** 2))

    def _push(self, there: Coordinate, force_s: float) -> None:
        """Move away from `there`, or towards it if the force is negative."""
        apart = [mine - theirs for mine, theirs in zip(self.own.vector, there.vector, strict=True)]
        length_s = math.hypot(*apart)
        height_s = self.own.height_s
        if length_s > ZERO_DISTANCE_S:
            unit = [component / length_s for component in apart]
            height_s = max(HEIGHT_MIN_S, (height_s + there.height_s) * force_s / length_s + height_s)
        else:
            # Two at the same place part in a random direction.
            apart = [self._rng.random() - 0.5 for _ in range(DIMENSIONS)]
            length = math.hypot(*apart) or 1.0
            unit = [component / length for component in apart]
        vector = tuple(mine + force_s * part for mine, part in zip(self.own.vector, unit, strict=True))
        self.own = msgspec.structs.replace(self.own, vector=vector, height_s=height_s)
