"""Misfortunes of played nodes, several at once, and changes by users in between; the draws are the world's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio
from msgspec import Struct

from consensus.commands import ChangeNodeLabels, SetMaintenance
from consensus.model.node import Taint
from tests.sim.orchestrator_world import Machinery, World

KINDS = ("power", "daemon", "restart", "pause", "drain")
TAINTS = [Taint("out", effect=effect) for effect in ("NoSchedule", "NoExecute")]


class Trouble(Struct, frozen=True, kw_only=True):
    """`times` are how often something happens, `per_s` how often in a second; a `changes` of them are changes.

    Attributes:
        kinds: of misfortunes; one that is there twice is twice as likely.
        at_once: at how many nodes, at most.
        longest_s: of a misfortune; longest_restart_s: of a restart, after which containers may still run.
    """

    times: int
    per_s: float
    changes: float
    kinds: Sequence[str] = KINDS
    at_once: int
    longest_s: float
    longest_restart_s: float

    async def run(self, world: World, change: Callable[[int], Awaitable[None]]) -> None:
        """Returns when all of it is over. `change` is told its number."""
        rng = world.rng
        async with trio.open_nursery() as troubles:
            busy: set[str] = set()

            async def disturb(node: Machinery) -> None:
                await self._disturb(world, node)
                busy.discard(node.id)

            for number in range(self.times):
                await trio.sleep(rng.expovariate(self.per_s))
                if rng.random() < self.changes:
                    await change(number)
                    continue
                # n0 leads, and stays.
                node = world.nodes[rng.choice(sorted(world.nodes)[1:])]
                if node.id not in busy and len(busy) < self.at_once:
                    busy.add(node.id)
                    troubles.start_soon(disturb, node)

    async def _disturb(self, world: World, node: Machinery) -> None:
        """One misfortune, and its end some time later."""
        rng = world.rng
        match rng.choice(self.kinds):
            case "power" | "daemon" as kind:
                node.stop(power=kind == "power")
                await trio.sleep(rng.uniform(0.5, self.longest_s))
                await node.start()
            case "restart":
                node.restart()
                await trio.sleep(rng.uniform(0.5, self.longest_restart_s))
                await node.start()
            case "pause":
                node.pause()
                await trio.sleep(rng.uniform(0.5, self.longest_s))
                await node.resume()
            case "taint":
                taint = rng.choice(TAINTS)
                await world.propose(ChangeNodeLabels(node.id, add_taints=[taint]))
                await trio.sleep(rng.uniform(1, self.longest_s))
                await world.propose(ChangeNodeLabels(node.id, remove_taints=[taint]))
            case "drain":
                await world.propose(SetMaintenance(node.id, enable=True, drain=True))
                await trio.sleep(rng.uniform(1, self.longest_s))
                await world.propose(SetMaintenance(node.id, enable=False))
