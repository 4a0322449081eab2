"""The sliding window against a dumb one that remembers every request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.ratelimit import SlidingWindow

WINDOW_S = 60.0


@given(limit=st.integers(1, 20), pauses_s=st.lists(st.floats(0, 30), max_size=200))
def test_never_more_than_twice_and_on_its_own_account_never_too_many(limit: int, pauses_s: list[float]) -> None:
    """The window before is taken as evenly spread, so a true window may see more, but never twice the limit."""
    window, now_s, passed = SlidingWindow(limit, WINDOW_S), 1000.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        budget = window.spend("k", now_s)
        if budget.allowed:
            passed.append(now_s)
        recent = [t for t in passed if t > now_s - WINDOW_S]
        assert len(recent) <= 2 * limit
        assert 0 <= budget.remaining < limit
        assert 0 < budget.reset_s <= WINDOW_S
        if not budget.allowed:
            assert budget.retry_after_s <= 2 * WINDOW_S


@given(limit=st.integers(1, 50), start_s=st.floats(0, 1000))
def test_after_the_told_time_it_is_allowed_again(limit: int, start_s: float) -> None:
    window, now_s = SlidingWindow(limit, WINDOW_S), start_s
    while (budget := window.spend("k", now_s)).allowed:
        pass
    assert window.spend("k", now_s + budget.retry_after_s + 0.001).allowed


def test_memory_is_bounded() -> None:
    window = SlidingWindow(1, WINDOW_S, max_keys=10)
    for i in range(1000):
        assert window.spend(str(i), 0.0).allowed
    assert not window.spend("999", 0.0).allowed
    assert window.spend("0", 0.0).allowed
