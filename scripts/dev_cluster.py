"""A cluster for trying things out: N daemons on 127.0.0.1 … 127.0.0.N of this machine, until Ctrl-C.

Run by `scripts/dev`. Each daemon is a process of its own with a data-dir of its own, as on N machines; the
command lines are what one would type there.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hivemind.peer.errors import IdentityBroken, IdentityMissing
from hivemind.peer.identity import Identity
from runtime.labels import CLUSTER
from tests.support.addresses import is_free
from tests.support.engine_api import NOT_UP, EngineApi, EngineRefused
from tests.support.processes import end_processes_of

API_PORT = 4483
PEER_PORT = 7946
MAX_NODES = 9
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15.0
LOG_LINES = 20
SYSTEM_ENGINE = "unix:///var/run/docker.sock"


class DevError(RuntimeError):
    """The cluster cannot be started, or did not stay up; the message is for the user."""


@dataclass(frozen=True)
class Settings:
    nodes: int
    runtime: str
    data_dir: Path
    keep: bool
    docker_host: str
    network: str
    hivemind: str


class Daemon:
    """Node K of the cluster."""

    def __init__(self, number: int, network: str, data_dir: Path) -> None:
        self.name = f"node-{number}"
        self.address = f"{network}.{number}"
        self.url = f"http://{self.address}:{API_PORT}"
        self.data_dir = data_dir / self.name
        self.log = data_dir / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, argv: Sequence[str], environment: dict[str, str]) -> None:
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C is for us, and we end it in order.
            self.process = subprocess.Popen(
                argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])


class DevCluster:
    """`start`, `watch`, and `stop` however far it came."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.daemons = [Daemon(number, settings.network, settings.data_dir) for number in range(1, settings.nodes + 1)]
        self.password = ""

    def start(self) -> None:
        """Found the cluster, join the others, wait until all are ready. Raises DevError."""
        for daemon in self.daemons:
            for port in (API_PORT, PEER_PORT):
                if not is_free(daemon.address, port):
                    raise DevError(f"{daemon.address}:{port} is in use; stop what listens there (another scripts/dev?)")
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        password_file = self._secret("admin-password", secrets.token_urlsafe(12))
        self.password = password_file.read_text().strip()
        founder, *joiners = self.daemons
        self._start(founder, "--admin-password-file", str(password_file))
        self._wait_ready(1)
        token_file = self._secret("join-token")
        token_file.write_text(self._client("cluster", "token"))
        for joiner in joiners:
            self._start(joiner, "--join", f"{founder.address}:{PEER_PORT}", "--token-file", str(token_file))
        self._wait_ready(len(self.daemons))

    def watch(self) -> None:
        """Return never, but raise DevError when a daemon ends."""
        while True:
            self._check_alive()
            time.sleep(0.5)

    def stop(self) -> None:
        """End every daemon, then what the daemons leave running on purpose, then the data."""
        running = [daemon.process for daemon in self.daemons if daemon.process is not None]
        for process in running:
            process.terminate()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for process in running:
            try:
                process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        end_processes_of(self.settings.data_dir)
        if self.settings.runtime == "docker":
            self._remove_containers()
        if not self.settings.keep:
            shutil.rmtree(self.settings.data_dir, ignore_errors=True)

    def describe(self) -> str:
        """What the user sees when it is up."""
        lines = ["", f"{len(self.daemons)} nodes are ready. Containers run by: {self.settings.runtime}", ""]
        for daemon in self.daemons:
            pid = daemon.process.pid if daemon.process else 0
            lines.append(f"  {daemon.name}  {daemon.url}  pid {pid}  log {daemon.log}")
        hivemind = _for_typing(self.settings.hivemind)
        if self.settings.runtime == "docker":
            deploy = "--image nginx:alpine --replicas 3 --port 8080:80"
        else:
            deploy = "--image hivemind/whoami --replicas 3 --port 8080:80"
        lines += [
            "",
            f"  admin user: admin   password: {self.password}",
            "",
            "Try:",
            f"  {hivemind} login --server {self.daemons[0].url} --username admin --password {self.password}",
            f"  {hivemind} app deploy --name web {deploy}",
            f"  {hivemind} events -f",
            "",
            "Ctrl-C stops all of it.",
        ]
        return "\n".join(lines)

    def _start(self, daemon: Daemon, *options: str) -> None:
        argv = [self.settings.hivemind, "daemon", "--name", daemon.name]
        argv += ["--bind", daemon.address, "--advertise", daemon.address]
        argv += ["--data-dir", str(daemon.data_dir), "--runtime", self.settings.runtime]
        if self.settings.runtime == "docker":
            argv += ["--docker-host", self.settings.docker_host]
        daemon.start([*argv, *options], _environment())

    def _check_alive(self) -> None:
        for daemon in self.daemons:
            if daemon.process is not None and daemon.process.poll() is not None:
                status = daemon.process.returncode
                raise DevError(f"{daemon.name} ended with {status}. Its last words:\n{daemon.log_tail()}")

    def _wait_ready(self, nodes: int) -> None:
        waiting = subprocess.Popen(
            [self.settings.hivemind, "wait", "--nodes", str(nodes), "--timeout", str(READY_TIMEOUT_S)],
            env=self._client_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with waiting:
            try:
                while waiting.poll() is None:
                    self._check_alive()
                    time.sleep(0.1)
            finally:
                waiting.kill()
            assert waiting.stdout is not None
            answer = waiting.stdout.read().decode(errors="replace").strip()
        if waiting.returncode != 0:
            logs = "\n".join(f"{daemon.name}:\n{daemon.log_tail()}" for daemon in self.daemons if daemon.process)
            raise DevError(f"{nodes} nodes were not ready within {READY_TIMEOUT_S} s: {answer}\n{logs}")

    def _client(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.settings.hivemind, *arguments],
            env=self._client_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise DevError(f"hivemind {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _client_environment(self) -> dict[str, str]:
        environment = _environment()
        # The user's own ~/.hivemind stays as it is.
        environment["HOME"] = str(self.settings.data_dir)
        environment["HIVEMIND_SERVER"] = self.daemons[0].url
        environment["HIVEMIND_USERNAME"] = "admin"
        environment["HIVEMIND_PASSWORD"] = self.password
        return environment

    def _remove_containers(self) -> None:
        try:
            cluster_id = Identity.load(self.daemons[0].data_dir).cluster_id
        except (IdentityBroken, IdentityMissing):
            return
        engine, labels = EngineApi(self.settings.docker_host), {CLUSTER: cluster_id}
        try:
            engine.remove_containers(labels)
            if not self.settings.keep:
                engine.remove_volumes(labels)
        except (*NOT_UP, EngineRefused) as error:
            say(f"containers with the label {labels} may be left: {error}")

    def _secret(self, name: str, value: str = "") -> Path:
        """A file of the data-dir that nobody else may read; one that is there stays as it is."""
        path = self.settings.data_dir / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(value)
        return path


def say(message: str) -> None:
    print(message, flush=True)


def parse(arguments: Sequence[str]) -> Settings:
    """Settings of a command line; picks the runtime if it names none."""
    parser = argparse.ArgumentParser(prog="scripts/dev", description="A Hivemind cluster on this machine.")
    parser.add_argument("--nodes", type=int, default=3, choices=range(1, MAX_NODES + 1), metavar="N")
    parser.add_argument("--runtime", choices=["docker", "process"], help="default: docker if an engine answers")
    parser.add_argument("--data-dir", type=Path, help="default: a new folder that goes with the cluster")
    parser.add_argument("--keep", action="store_true", help="keep the data-dir")
    parser.add_argument("--network", default="127.0.0", help="first three numbers of the nodes' addresses")
    program = str(Path(sys.executable).with_name("hivemind"))
    parser.add_argument("--hivemind", default=program, help="the program to run")
    given = parser.parse_args(arguments)
    docker_host = os.environ.get("DOCKER_HOST") or SYSTEM_ENGINE
    runtime: str = given.runtime or ("docker" if EngineApi(docker_host).answers() else "process")
    if given.runtime == "docker" and not EngineApi(docker_host).answers():
        parser.error(f"no engine answers at {docker_host} (DOCKER_HOST names another)")
    return Settings(
        nodes=given.nodes,
        runtime=runtime,
        data_dir=(given.data_dir or Path(tempfile.mkdtemp(prefix="hivemind-dev-"))).resolve(),
        keep=given.keep or given.data_dir is not None,
        docker_host=docker_host,
        network=given.network,
        hivemind=given.hivemind,
    )


def _environment() -> dict[str, str]:
    """Ours without any HIVEMIND_ setting: what the user set for a real cluster must not leak into this one."""
    return {key: value for key, value in os.environ.items() if not key.startswith("HIVEMIND_")}


def _for_typing(program: str) -> str:
    return min(os.path.relpath(program), program, key=len) if os.path.isabs(program) else program


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Exit status 0 after Ctrl-C or SIGTERM, 1 when the cluster could not start or stay up."""
    settings = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell may have started us in the background, where it makes children deaf to Ctrl-C.
    signal.signal(signal.SIGINT, _interrupt)
    cluster = DevCluster(settings)
    status = 0
    try:
        say(f"starting {settings.nodes} nodes with the {settings.runtime} engine in {settings.data_dir}")
        cluster.start()
        say(cluster.describe())
        cluster.watch()
    except KeyboardInterrupt:
        say("\nstopping")
    except DevError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cluster.stop()
    if settings.keep:
        say(f"the data is in {settings.data_dir}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
