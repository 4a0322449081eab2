"""Who is sent to without the tunnel: only who answers by the direct way."""

from __future__ import annotations

from runtime.network.overlay.direct import AT_ONCE, MISSES, Direct
from runtime.network.overlay.plan import Peer


def peers(count: int) -> list[Peer]:
    return [Peer(f"n{number:03}", f"10.244.{number}.0/24", f"10.0.0.{number}") for number in range(count)]


def everybody(node_id: str) -> bool:
    return True


def test_who_answers_is_reached_until_answers_stay_away() -> None:
    direct, (near,) = Direct(), peers(1)
    assert direct.next_round([near], everybody) == [near]
    assert not direct.reached
    direct.answered(near.node_id)
    assert direct.reached == {near.node_id}
    for _ in range(MISSES):
        direct.next_round([near], everybody)
        assert direct.reached == {near.node_id}
    direct.next_round([near], everybody)
    assert not direct.reached
    direct.answered(near.node_id)
    assert direct.reached == {near.node_id}


def test_an_answer_between_misses_begins_anew() -> None:
    direct, (near,) = Direct(), peers(1)
    for _ in range(4):
        direct.next_round([near], everybody)
        direct.answered(near.node_id)
        for _ in range(MISSES):
            direct.next_round([near], everybody)
    assert direct.reached == {near.node_id}


def test_nothing_is_concluded_of_who_need_not_answer_or_was_not_asked() -> None:
    direct, near = Direct(), peers(2)
    direct.adopt([near[0].node_id, "gone"])
    direct.answered(near[1].node_id)
    for _ in range(2 * MISSES):
        assert direct.next_round(near, lambda node_id: node_id != near[0].node_id) == [near[1]]
    assert direct.reached == {near[0].node_id}


def test_all_have_their_turn_and_the_doubtful_come_first() -> None:
    direct, near = Direct(), peers(3 * AT_ONCE)
    asked: set[str] = set()
    for _ in range(3):
        for peer in direct.next_round(near, everybody):
            asked.add(peer.node_id)
            direct.answered(peer.node_id)
    assert asked == direct.reached == {peer.node_id for peer in near}
    silent = {peer.node_id for peer in direct.next_round(near, everybody)}
    for _ in range(MISSES - 1):
        assert {peer.node_id for peer in direct.next_round(near, everybody)} == silent
    direct.next_round(near, everybody)
    assert direct.reached == asked - silent
