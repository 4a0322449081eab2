"""hivemind.observability.loop_lag: what is counted, and from when on."""

from __future__ import annotations

import time

import trio

from hivemind.observability.loop_lag import BUCKETS_S, LoopLag


async def hold(seconds: float) -> None:
    """One step of the loop that takes so long."""
    await trio.lowlevel.checkpoint()
    time.sleep(seconds)  # noqa: ASYNC251 (the very thing that is measured)
    await trio.lowlevel.checkpoint()


def test_steps_count_from_begin_on_and_the_longest_is_named() -> None:
    lag = LoopLag()

    async def main() -> None:
        await hold(0.15)
        lag.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, 0.03)

    trio.run(main, instruments=[lag])
    report = lag.report()
    assert 0.03 <= report.longest_s < 0.15
    assert report.longest_task.endswith("hold")
    assert report.steps_over[BUCKETS_S.index(0.02)] >= 1
    assert report.steps_over[BUCKETS_S.index(0.5)] == 0
    assert report.longest_cpu_s < 0.03, "a step that waits for the kernel takes no CPU time"


def test_nothing_is_told_before() -> None:
    lag = LoopLag()
    trio.run(hold, 0.02, instruments=[lag])
    assert lag.report().longest_s == 0
    assert lag.report().longest_task == ""
