"""Clients that read and write at several nodes at once, and keep account of what they were told.

Registers are read and written for the check of linearizability; names are made once (made twice would be refused:
a doubled write) and some deleted (there again later: a doubled write, too).
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from tests.faults.history import History, Operation
from tests.faults.log_client import LogClient, Refused, Unknown
from tests.faults.log_cluster import LogCluster

KEYS = 3


@dataclass
class Account:
    """What clients were told. `wrong` says in words what must never happen."""

    created: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    accepted_at_s: list[float] = field(default_factory=list)
    reads: int = 0
    writes: int = 0
    unknown: int = 0
    refusals: int = 0

    def check_names(self, present: set[str], where: str) -> None:
        for name in self.created.keys() - self.unsure:
            if (name in present) == (name in self.deleted):
                was = "deleted and is there again" if name in self.deleted else "acknowledged and is lost"
                self.wrong.append(f"{name} was {was}, at {where}")
        self.wrong += [f"{name} was refused and is there, at {where}" for name in self.refused & present]

    def longest_pause_s(self, since_s: float, until_s: float) -> float:
        times = [since_s, *sorted(t for t in self.accepted_at_s if since_s <= t <= until_s), until_s]
        return max(after - before for before, after in itertools.pairwise(times))


class Workload:
    """Use `running` once for each round: every round has registers of its own, so that the search stays small."""

    def __init__(self, cluster: LogCluster, *, pause_s: float = 0.005, rng: random.Random | None = None) -> None:
        self.cluster = cluster
        self.account = Account()
        self.history = History()
        self._pause_s = pause_s
        self._rng = rng or random.Random(1)
        self._round = 0
        self._values = itertools.count()

    @asynccontextmanager
    async def running(self, clients_per_node: int = 2) -> AsyncIterator[None]:
        """Clients at every node until the block ends; each finishes what it began. Raises AssertionError."""
        self._round += 1
        self.history = History()
        keys = [f"r{self._round}-{number}" for number in range(KEYS)]
        for key in keys:
            await self._until_added(key)
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            for number, name in enumerate(self.cluster.names):
                for client in range(clients_per_node):
                    nursery.start_soon(self._client, name, f"{self._round}-{number}-{client}", keys, stop)
            yield
            stop.set()
        found = await trio.to_thread.run_sync(self.history.violations)
        self.account.wrong += [f"not linearizable: {violation}" for violation in found]

    async def _until_added(self, key: str) -> None:
        while True:
            for name in self.cluster.names:
                try:
                    await self.cluster.ask(name, "add_key", key)
                except (Refused, Unknown):
                    continue
                return
            await trio.sleep(0.1)

    async def _client(self, node: str, prefix: str, keys: list[str], stop: trio.Event) -> None:
        async with self.cluster.client(node, timeout_s=8) as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                key = self._rng.choice(keys)
                chance = self._rng.random()
                if chance < 0.45:
                    done = await self._read(client, node, key)
                elif chance < 0.85:
                    done = await self._write(client, node, key)
                else:
                    done = await self._create(client, node, f"{prefix}-{number}")
                with trio.move_on_after(self._pause_s if done else 0.1):
                    await stop.wait()

    async def _read(self, client: LogClient, node: str, key: str) -> bool:
        began_s = trio.current_time()
        try:
            value = await client("read", key)
        except (Refused, Unknown):
            return False
        self.history.add(key, Operation("read", value, began_s, trio.current_time(), node))
        self.account.reads += 1
        return True

    async def _write(self, client: LogClient, node: str, key: str) -> bool:
        value, began_s, ended_s = f"v{next(self._values)}", trio.current_time(), math.inf
        try:
            await client("write", key, value)
        except Refused:
            self.account.refusals += 1
            return False
        except Unknown:
            self.account.unknown += 1
        else:
            ended_s = trio.current_time()
            self.account.accepted_at_s.append(ended_s)
            self.account.writes += 1
        self.history.add(key, Operation("write", value, began_s, ended_s, node))
        return not math.isinf(ended_s)

    async def _create(self, client: LogClient, node: str, name: str) -> bool:
        account = self.account
        try:
            await client("create", name)
        except Unknown:
            account.unsure.add(name)
            account.unknown += 1
            return False
        except Refused as error:
            if "_Conflict" in str(error):
                account.wrong.append(f"{name} was made twice, at {node}: {error}")
            account.refused.add(name)
            account.refusals += 1
            return False
        account.created[name] = node
        account.accepted_at_s.append(trio.current_time())
        account.writes += 1
        if self._rng.random() < 0.3:
            try:
                await client("delete", name)
            except (Unknown, Refused) as error:
                if "_Conflict" in str(error):
                    account.wrong.append(f"{name} was deleted twice, or is lost, at {node}: {error}")
                account.unsure.add(name)
                return False
            account.deleted.add(name)
            account.writes += 1
        return True


async def check_cluster(workload: Workload) -> None:
    """All nodes up and level: the same state everywhere, with all that was acknowledged; one leader a term."""
    cluster, account = workload.cluster, workload.account
    await cluster.settle()
    seen = {}
    with trio.fail_after(30):
        while True:
            seen = {name: await cluster.ask(name, "local") for name in cluster.names}
            if len({state["index"] for state in seen.values()}) == 1:
                break
            await trio.sleep(0.1)
    first = next(iter(seen.values()))
    for name, state in seen.items():
        if state != first:
            account.wrong.append(f"the state of {name} differs")
        account.check_names(set(state["names"]), name)
    leaders: dict[int, set[str]] = {}
    for name, member in cluster.members.items():
        for term in re.findall(r"LEADERSHIP term=(\d+) leads=1", member.log_text()):
            leaders.setdefault(int(term), set()).add(name)
    account.wrong += [f"term {term} had the leaders {who}" for term, who in leaders.items() if len(who) > 1]
    assert not account.wrong, f"{len(account.wrong)} wrong: " + "\n".join(account.wrong[:10])
