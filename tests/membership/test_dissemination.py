"""Piggyback dissemination, SWIM §4.1."""

import pytest

from membership.dissemination import BroadcastQueue, transmit_limit


def take(queue: BroadcastQueue, room_bytes: int = 1000, limit: int = 3) -> list[bytes]:
    return queue.take(room_bytes=room_bytes, limit=limit, most=100)


@pytest.mark.parametrize(("live_members", "limit"), [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (1000, 16)])
def test_limit_is_mult_times_ceil_log10(live_members: int, limit: int) -> None:
    assert transmit_limit(4, live_members) == limit


def test_each_is_sent_as_often_as_the_limit_says() -> None:
    queue = BroadcastQueue()
    queue.put("a", b"aaaaa")
    assert [take(queue) for _ in range(4)] == [[b"aaaaa"]] * 3 + [[]]
    assert len(queue) == 0


def test_least_sent_goes_first_and_among_equals_the_newest() -> None:
    queue = BroadcastQueue()
    queue.put("old", b"old..")
    take(queue)
    queue.put("first", b"first")
    queue.put("second", b"secnd")
    assert take(queue, room_bytes=10) == [b"secnd", b"first"]
    queue.put("third", b"third")
    assert take(queue, room_bytes=5) == [b"third"]


def test_newer_replaces_older_about_the_same_subject() -> None:
    queue = BroadcastQueue()
    queue.put("a", b"older")
    take(queue)
    queue.put("a", b"newer")
    assert [take(queue) for _ in range(4)] == [[b"newer"]] * 3 + [[]]


def test_what_does_not_fit_waits_and_lets_smaller_ones_through() -> None:
    queue = BroadcastQueue()
    queue.put("small", b"s" * 10)
    queue.put("large", b"l" * 100)
    assert take(queue, room_bytes=50) == [b"s" * 10]
    assert take(queue, room_bytes=100) == [b"l" * 100]
