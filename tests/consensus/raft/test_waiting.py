"""Sleeps that end early, and deadlines that cost nothing while they are kept."""

from __future__ import annotations

import math

import trio

from consensus.raft.waiting import Alarm, Deadlines


async def test_an_alarm_ends_by_itself_when_rung_or_sooner_than_planned(autojump_clock):
    alarm = Alarm()
    began_s = trio.current_time()
    await alarm.sleep(5)
    assert trio.current_time() == began_s + 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.sleep, 100)
        await trio.sleep(1)
        alarm.ring_within(3)
        alarm.ring_within(50)
    assert trio.current_time() == began_s + 9
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.sleep, 100)
        await trio.sleep(1)
        alarm.ring()
    assert trio.current_time() == began_s + 10


async def test_an_alarm_that_rang_before_the_sleep_ends_it_once(autojump_clock):
    alarm = Alarm()
    began_s = trio.current_time()
    alarm.ring()
    await alarm.sleep(5)
    assert trio.current_time() == began_s
    await alarm.sleep(5)
    assert trio.current_time() == began_s + 5


async def test_deadlines_end_what_is_not_over(autojump_clock):
    deadlines, events = Deadlines(), [trio.Event() for _ in range(3)]
    now_s = trio.current_time()
    for event, after_s in zip(events, (3, 1, 2), strict=True):
        deadlines.add(now_s + after_s, event)
    events[1].set()
    assert deadlines.expire() == 2
    await trio.sleep(2)
    assert deadlines.expire() == 1
    assert [event.is_set() for event in events] == [False, True, True]
    events[0].set()
    assert deadlines.expire() == math.inf


def test_deadlines_keep_nothing_that_is_over():
    deadlines = Deadlines()
    for number in range(1000):
        event = trio.Event()
        deadlines.add(number, event)
        event.set()
    assert len(deadlines._waiting) <= 1
