"""A cluster of `log_node` processes, on loopback addresses of their own or on the hosts of a lab.

    async with LogCluster(tmp_path, 3) as cluster:
        async with cluster.client("n1") as client:
            await client("write", "key", "value")

Every process ends with the block, by its pid.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trio

from hivemind.peer.ca import ClusterCA, make_csr, make_key
from hivemind.peer.identity import Identity
from tests.faults.log_client import LogClient, Refused, Unknown
from tests.support.reaper import reap_after_us

_ROOT = Path(__file__).resolve().parents[2]
PEER_PORT, CLIENT_PORT = 7946, 7947


class Member:
    """One node; its files outlive its process."""

    def __init__(self, name: str, folder: Path, address: str, config: dict[str, Any]) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self.data_dir = Path(config["data_dir"])
        self.raft_dir = self.data_dir / "raft"
        self.config = config
        self.log = folder / f"{name}.log"
        self.config_path = folder / f"{name}.json"
        self.env: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.config_path.write_text(json.dumps(config))

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-m", "tests.faults.log_node", str(self.config_path)]

    def start(self) -> None:
        assert not self.running
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=_ROOT,
                env={**os.environ, **self.env, "PYTHONPATH": str(_ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            assert self.process is not None
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait(10)

    def terminate(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGTERM)
            self.process.wait(10)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def client(self, *, timeout_s: float = 10.0) -> LogClient:
        return LogClient(self.address, self.config["client_port"], timeout_s=timeout_s)


class LogCluster:
    """`size` voters n1…; `more` names further nodes that start as learners."""

    def __init__(
        self,
        folder: Path,
        size: int = 3,
        *,
        addresses: Sequence[str] | None = None,
        data_dirs: Mapping[str, Path] | None = None,
        **config: Any,
    ) -> None:
        self.folder = folder
        self._release: Callable[[], None] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"n{number}" for number in range(1, size + 1)]
        addresses = addresses or _loopback_addresses(size)
        self.ca = ca = ClusterCA.make("faults", now_s=time.time() - 100 * 86400)
        peers = {name: [address, PEER_PORT] for name, address in zip(names, addresses, strict=True)}
        self.members: dict[str, Member] = {}
        for name, address in zip(names, addresses, strict=True):
            data_dir = (data_dirs or {}).get(name, folder / name)
            data_dir.mkdir(exist_ok=True)
            key = make_key()
            certificate = ca.sign(make_csr(key, name), name, now_s=time.time() - 50 * 86400, lifetime_s=400 * 86400)
            Identity(name, "faults", key, certificate, (ca.certificate_pem,), bytes(32), b"keys").save(data_dir)
            about = {"data_dir": str(data_dir), "peers": peers, "client_host": address, "client_port": CLIENT_PORT}
            first = {"found": True} if name == "n1" else {"learn": ["n1"]}
            self.members[name] = self.make_member(name, address, about | first | config)

    def make_member(self, name: str, address: str, config: dict[str, Any]) -> Member:
        return Member(name, self.folder, address, config)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    @property
    def names(self) -> list[str]:
        return list(self.members)

    def client(self, name: str, *, timeout_s: float = 10.0) -> LogClient:
        return self[name].client(timeout_s=timeout_s)

    async def ask(self, name: str, operation: str, *arguments: Any, timeout_s: float = 5.0) -> Any:
        """One request on a connection of its own. Raises Refused, Unknown."""
        try:
            async with self.client(name, timeout_s=timeout_s) as client:
                return await client(operation, *arguments)
        except BaseExceptionGroup as group:
            matched, rest = group.split((Refused, Unknown))
            if matched is None or rest is not None:
                raise
            raise _first(matched) from None

    async def start(self, voters: int | None = None) -> None:
        """Found at n1, join the others, and make them voters one by one."""
        names = self.names
        self._release = reap_after_us([sys.executable, "-m", "tests.support.leftovers", str(self.folder), ""])
        for name in names:
            self[name].start()
        for name in names[1 : voters or len(names)]:
            await self.add_voter(name)
        if len(names) > 1:
            await self.leader(wait_s=30)

    async def add_voter(self, name: str, within_s: float = 60) -> None:
        """Retry until the node is caught up and votes."""
        with trio.fail_after(within_s):
            while True:
                leader = await self.leader(wait_s=within_s)
                try:
                    if name in (await self.ask(leader, "status"))["voters"]:
                        return
                    if await self.ask(leader, "caught_up", name):
                        await self.ask(leader, "add_voter", name)
                except (Refused, Unknown):
                    pass
                await trio.sleep(0.05)

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """Of all that answer."""
        found: dict[str, dict[str, Any]] = {}

        async def look(name: str) -> None:
            with suppress(Refused, Unknown):
                found[name] = await self.ask(name, "status", timeout_s=1.0)

        async with trio.open_nursery() as nursery:
            for name, member in self.members.items():
                if member.running:
                    nursery.start_soon(look, name)
        return found

    async def leader(self, wait_s: float = 20) -> str:
        """The leader of the newest term, once there is one."""
        with trio.fail_after(wait_s):
            while True:
                leaders = [(s["term"], name) for name, s in (await self.statuses()).items() if s["is_leader"]]
                if leaders:
                    return max(leaders)[1]
                await trio.sleep(0.02)

    async def settle(self, within_s: float = 60) -> None:
        """Start whoever is down, and wait until all have what the leader has committed."""
        for member in self.members.values():
            if not member.running:
                member.start()
        with trio.fail_after(within_s):
            while True:
                statuses = await self.statuses()
                leaders = [s for s in statuses.values() if s["is_leader"]]
                if len(statuses) == len(self.members) and len(leaders) == 1:
                    low = min(s["applied"] for s in statuses.values())
                    if low >= leaders[0]["commit"] and low >= max(s["applied"] for s in statuses.values()):
                        return
                for member in self.members.values():
                    assert member.running, f"{member.name} ended: {member.log_text()[-1500:]}"
                await trio.sleep(0.05)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.kill()
        if self._release is not None:
            self._release()
            self._release = None


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _loopback_addresses(count: int) -> list[str]:
    """Addresses of 127.0.0.0/8 at which nobody listens."""
    found: list[str] = []
    while len(found) < count:
        address = f"127.{random.randrange(80, 250)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        with socket.socket() as probe:
            try:
                probe.bind((address, PEER_PORT))
            except OSError:
                continue
        found.append(address)
    return found
