"""Real daemons for tests: a cluster of `hivemind daemon` processes on loopback addresses of their own.

    with Cluster(nodes=3, data_dir=tmp_path) as cluster:
        with cluster.client(2) as client:
            client.get("/api/apps")
        cluster.node(1).kill9()
        cluster.wait_ready([2, 3])

`start` returns when every node is ready everywhere. Whatever a cluster started ends with `stop`, by its pid:
daemons, the shims of the process engine, and the containers that carry its labels. If we are killed, it ends with us.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.support import forked
from tests.support.addresses import free_addresses
from tests.support.forked import Forked
from tests.support.leftovers import end_leftovers
from tests.support.reaper import reap_after_us
from tests.support.waiting import wait_until

API_PORT = 4483
PEER_PORT = 7946
_STOP_TIMEOUT_S = 15.0
PROGRAM = (sys.executable, "-m", "hivemind")


class Node:
    """One daemon: number 1, 2, …; its data-dir and log outlive its process, so it can be started again."""

    def __init__(
        self, number: int, name: str, address: str, folder: Path, argv: Sequence[str], *, executed: bool = False
    ) -> None:
        self.number = number
        self.name = name
        self.address = address
        self.url = f"http://{address}:{API_PORT}"
        self.data_dir = folder / name
        self.log = folder / f"{name}.log"
        self.argv = [*argv, "--name", name, "--bind", address, "--advertise", address]
        self.argv += ["--data-dir", str(self.data_dir)]
        self._executed = executed
        self._process: Forked | subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the daemon; the same command each time, as an init system would."""
        assert not self.is_running(), f"{self.name} runs already"
        with self.log.open("ab") as log:
            output = log.fileno()
            if self._executed:
                self._process = forked.execute(self.argv, clean_environment(), stdout=output, stderr=output)
            else:
                self._process = forked.start(
                    self.argv, clean_environment(), stdout=output, stderr=output, server=self.number
                )

    def kill9(self) -> None:
        """kill -9, and wait for the end; what it ran (shims, containers) goes on."""
        self.signal(signal.SIGKILL)
        self.wait()

    def sigterm(self) -> int:
        """Ask it to end, and answer its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def sigstop(self) -> None:
        self.signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.wait(timeout_s)

    def log_tail(self, lines: int = 30) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End the process for good, however it is."""
        if self.is_running():
            self.sigcont()
            self.signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill9()


class Cluster:
    """`nodes` daemons; node 1 founds it. `options` go to every daemon, `node_options` to one by its number.

    They are forked (see `forked`) or, where a start or memory is measured, `executed`.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        nodes: int = 3,
        runtime: str = "process",
        docker_host: str | None = None,
        addresses: Sequence[str] | None = None,
        options: Sequence[str] = (),
        node_options: Mapping[int, Sequence[str]] | None = None,
        program: Sequence[str] = PROGRAM,
        executed: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        self.data_dir = data_dir
        self.timeout_s = timeout_s
        self.program = tuple(program)
        self._executed = executed
        self.admin_password = secrets.token_urlsafe(16)
        self.docker_host = docker_host
        # Names of its own: containers of clusters that share an engine are told apart by them.
        self.name = secrets.token_hex(3)
        self._release: Callable[[], None] | None = None
        data_dir.mkdir(parents=True, exist_ok=True)
        self._password_file = _write_secret(data_dir / "admin-password", self.admin_password)
        addresses = addresses or free_addresses(nodes, (API_PORT, PEER_PORT))
        common = [*program, "daemon", "--runtime", runtime, "--rate-limit", "off", *options]
        if docker_host is not None:
            common += ["--docker-host", docker_host]
        self.nodes = [
            self.make_node(number, address, [*common, *(node_options or {}).get(number, ())])
            for number, address in enumerate(addresses, 1)
        ]

    def make_node(self, number: int, address: str, argv: Sequence[str]) -> Node:
        """Node `number`, not started; where a node is more than a process of this machine, another kind of it."""
        name = f"node-{number}-{self.name}"
        return Node(number, name, address, self.data_dir, argv, executed=self._executed)

    def node(self, number: int) -> Node:
        return self.nodes[number - 1]

    def start(self) -> None:
        """Found the cluster at node 1, join the others, and wait until all are ready."""
        names = [node.name for node in self.nodes]
        ending = [sys.executable, "-m", "tests.support.leftovers", str(self.data_dir), self.docker_host or "", *names]
        self._release = reap_after_us(ending)
        founder = self.node(1)
        founder.argv += ["--admin-password-file", str(self._password_file)]
        founder.start()
        self.wait_ready([1])
        token_file = _write_secret(self.data_dir / "join-token", self.join_token())
        for node in self.nodes[1:]:
            node.argv += ["--join", f"{founder.address}:{PEER_PORT}", "--token-file", str(token_file)]
            node.start()
        self.wait_ready([node.number for node in self.nodes])

    def join_token(self) -> str:
        """What `hivemind cluster token` prints at node 1."""
        done = self.cli(1, "cluster", "token")
        assert done.returncode == 0, f"cluster token: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def cli(self, number: int, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `hivemind …` as the admin against a node."""
        environment = clean_environment()
        environment["HOME"] = str(self.data_dir)
        environment["HIVEMIND_SERVER"] = self.node(number).url
        environment["HIVEMIND_USERNAME"] = "admin"
        environment["HIVEMIND_PASSWORD"] = self.admin_password
        return forked.run_text([*self.program, *arguments], environment, timeout_s=timeout_s)

    def client(self, number: int, *, timeout_s: float = 10.0) -> httpx2.Client:
        """A client of a node with the admin's Basic credentials; close it (`with`)."""
        # Polling makes hundreds: a certificate store for each would take 30 ms of CPU.
        auth = ("admin", self.admin_password)
        return httpx2.Client(
            base_url=self.node(number).url, auth=auth, timeout=timeout_s, trust_env=False, verify=False
        )

    def async_client(self, number: int, *, timeout_s: float = 10.0) -> httpx2.AsyncClient:
        auth = ("admin", self.admin_password)
        return httpx2.AsyncClient(
            base_url=self.node(number).url, auth=auth, timeout=timeout_s, trust_env=False, verify=False
        )

    def wait_ready(self, numbers: Sequence[int], timeout_s: float | None = None) -> None:
        """Wait until each of these nodes answers, knows a leader, and sees all of these nodes ready."""
        wanted = {self.node(number).name for number in numbers}

        def ready() -> bool:
            for number in numbers:
                node = self.node(number)
                assert node.is_running(), f"{node.name} ended: {node.log_tail()}"
                if wanted - self.ready_nodes(number):
                    return False
            return True

        limit_s = timeout_s or self.timeout_s
        wait_until(ready, limit_s, f"nodes {sorted(wanted)} ready", errors=(httpx2.TransportError,), poll_s=0.1)

    def ready_nodes(self, number: int) -> set[str]:
        """The ids of the nodes that node `number` sees ready; empty while it is not healthy or has no leader."""
        with self.client(number) as client:
            if client.get("/api/health").status_code != 200:
                return set()
            answer = client.get("/api/nodes")
            if answer.status_code != 200 or not answer.headers.get("X-Hivemind-Leader"):
                return set()
            nodes: list[dict[str, Any]] = answer.json()["data"]["nodes"]
            return {node["id"] for node in nodes if node["status"] == "ready"}

    def log_tails(self, lines: int = 30) -> str:
        """The last lines of every daemon's log."""
        return "\n".join(f"==> {node.log} <==\n{node.log_tail(lines)}" for node in self.nodes)

    def stop(self) -> None:
        """End every daemon, shim and container of this cluster."""
        for node in self.nodes:
            if node.is_running():
                node.sigcont()
                node.signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()
        end_leftovers(self.data_dir, self.docker_host or "", [node.name for node in self.nodes])
        if self._release is not None:
            self._release()
            self._release = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.log_tails())
        self.stop()


def clean_environment() -> dict[str, str]:
    """Ours without any HIVEMIND_ setting: a daemon under test gets what its test gives it."""
    return {key: value for key, value in os.environ.items() if not key.startswith("HIVEMIND_")}


def _write_secret(path: Path, secret: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(secret + "\n")
    return path
