"""This node's vitals: a few figures, sampled cheaply, gossiped to all, and kept for a while for its history."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import structlog
import trio
from msgspec import Struct

log = structlog.get_logger()

SAMPLE_S = 5.0
"""A sample costs about 0.2 ms; gossip takes about as long to reach everybody."""
HISTORY_LENGTH = 120
MAX_PACKED_BYTES = 256


class NodeVitals(Struct, frozen=True, kw_only=True, array_like=True):
    """One sample. Percentages are of the whole node; `load` is the mean of the last minute; `disk_*` is the
    filesystem of the data directory.

    Packed as an array: new fields go to the end, with a default, so that mixed versions understand each other.
    """

    timestamp_s: float = 0.0
    cpu_percent: float = 0.0
    load: float = 0.0
    cpu_count: int = 0
    memory_total_bytes: int = 0
    memory_available_bytes: int = 0
    disk_total_bytes: int = 0
    disk_available_bytes: int = 0
    container_count: int = 0

    @property
    def memory_percent(self) -> float:
        return _used_percent(self.memory_total_bytes, self.memory_available_bytes)

    @property
    def disk_percent(self) -> float:
        return _used_percent(self.disk_total_bytes, self.disk_available_bytes)

    @property
    def memory_used_bytes(self) -> int:
        return max(0, self.memory_total_bytes - self.memory_available_bytes)

    @property
    def disk_used_bytes(self) -> int:
        return max(0, self.disk_total_bytes - self.disk_available_bytes)


def pack(vitals: NodeVitals) -> bytes:
    """At most MAX_PACKED_BYTES, for gossip."""
    return msgspec.msgpack.encode(vitals)


def unpack(data: bytes) -> NodeVitals | None:
    """None where `data` is not vitals: it comes from another node, of perhaps another version."""
    if len(data) > MAX_PACKED_BYTES:
        return None
    try:
        return msgspec.msgpack.decode(data, type=NodeVitals)
    except msgspec.DecodeError:
        return None


def _used_percent(total: int, available: int) -> float:
    return round(100.0 * (total - available) / total, 1) if total > 0 else 0.0


class VitalsSampler:
    """Samples every `sample_s` and tells `publish` each sample, packed.

    Attributes:
        newest: the last sample, None before the first.
        history: the last `HISTORY_LENGTH` samples, oldest first.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        containers: Callable[[], int],
        publish: Callable[[bytes], None],
        sample_s: float = SAMPLE_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._data_dir = data_dir
        self._containers = containers
        self._publish = publish
        self._sample_s = sample_s
        self._now_s = now_s
        self.newest: NodeVitals | None = None
        self.history: deque[NodeVitals] = deque(maxlen=HISTORY_LENGTH)
        # The first answer of psutil is about nothing; the next is about the time since.
        psutil.cpu_percent(interval=None)

    def sample(self) -> NodeVitals:
        """Take a sample now. Reads three small files of the kernel; OSError where it cannot."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._data_dir))
        vitals = NodeVitals(
            timestamp_s=self._now_s(),
            cpu_percent=psutil.cpu_percent(interval=None),
            load=round(os.getloadavg()[0], 2),
            cpu_count=os.cpu_count() or 1,
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            disk_total_bytes=disk.total,
            disk_available_bytes=disk.free,
            container_count=self._containers(),
        )
        self.newest = vitals
        self.history.append(vitals)
        return vitals

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        task_status.started()
        while True:
            try:
                self._publish(pack(self.sample()))
            except OSError as error:
                log.warning("vitals_not_sampled", reason=str(error))
            await trio.sleep(self._sample_s)
