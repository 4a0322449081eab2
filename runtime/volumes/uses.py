"""Who uses a volume on this node, so that its data is never replaced under a container.

A container holds the directory that a volume had when it started. What starts one and what replaces a volume's data
ask here first, and the second of both is turned away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from runtime import labels
from runtime.engine.base import Engine
from runtime.engine.errors import EngineError
from runtime.volumes.errors import VolumeBusy, VolumeUnreachable

ALIVE = ("running", "paused", "restarting")


class VolumeUses:
    """`own`: the labels of this node's containers. `mounts` gives the names of the volumes that a task mounts."""

    def __init__(self, engine: Engine, own: Mapping[str, str], mounts: Callable[[str], Collection[str]]) -> None:
        self._engine = engine
        self._own = own
        self._mounts = mounts
        self._replaced: set[str] = set()
        self._starting: Counter[str] = Counter()

    @contextmanager
    def starting(self, names: Collection[str]) -> Iterator[None]:
        """While a container that mounts these is made or started. Raises VolumeBusy."""
        for name in names:
            if name in self._replaced:
                raise VolumeBusy(f"waits for volume {name!r}, which is being restored")
        self._starting.update(names)
        try:
            yield
        finally:
            self._starting.subtract(names)

    @contextmanager
    def replacing(self, name: str) -> Iterator[None]:
        """While the data of a volume is replaced: nothing that mounts it starts. `refuse_users` must come first."""
        self._replaced.add(name)
        try:
            yield
        finally:
            self._replaced.discard(name)

    async def refuse_users(self, name: str) -> None:
        """Within `replacing`. Raises VolumeBusy where a container has it or is about to; VolumeUnreachable."""
        try:
            found = await self._engine.list(self._own)
        except EngineError as error:
            raise VolumeUnreachable(f"the container engine does not answer: {error}") from error
        tasks = [state.labels.get(labels.TASK, "") for state in found if state.status in ALIVE]
        users = [task_id for task_id in tasks if name in self._mounts(task_id)]
        if users:
            raise VolumeBusy(f"volume {name!r} is used by {', '.join(users[:5])}: scale its apps to 0 first")
        if self._starting[name]:
            raise VolumeBusy(f"a container that uses volume {name!r} is being started")
