"""Network coordinates (Vivaldi, SIGCOMM 2004; Serf's `coordinate`)."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership import lan
from membership.coordinates import PACKED_BYTES, Coordinate, Coordinates
from membership.messages import Ack


def converged(places_s: list[tuple[float, float]], *, heights_s: list[float], rounds: int) -> list[Coordinates]:
    """Members on a plane, each behind an access link, that measure each other at random."""
    rng = random.Random(7)
    members = [Coordinates(f"n{index}", rng) for index in range(len(places_s))]
    for _ in range(rounds):
        for index, member in enumerate(members):
            other = rng.choice([number for number in range(len(members)) if number != index])
            rtt_s = math.dist(places_s[index], places_s[other]) + heights_s[index] + heights_s[other]
            member.measured(f"n{other}", members[other].own_packed, rtt_s * rng.uniform(0.95, 1.05))
    return members


def test_distances_between_any_two_are_estimated_from_few_measurements() -> None:
    """Paper §5: the median relative error is small, also between pairs that a third member asks about."""
    rng = random.Random(3)
    places_s = [(0.08 * rng.random(), 0.08 * rng.random()) for _ in range(25)]
    heights_s = [0.002 * rng.random() for _ in places_s]
    members = converged(places_s, heights_s=heights_s, rounds=200)
    errors = []
    for one in range(1, 25):
        for other in range(one):
            estimated_s = members[0].distance_s(f"n{one}", f"n{other}")
            true_s = math.dist(places_s[one], places_s[other]) + heights_s[one] + heights_s[other]
            assert estimated_s is not None
            errors.append(abs(estimated_s - true_s) / true_s)
    assert sorted(errors)[len(errors) // 2] < 0.1


def test_one_late_ack_moves_nobody() -> None:
    members = converged([(0.0, 0.0), (0.02, 0.0), (0.0, 0.02)], heights_s=[0.001] * 3, rounds=100)
    before_s = members[0].distance_s("n0", "n1")
    members[0].measured("n1", members[1].own_packed, 5.0)
    after_s = members[0].distance_s("n0", "n1")
    assert before_s is not None
    assert after_s == pytest.approx(before_s, rel=0.3)


def test_the_unknown_and_the_forgotten_have_no_place() -> None:
    members = converged([(0.0, 0.0), (0.02, 0.0)], heights_s=[0.001] * 2, rounds=20)
    assert members[0].distance_s("n0", "n9") is None
    assert members[0].distance_s("n1", "n0") == members[0].distance_s("n0", "n1") == pytest.approx(0.022, rel=0.2)
    members[0].forget("n1")
    assert members[0].distance_s("n0", "n1") is None


@given(data=st.binary(max_size=PACKED_BYTES + 4), rtt_s=st.floats())
def test_nonsense_moves_nobody_to_nowhere(data: bytes, rtt_s: float) -> None:
    coordinates = Coordinates("me", random.Random(1))
    coordinates.measured("a", data, rtt_s)
    coordinates.measured("a", data.ljust(PACKED_BYTES, b"\0")[:PACKED_BYTES], rtt_s)
    assert Coordinate.unpacked(coordinates.own_packed) is not None


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e9])
@pytest.mark.parametrize("place", range(11))
def test_coordinates_that_no_sound_member_has_are_refused(bad: float, place: int) -> None:
    values = [0.01] * 11
    values[place] = bad
    assert Coordinate.unpacked(struct.pack("<11f", *values)) is None


def test_acks_carry_coordinates_and_move_who_asked(kit: Any) -> None:
    me = kit.Lone(lan())
    me.meet("a")
    from membership.inputs import TimerFired
    from membership.messages import Ping
    from membership.timers import ProbePeriod

    [(_, ping)] = kit.said(me.swim.handle(TimerFired(ProbePeriod()), 0.0), Ping)
    me.now_s = 0.05
    me.hear(Ack(ping.sequence, Coordinate(error=0.1).packed()), sender="a")
    distance_s = me.swim.coordinates.distance_s("me", "a")
    assert 0 < distance_s <= 0.05
    [(_, ack)] = kit.said(me.hear(Ping(1, "me"), sender="a"), Ack)
    assert ack.coordinate == me.swim.coordinates.own_packed != Coordinate().packed()
