"""Clients that write in a loop and keep account: what was acknowledged, what was refused, and what nobody knows.

Three kinds of writes, each of which shows an entry that was lost, applied twice, or applied again later:
volumes with names used once (409 for a fresh name: applied twice), of which every third is deleted (there again at
the end: applied later), deployments (their container ids are told once), and one app that is scaled up and down by
one writer only (each answer tells the number before, so a repeated scale shows in the next answer).
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import trio

from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

NOWHERE = "place=nowhere"
"""An affinity that no node satisfies: tasks are made and stay pending, so that only the log is at work."""
UNSURE = (503, 504)
ANSWERS = (200, 201)


@dataclass
class Ledger:
    """`acknowledged_at_s`: trio times. `violations` says in words what must never happen."""

    volumes: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    deletes_unsure: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    refused_503: set[str] = field(default_factory=set)
    apps: dict[str, list[str]] = field(default_factory=dict)
    replicas: dict[str, set[int]] = field(default_factory=dict)
    acknowledged_at_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def writes(self) -> int:
        return len(self.acknowledged_at_s)

    def longest_pause_s(self, start_s: float, end_s: float) -> float:
        """The longest time without any acknowledged write within the given time."""
        times = [start_s, *(t for t in self.acknowledged_at_s if start_s <= t <= end_s), end_s]
        return max(after - before for before, after in itertools.pairwise(times))


class Writers:
    """Starts writers into a ledger. `name` makes their names unique within the cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.ledger = Ledger()
        self._cluster = cluster
        self._name = name
        self._stop = trio.Event()

    def stop(self) -> None:
        self._stop.set()

    @asynccontextmanager
    async def running(self, node: int, *, volume_writers: int = 4) -> AsyncIterator[None]:
        """Writes at `node` until the block ends; each writer finishes what it began."""
        async with trio.open_nursery() as nursery:
            for number in range(volume_writers):
                nursery.start_soon(self._write_volumes, node, f"{self._name}-n{node}-w{number}")
            nursery.start_soon(self._write_apps, node, f"{self._name}-n{node}")
            nursery.start_soon(self._scale, node, f"{self._name}-n{node}-scaled")
            yield
            self._stop.set()

    async def _send(self, client: httpx2.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        """The answer, or None where nobody knows whether it was done."""
        try:
            answer = await client.request(method, path, json=body)
        except httpx2.TransportError as error:
            self.ledger.problems.append(f"{method} {path}: {error!r}")
            return None
        if answer.status_code in ANSWERS:
            self.ledger.acknowledged_at_s.append(trio.current_time())
        elif answer.status_code in UNSURE:
            self.ledger.problems.append(f"{method} {path}: {answer.status_code} {answer.json()['error']['message']}")
        return answer

    async def _write_volumes(self, node: int, prefix: str) -> None:
        ledger = self.ledger
        async with self._cluster.async_client(node, timeout_s=40) as client:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                name = f"{prefix}-{number}"
                answer = await self._send(client, "POST", "/api/volumes/create", {"name": name})
                if answer is None or answer.status_code in UNSURE:
                    ledger.unsure.add(name)
                    if answer is not None and answer.status_code == 503:
                        ledger.refused_503.add(name)
                elif answer.status_code == 201:
                    ledger.volumes[name] = int(answer.headers["X-Hivemind-Index"])
                    if number % 3 == 0:
                        await self._delete(client, name)
                else:
                    ledger.violations.append(f"creating {name} once was answered {answer.status_code}: {answer.text}")

    async def _delete(self, client: httpx2.AsyncClient, name: str) -> None:
        answer = await self._send(client, "DELETE", f"/api/volumes/{name}")
        if answer is None or answer.status_code in UNSURE:
            self.ledger.deletes_unsure.add(name)
        elif answer.status_code == 200:
            self.ledger.deleted.add(name)
        else:
            self.ledger.violations.append(f"deleting {name} once was answered {answer.status_code}: {answer.text}")

    async def _write_apps(self, node: int, prefix: str) -> None:
        ledger = self.ledger
        async with self._cluster.async_client(node, timeout_s=40) as client:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                name = f"{prefix}-app{number}"
                answer = await self._send(client, "POST", "/api/deploy", pending_app(name, 2))
                if answer is None or answer.status_code in UNSURE:
                    ledger.unsure.add(name)
                elif answer.status_code == 201:
                    ledger.apps[name] = answer.json()["data"]["container_ids"]
                else:
                    ledger.violations.append(f"deploying {name} once was answered {answer.status_code}: {answer.text}")
                await trio.sleep(0.05)

    async def _scale(self, node: int, name: str) -> None:
        """`possible` are the numbers that the app may have: more than one only after an answer that never came."""
        ledger = self.ledger
        async with self._cluster.async_client(node, timeout_s=40) as client:
            answer = await self._send(client, "POST", "/api/deploy", pending_app(name, 1))
            if answer is None or answer.status_code != 201:
                return
            possible = ledger.replicas[name] = {1}
            for number in itertools.count():
                if self._stop.is_set():
                    return
                wanted = 2 + number % 7
                answer = await self._send(client, "POST", "/api/scale", {"name": name, "replicas": wanted})
                if answer is None or answer.status_code in UNSURE:
                    possible.add(wanted)
                elif answer.status_code == 200:
                    before = answer.json()["data"]["previous_replicas"]
                    if before not in possible:
                        ledger.violations.append(f"{name} had {before} replicas, expected one of {possible}")
                    possible.clear()
                    possible.add(wanted)
                else:
                    ledger.violations.append(f"scaling {name} was answered {answer.status_code}: {answer.text}")
                await trio.sleep(0.02)


def pending_app(name: str, replicas: int) -> dict[str, Any]:
    """An app whose tasks are never placed."""
    return {"name": name, "image": "hivemind/whoami", "replicas": replicas, "node_affinity": NOWHERE}


def check(ledger: Ledger, client: httpx2.Client) -> None:
    """Compares a node's state (confirmed with the leader) with the ledger, and asserts that they agree."""
    volumes = set(_all(client, "volumes"))
    apps = _all(client, "apps")
    containers: dict[str, list[str]] = {}
    for task_id, task in _all(client, "containers", key="id").items():
        containers.setdefault(task["app"], []).append(task_id)
    wrong = list(ledger.violations)
    for name in ledger.volumes:
        if name in ledger.deleted:
            if name in volumes:
                wrong.append(f"volume {name} was deleted, and is there again")
        elif name not in ledger.deletes_unsure and name not in volumes:
            wrong.append(f"volume {name} was acknowledged at index {ledger.volumes[name]}, and is lost")
    wrong += [f"volume {name} was refused with 503, and is there" for name in ledger.refused_503 & volumes]
    for name, ids in ledger.apps.items():
        if name not in apps:
            wrong.append(f"app {name} was acknowledged, and is lost")
        elif sorted(containers.get(name, [])) != sorted(ids):
            wrong.append(f"app {name} has containers {containers.get(name)}, acknowledged were {ids}")
    for name, possible in ledger.replicas.items():
        if apps[name]["replicas"] not in possible:
            wrong.append(f"app {name} has {apps[name]['replicas']} replicas, expected one of {possible}")
    assert not wrong, f"{len(wrong)} of {ledger.writes} writes: " + "; ".join(wrong[:20])


def _all(client: httpx2.Client, noun: str, *, key: str = "name") -> dict[str, dict[str, Any]]:
    items: dict[str, dict[str, Any]] = {}
    offset: int | None = 0
    while offset is not None:
        data = _page(client, noun, offset)
        items |= {item[key]: item for item in data[noun]}
        offset = data["pagination"]["next_offset"]
    return items


def _page(client: httpx2.Client, noun: str, offset: int) -> dict[str, Any]:
    """Confirmed with the leader; a moment after a loss there may be none that can."""

    def answered() -> httpx2.Response | None:
        answer = client.get(f"/api/{noun}", params={"limit": 1000, "offset": offset, "consistent": "true"})
        return None if answer.status_code == 503 else answer

    answer = wait_until(answered, 30, f"a confirmed list of {noun}")
    assert answer is not None
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])
