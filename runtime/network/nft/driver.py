"""Keeps the kernel's table as this node's replica says.

Each change is one transaction of what differs. Anybody may flush rules: now and then is looked whether the table is
there as it should be, and if it is not, all of it is put back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Set

import structlog
import trio
from msgspec import Struct

from consensus.machine import Machine
from consensus.state import State
from runtime.backoff import Backoff
from runtime.network.mesh import Mesh
from runtime.network.nft import traffic
from runtime.network.nft.bridge_filter import BridgeFilter
from runtime.network.nft.compiler import Compiler
from runtime.network.nft.errors import NftError
from runtime.network.nft.filter import LOG_GROUP, VERDICTS, PolicyId
from runtime.network.nft.nft import Nft
from runtime.network.nft.ruleset import IPV6, Command, Ruleset, changes, put_table, remove_table
from runtime.network.route_table import is_news

log = structlog.get_logger()


class PacketRulesConfig(Struct, frozen=True, kw_only=True):
    """Attributes:
    look_s: how often is looked whether the table is still there.
    look_at_bridge_s: the same for what the rules need of the bridge.
    """

    look_s: float = 2.0
    look_at_bridge_s: float = 10.0
    retry_first_s: float = 0.2
    retry_last_s: float = 5.0


class PacketRules:
    """
    Args:
        bridge: the containers' bridge.

    Attributes:
        problem: why the kernel does not have what it should; None while it has.
        counts: packets of new connections by (policy, verdict), as last read; they begin anew with the table.
    """

    def __init__(
        self,
        *,
        node_id: str,
        machine: Machine,
        mesh: Mesh,
        bridge: str,
        nft: Nft | None = None,
        config: PacketRulesConfig | None = None,
    ) -> None:
        self._machine = machine
        self._mesh = mesh
        self._bridge = BridgeFilter(bridge)
        self._nft = nft or Nft()
        self._config = config or PacketRulesConfig()
        self._compiler = Compiler(node_id)
        self._touched: set[str] = set()
        self._in_kernel: Ruleset | None = None
        self._in_kernel6: Ruleset | None = None
        self._seen_generation: int | None = None
        self._look_at_s = 0.0
        self._look_at_bridge_s = 0.0
        self._woken = trio.Event()
        self._scope = trio.CancelScope()
        self.problem: str | None = None
        self.counts: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Until cancelled; leaves the table in place, so that connections go on."""
        self._machine.on_touch(self._touch)
        self._touched |= set(self._machine.state.apps)
        backoff = Backoff(first_s=self._config.retry_first_s, last_s=self._config.retry_last_s)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(traffic.follow, LOG_GROUP)
                    nursery.start_soon(self._follow_state, self._machine.state)
                    nursery.start_soon(self._follow_mesh, self._mesh.proxied_changed)
                    nursery.start_soon(self._follow_mesh, self._mesh.taken_changed)
                    await self._keep(backoff)
        finally:
            self._machine.off_touch(self._touch)

    async def _keep(self, backoff: Backoff) -> None:
        while True:
            self._woken = trio.Event()
            try:
                await self._reconcile()
            except NftError as error:
                self._in_kernel = self._in_kernel6 = None
                self._tell(str(error))
                await trio.sleep(backoff.next_s())
                continue
            self._tell(await self._ensure_bridge())
            backoff.reset()
            with trio.move_on_at(self._look_at_s):
                await self._woken.wait()
            if trio.current_time() >= self._look_at_s:
                await self._look()
                self._look_at_s = trio.current_time() + self._config.look_s

    async def _ensure_bridge(self) -> str | None:
        anew = trio.current_time() >= self._look_at_bridge_s
        if anew:
            self._look_at_bridge_s = trio.current_time() + self._config.look_at_bridge_s
        return await self._bridge.ensure(anew=anew)

    async def remove(self) -> None:
        """Takes the table away, for good. Raises NftError."""
        self._scope.cancel()
        await self._nft.apply([*remove_table(), *(() if self._in_kernel6 is None else remove_table(IPV6))])

    def _touch(self, apps: Set[str]) -> None:
        self._touched |= apps

    async def _follow_state(self, seen: State) -> None:
        index = self._machine.watch.index
        while True:
            if is_news(seen, self._machine.state):
                seen = self._machine.state
                self._woken.set()
            index = await self._machine.watch.changed(index)

    async def _follow_mesh(self, changed: Callable[[], Awaitable[None]]) -> None:
        while True:
            await changed()
            self._woken.set()

    async def _look(self) -> None:
        if self._in_kernel is None:
            return
        try:
            await self._count()
            generation = await self._nft.generation()
            if generation == self._seen_generation:
                return
            there = await self._nft.chains()
        except NftError as error:
            self._tell(str(error))
            there = frozenset()
        wanted = {
            (ruleset.family.table, name)
            for ruleset in (self._in_kernel, self._in_kernel6)
            if ruleset is not None
            for name in ruleset.chains
        }
        if there != wanted:
            log.warning("packet_rules_were_changed", missing=len(wanted - there))
            self._in_kernel = self._in_kernel6 = None
        else:
            self._seen_generation = generation

    async def _count(self) -> None:
        found: Counter[str] = Counter()
        for known in (self._in_kernel, self._in_kernel6):
            if known is not None and known.counters:
                found.update(await self._nft.counters(known.family))
        by_counter = {
            PolicyId(name).counter(verdict): (name, verdict)
            for name in self._machine.state.network_policies
            for verdict in VERDICTS
        }
        self.counts = {by_counter[name]: packets for name, packets in found.items() if name in by_counter}

    async def _reconcile(self) -> None:
        touched, self._touched = self._touched, set()
        try:
            wanted = self._compiler.update(self._machine.state, touched, self._mesh.proxied, self._mesh.taken)
        except BaseException:
            self._touched |= touched
            raise
        if wanted is None:
            if self._in_kernel is not None:
                await self._nft.apply(remove_table())
                self._in_kernel = None
            return
        wanted6 = self._compiler.ruleset6 if self._compiler.ruleset6.chains or self._in_kernel6 else None
        commands = [*_commands(self._in_kernel, wanted), *(_commands(self._in_kernel6, wanted6) if wanted6 else ())]
        if commands:
            await self._nft.apply(commands)
            self._in_kernel, self._in_kernel6 = wanted, wanted6

    def _tell(self, problem: str | None) -> None:
        if problem != self.problem:
            (log.info if problem is None else log.warning)("packet_rules", problem=problem)
        self.problem = problem


def _commands(known: Ruleset | None, wanted: Ruleset) -> list[Command]:
    return put_table(wanted) if known is None else changes(known, wanted)
