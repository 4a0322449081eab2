"""Who is asked for an echo, and what is made of silence."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consensus.model.network import Encryption, OverlayMode
from runtime.network.overlay.plan import OverlayPlan, Peer
from runtime.network.overlay.reach import MISSES, NEIGHBOURS, Length, Reach, neighbours
from tests.runtime.network.overlay.test_links import plan_of


def _all(node_id: str) -> bool:
    return True


def _rounds(reach: Reach, plan: OverlayPlan, count: int, *answers: Length) -> None:
    for _ in range(count):
        for peer in reach.next_round(plan, _all):
            for length in answers:
                reach.answered((peer.node_id, length))


def test_silence_is_told_after_some_rounds_and_ends_with_the_first_answer() -> None:
    reach, plan = Reach(), plan_of(2)
    _rounds(reach, plan, MISSES)
    assert reach.problems(plan, 1450) == ()
    _rounds(reach, plan, 1)
    assert reach.problems(plan, 1450) == (
        "n2 does not answer through the overlay: is 4789/udp open between 10.0.0.2 and 10.0.0.3?",
    )
    reach.answered(("n2", Length.SHORT))
    assert reach.problems(plan, 1450) == (
        "packets of 1450 bytes do not reach n2 through the overlay: see to the MTU between 10.0.0.2 and 10.0.0.3",
    )
    _rounds(reach, plan, 1, *Length)
    assert reach.problems(plan, 1450) == ()


def test_one_lost_packet_now_and_then_is_nothing() -> None:
    reach, plan = Reach(), plan_of(2)
    for _ in range(5):
        _rounds(reach, plan, MISSES)
        _rounds(reach, plan, 1, *Length)
        assert reach.problems(plan, 1450) == ()


def test_what_was_missed_by_another_way_says_nothing() -> None:
    reach, plan = Reach(), plan_of(2)
    _rounds(reach, plan, MISSES)
    reach.begin_anew("n2")
    _rounds(reach, plan, MISSES)
    assert reach.problems(plan, 1450) == ()


def test_who_is_down_is_not_asked_and_not_complained_of() -> None:
    reach, plan = Reach(), plan_of(2)
    _rounds(reach, plan, MISSES + 1)
    assert reach.next_round(plan, lambda node_id: False) == []
    assert reach.problems(plan, 1450) == ()


@pytest.mark.parametrize(
    ("mode", "encryption", "words"),
    [
        (OverlayMode.HOST_GW, Encryption.OFF, "do packets from 10.244.0.0/24 pass between"),
        (OverlayMode.HOST_GW, Encryption.WIREGUARD, "is 51842/udp open between"),
    ],
)
def test_the_cause_is_the_ways_own(mode: OverlayMode, encryption: Encryption, words: str) -> None:
    reach, plan = Reach(), plan_of(2, mode, encryption)
    _rounds(reach, plan, MISSES + 1)
    assert words in reach.problems(plan, 1450)[0]


@given(st.sets(st.integers(0, 255), min_size=1, max_size=20))
def test_each_node_is_asked_by_as_many_as_it_asks(numbers: set[int]) -> None:
    subnets = [f"10.244.{number}.0/24" for number in sorted(numbers)]
    asked: Counter[str] = Counter()
    for own in subnets:
        peers = tuple(Peer(subnet, subnet, "10.0.0.1") for subnet in subnets if subnet != own)
        chosen = neighbours(replace(plan_of(1), subnet=own, peers=peers), _all)
        assert len(chosen) == min(NEIGHBOURS, len(subnets) - 1)
        asked.update(peer.node_id for peer in chosen)
    assert set(asked.values()) <= {min(NEIGHBOURS, len(subnets) - 1)}
