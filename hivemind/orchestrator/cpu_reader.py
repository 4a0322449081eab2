"""Reads the CPU counters of the apps that are scaled by their use, from the nodes that have them."""

from __future__ import annotations

from collections.abc import Callable

import trio

from consensus.state import State
from hivemind.orchestrator.autoscaling import Autoscaling, measured_tasks
from hivemind.orchestrator.deps import Deps

READ_TIMEOUT_S = 5.0


class CpuReader:
    """For one term. `wake` is called after each reading."""

    def __init__(self, deps: Deps, autoscaling: Autoscaling, interval_s: float, wake: Callable[[], None]) -> None:
        self._deps = deps
        self._autoscaling = autoscaling
        self._interval_s = interval_s
        self._wake = wake
        self._news = trio.Event()

    def look(self) -> None:
        """There may be such an app now."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; at rest while there is no such app."""
        machine = self._deps.machine
        while True:
            self._news = trio.Event()
            if not self._autoscaling.apps(machine.state):
                await self._news.wait()
                continue
            began_s = trio.current_time()
            await self._read(machine.state)
            self._autoscaling.look(machine.state, trio.current_time())
            self._wake()
            await trio.sleep(max(self._interval_s, trio.current_time() - began_s))

    async def _read(self, state: State) -> None:
        by_node: dict[str, list[str]] = {}
        for name in self._autoscaling.apps(state):
            for task in measured_tasks(state, state.apps[name]):
                if task.node_id is not None and state.nodes[task.node_id].holds_tasks:
                    by_node.setdefault(task.node_id, []).append(task.id)
        with trio.move_on_after(READ_TIMEOUT_S):
            async with trio.open_nursery() as nursery:
                for node_id, task_ids in by_node.items():
                    nursery.start_soon(self._ask, node_id, task_ids)

    async def _ask(self, node_id: str, task_ids: list[str]) -> None:
        readings = await self._deps.cpu_times(node_id, task_ids)
        self._autoscaling.use.note(readings, trio.current_time())
