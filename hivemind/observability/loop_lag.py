"""How long single steps hold the event loop: while one runs, every other task of the daemon waits."""

from __future__ import annotations

import math
import time

import trio
from msgspec import Struct

BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_CPU_READ_S = 0.002


class LagReport(Struct, frozen=True):
    """`steps_over` counts the steps that were longer than each of BUCKETS_S; `longest_task` names the worst one.

    `longest_cpu_s` is the most CPU time that a step took: what is ours of the longest, and not the kernel's, which
    may give the core to another process in the middle of a step. Up to 2 ms of it may be of steps just before.
    """

    longest_s: float
    longest_task: str
    longest_cpu_s: float
    longest_cpu_task: str
    steps_over: tuple[int, ...]


class LoopLag(trio.abc.Instrument):
    """A trio instrument. It costs a clock read for each step, and one for each wait of the loop: a step ends where the
    next begins, or the loop waits.

    The thread's CPU clock takes a call of the kernel, ten times as long: it is read for long steps, and at most every
    2 ms besides.

    It counts from `begin` on: making the parts of a daemon holds the loop while nobody waits for it yet.
    """

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._began_s = math.inf
        self._longest_s = 0.0
        self._longest_task = ""
        self._cpu_s = 0.0
        self._cpu_read_at_s = -math.inf
        self._longest_cpu_s = 0.0
        self._longest_cpu_task = ""
        self._over = [0] * len(BUCKETS_S)
        self._counts = False

    def begin(self) -> None:
        """From the next step on, steps count."""
        self._counts = True
        self._began_s = math.inf

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        now_s = time.perf_counter()
        if now_s - self._began_s > BUCKETS_S[0]:
            self._note(now_s - self._began_s)
        self._began_s, self._task = now_s, task
        if now_s - self._cpu_read_at_s > _CPU_READ_S:
            self._cpu_read_at_s = now_s
            self._cpu_s = time.thread_time()

    def before_io_wait(self, timeout: float) -> None:
        now_s = time.perf_counter()
        if now_s - self._began_s > BUCKETS_S[0]:
            self._note(now_s - self._began_s)
        self._began_s, self._task = math.inf, None

    def _note(self, step_s: float) -> None:
        """A long step of `_task` has ended."""
        if not self._counts or self._task is None:
            return
        for i, bound_s in enumerate(BUCKETS_S):
            if step_s > bound_s:
                self._over[i] += 1
        if step_s > self._longest_s:
            self._longest_s, self._longest_task = step_s, self._task.name
        cpu_s = min(step_s, time.thread_time() - self._cpu_s)
        if cpu_s > self._longest_cpu_s:
            self._longest_cpu_s, self._longest_cpu_task = cpu_s, self._task.name

    def report(self) -> LagReport:
        return LagReport(
            longest_s=self._longest_s,
            longest_task=self._longest_task,
            longest_cpu_s=self._longest_cpu_s,
            longest_cpu_task=self._longest_cpu_task,
            steps_over=tuple(self._over),
        )
