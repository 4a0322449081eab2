"""When a request is tried again, where, and after how long."""

from __future__ import annotations

import random

import pytest

from hivemind.client.failover import LONGEST_PAUSE_S, Attempts, Failure, Servers

REFUSED, BROKEN, BUSY = Failure.REFUSED, Failure.BROKEN, Failure.BUSY


def _attempts(servers: int = 1, retry_for_s: float = 10.0) -> Attempts:
    return Attempts(servers, retry_for_s, random.Random(1))


def test_servers_take_turns() -> None:
    servers = Servers(["http://a:1/", "http://b:1/api", "http://a:1"])
    assert servers.urls == ("http://a:1", "http://b:1")
    servers.leave("http://a:1")
    servers.leave("http://a:1")  # another request failed at the same server
    assert servers.current == "http://b:1"
    servers.leave("http://b:1")
    assert servers.current == "http://a:1"


def test_there_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one server"):
        Servers([])


def test_where_nobody_listens_there_is_nothing_to_wait_for() -> None:
    attempts = _attempts(servers=3)
    assert [attempts.pause_s(REFUSED, 0.0) for _ in range(3)] == [0.0, 0.0, None]


def test_a_server_that_was_there_is_waited_for() -> None:
    """It may be restarting: broken first, then refused."""
    attempts = _attempts()
    assert attempts.pause_s(BROKEN, 0.0) is not None
    assert attempts.pause_s(REFUSED, 1.0) is not None
    assert attempts.pause_s(REFUSED, 10.0) is None


def test_the_other_servers_are_tried_before_any_pause() -> None:
    attempts = _attempts(servers=3)
    assert [attempts.pause_s(BROKEN, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert attempts.pause_s(BROKEN, 0.0) not in (0.0, None)


def test_the_time_counts_from_the_first_failure() -> None:
    attempts = _attempts(retry_for_s=5.0)
    assert attempts.pause_s(BUSY, 100.0) is not None
    assert attempts.pause_s(BUSY, 104.0) is not None
    assert attempts.pause_s(BUSY, 105.0) is None


def test_no_retries_where_none_are_wanted() -> None:
    assert _attempts(retry_for_s=0.0).pause_s(BUSY, 0.0) is None


def test_the_server_says_when_to_come_again() -> None:
    assert _attempts().pause_s(BUSY, 0.0, retry_after_s=3.0) == 3.0
    assert _attempts().pause_s(BUSY, 0.0, retry_after_s=60.0) is None


def test_pauses_grow_and_are_bounded() -> None:
    attempts = _attempts(retry_for_s=1e6)
    pauses = [attempts.pause_s(BUSY, 0.0) or 0.0 for _ in range(30)]
    assert max(pauses) <= LONGEST_PAUSE_S
    assert pauses[0] <= 0.1 < max(pauses[10:])
