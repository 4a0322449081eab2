"""What a task uses, summed over its processes by psutil, in worker threads."""

from __future__ import annotations

import time

import anyio
import anyio.to_thread
import psutil
from msgspec import Struct

from runtime.engine.base import ContainerStats, CpuTime

_FIRST_INTERVAL_S = 0.25
_OLDEST_S = 60.0


class Usage(Struct, frozen=True):
    """CPU seconds, resident memory and disk bytes of a process tree at a moment (monotonic seconds)."""

    at_s: float
    cpu_s: float
    memory_bytes: int
    read_bytes: int
    write_bytes: int


def tree_usage(shim_pid: int) -> Usage:
    """Of all processes below the shim. Memory that they share counts for each of them."""
    cpu_s, memory_bytes, read_bytes, write_bytes = 0.0, 0, 0, 0
    try:
        processes = psutil.Process(shim_pid).children(recursive=True)
    except psutil.NoSuchProcess:
        processes = []
    for process in processes:
        try:
            with process.oneshot():
                times = process.cpu_times()
                cpu_s += times.user + times.system + times.children_user + times.children_system
                memory_bytes += process.memory_info().rss
            io = process.io_counters()
            read_bytes += io.read_bytes
            write_bytes += io.write_bytes
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return Usage(time.monotonic(), cpu_s, memory_bytes, read_bytes, write_bytes)


class UsageMeter:
    """CPU use since the last sample of the same run, or over a quarter second where there is none."""

    def __init__(self) -> None:
        self._last: dict[int, Usage] = {}

    async def sample(self, shim_pid: int, memory_limit_bytes: int | None) -> ContainerStats:
        """One sample. Network use is None: processes of the machine share its network."""
        before = self._last.get(shim_pid)
        if before is None or not _FIRST_INTERVAL_S <= time.monotonic() - before.at_s <= _OLDEST_S:
            before = await anyio.to_thread.run_sync(tree_usage, shim_pid)
            await anyio.sleep(_FIRST_INTERVAL_S)
        now = await anyio.to_thread.run_sync(tree_usage, shim_pid)
        oldest_s = now.at_s - _OLDEST_S
        self._last = {pid: usage for pid, usage in self._last.items() if usage.at_s > oldest_s}
        self._last[shim_pid] = now
        return ContainerStats(
            timestamp_s=time.time(),
            cpu_percent=max(0.0, (now.cpu_s - before.cpu_s) / (now.at_s - before.at_s) * 100),
            memory_bytes=now.memory_bytes,
            memory_limit_bytes=memory_limit_bytes,
            network_rx_bytes=None,
            network_tx_bytes=None,
            block_read_bytes=now.read_bytes,
            block_write_bytes=now.write_bytes,
        )

    async def cpu_time(self, shim_pid: int) -> CpuTime:
        """The counter, and when it was read."""
        usage = await anyio.to_thread.run_sync(tree_usage, shim_pid)
        return CpuTime(time.time(), usage.cpu_s)
