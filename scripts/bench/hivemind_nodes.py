"""A Hivemind daemon on every host of a lab, with the host's own engine."""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.process import HostProcess
from tests.support.cluster import API_PORT, clean_environment

_ROOT = Path(__file__).resolve().parents[2]
PEER_PORT = 17946
"""Not the default: Swarm has 7946 for a gossip of its own, on the same hosts."""
_READY_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 15.0
_KEPT_S = 2.0
"""A connection that was idle for longer is not used again: the server may just be closing it."""


class ApiRefused(RuntimeError):
    """The API answered with a status of 400 or more."""


class ApiClient:
    """The admin's calls at one node; logs in on its first call, and keeps the connection."""

    def __init__(self, address: str, password: str) -> None:
        self._connection = http.client.HTTPConnection(address, API_PORT, timeout=30)
        self._password = password
        self._token = ""
        self._answered_at_s = 0.0

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer's `data`. Raises ApiRefused, OSError, http.client.HTTPException."""
        return self.answer(method, path, body)[1]

    def answer(self, method: str, path: str, body: object = None) -> tuple[Any, Any]:
        """As `call`, with the headers before it."""
        if not self._token:
            login = {"username": "admin", "password": self._password}
            self._token = self._send("POST", "/api/auth/login", login)[1]["token"]
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: object) -> tuple[Any, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if time.monotonic() - self._answered_at_s > _KEPT_S:
            self._connection.close()
        try:
            self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = self._connection.getresponse()
            content = response.read()
            self._answered_at_s = time.monotonic()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if response.status >= 400:
            raise ApiRefused(f"{method} {path}: {response.status} {content[:500]!r}")
        return response.headers, json.loads(content)["data"] if content[:1] == b"{" else content


class HivemindNodes:
    """Host K's daemon has the name of the host. `start`, then `stop`; both may be called again."""

    def __init__(self, lab: Lab, *, preset: str = "lan", options: Sequence[str] = ()) -> None:
        self._lab = lab
        self._folder = lab.place.root / f"hivemind-{secrets.token_hex(3)}"
        self._password = secrets.token_urlsafe(12)
        self._options = ["--preset", preset, "--rate-limit", "off", "--runtime", "docker", *options]
        self._daemons: dict[int, HostProcess] = {}
        self._join: list[str] = []

    def start(self) -> None:
        """Found the cluster on host 1 and join the others."""
        self._folder.mkdir()
        founder, *joiners = self._lab.hosts
        self._start(founder, "--admin-password-file", self._secret("password", self._password))
        self.wait_ready([founder])
        token = self.client(founder).call("GET", "/api/cluster/token")["token"]
        self._join = ["--join", f"{founder.address}:{PEER_PORT}", "--token-file", self._secret("token", token)]
        for host in joiners:
            self.start_daemon(host)
        self.wait_ready(self._lab.hosts)

    def start_daemon(self, host: Host) -> None:
        """Start the daemon of a host that is no founder, for the first time or again."""
        self._start(host, *self._join)

    def stop(self) -> None:
        """End all daemons; containers that run stay."""
        for daemon in self._daemons.values():
            daemon.terminate()
        for daemon in self._daemons.values():
            daemon.wait(_STOP_TIMEOUT_S)
        self._daemons.clear()

    @property
    def pids(self) -> list[int]:
        return [daemon.pid for daemon in self._daemons.values()]

    def client(self, host: Host) -> ApiClient:
        return ApiClient(host.address, self._password)

    def leader(self, host: Host) -> str:
        """The name of the host whose daemon leads, as `host` knows it; "" for none."""
        return self.client(host).answer("GET", "/api/apps")[0].get("X-Hivemind-Leader") or ""

    def wait_ready(self, hosts: Sequence[Host]) -> None:
        """Until the daemons of these hosts all see all of them ready."""
        wanted = {host.name for host in hosts}
        clients = {host.number: self.client(host) for host in hosts}
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        waiting = list(hosts)
        while waiting:
            host = waiting[0]
            if _ready_nodes(clients[host.number]) >= wanted:
                waiting.pop(0)
                continue
            if (daemon := self._daemons[host.number]).poll() is not None or time.monotonic() > deadline_s:
                raise TimeoutError(f"{host.name} is not ready: {daemon.log_tail()}")
            time.sleep(0.1)

    def _start(self, host: Host, *options: str) -> None:
        argv = [sys.executable, "-m", "hivemind", "daemon", "--name", host.name, "--advertise", host.address]
        argv += ["--peer-port", str(PEER_PORT)]
        argv += ["--data-dir", str(self._folder / host.name), "--docker-host", "unix:///run/docker.sock"]
        argv += [*self._options, *options]
        # The checkout that this file is part of, whatever is installed.
        environment = {**clean_environment(), "PYTHONPATH": str(_ROOT)}
        self._daemons[host.number] = host.popen(argv, environment, log=self._folder / f"{host.name}.log")

    def _secret(self, name: str, value: str) -> str:
        path = Path(self._folder, name)
        path.touch(mode=0o600)
        path.write_text(value + "\n")
        return str(path)


def _ready_nodes(client: ApiClient) -> set[str]:
    try:
        headers, data = client.answer("GET", "/api/nodes")
    except (OSError, http.client.HTTPException, ApiRefused):
        return set()
    if not headers.get("X-Hivemind-Leader"):
        return set()
    return {node["id"] for node in data["nodes"] if node["status"] == "ready"}
