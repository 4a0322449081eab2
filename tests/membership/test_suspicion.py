"""The dynamic suspicion timeout, Lifeguard §IV-B."""

import pytest

from membership import lan
from membership.suspicion import Suspicion, confirmations_wanted, shortest_suspicion_s


def suspicion(live_members: int = 10) -> Suspicion:
    return Suspicion(lan(), incarnation=1, accuser="a", live_members=live_members, started_s=100.0)


def test_starts_long_and_shrinks_to_the_shortest_with_independent_confirmations() -> None:
    running = suspicion()
    deadlines = [running.deadline_s]
    for accuser in ("b", "c"):
        assert running.confirm(accuser)
        deadlines.append(running.deadline_s)
    # min 4 s, max 24 s, k = 2: 24 - 20 · log(2)/log(3) after the first confirmation.
    assert deadlines == pytest.approx([124.0, 111.3814, 104.0], abs=1e-3)


def test_the_same_accuser_counts_once_and_those_after_k_not_at_all() -> None:
    running = suspicion()
    assert not running.confirm("a")
    assert running.confirm("b")
    assert not running.confirm("b")
    assert running.confirm("c")
    assert not running.confirm("d")


def test_without_enough_witnesses_the_shortest_holds_from_the_start() -> None:
    assert confirmations_wanted(lan(), 3) == 0
    assert suspicion(live_members=3).deadline_s == 104.0


@pytest.mark.parametrize(("live_members", "expected_s"), [(1, 4.0), (10, 4.0), (100, 8.0), (1000, 12.0)])
def test_the_shortest_grows_with_log_n(live_members: int, expected_s: float) -> None:
    assert shortest_suspicion_s(lan(), live_members) == pytest.approx(expected_s)
