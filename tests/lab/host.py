"""One host of the lab: namespaces that look like a machine, its engine, and what can happen to it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab.cgroups import Cgroups
from tests.lab.commands import (
    LabError,
    first_child,
    is_running,
    process_name,
    run,
    send_signal,
    wait_for,
)
from tests.lab.process import HostProcess
from tests.lab.switch import Switch
from tests.support.engine_api import EngineApi

_HERE = Path(__file__).parent
_INIT_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0
_DISKS = ("containerd", "docker", "log", "run")


class Host:
    """Host K: the network namespace, address and disks are there from `Lab.up` on; `start` powers it on."""

    def __init__(self, number: int, switch: Switch, cgroups: Cgroups, dockerd_args: Sequence[str] = ()) -> None:
        self.number = number
        self.name = f"h{number}"
        self.address = switch.address(number)
        self.folder = switch.place.root / self.name
        self.docker_host = f"unix://{self.folder}/run/docker.sock"
        self.engine = EngineApi(self.docker_host)
        self.engine_timeout_s = 60.0
        self._switch = switch
        self._cgroups = cgroups
        self._dockerd_args = tuple(dockerd_args)
        self._first: subprocess.Popen[bytes] | None = None
        self._processes: list[HostProcess] = []

    # ---- power

    def start_host(self) -> None:
        """Power on: the namespaces and an init, no engine yet. Raises LabError."""
        for disk in _DISKS:
            (self.folder / disk).mkdir(parents=True, exist_ok=True)
        run(["mount", "-t", "tmpfs", "-o", "mode=755", self._switch.netns(self.number), self.folder / "run"])
        entrances = [str(path) for path in self._cgroups.make(self.name)]
        enter = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done; shift; exec "$@"'
        first = [
            *("nsenter", f"--net=/run/netns/{self._switch.netns(self.number)}"),
            *("unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork"),
            *("--kill-child=KILL", "--propagation", "private"),
            *(str(_HERE / "hostinit.sh"), self.name, str(self.folder)),
            *(self._switch.place.gateway, self._cgroups.mounts()),
        ]
        log_path = self.folder / "log" / "host.log"
        with log_path.open("ab") as log:
            self._first = subprocess.Popen(
                ["sh", "-c", enter, "sh", *entrances, "--", *first],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._first_pid_file.write_text(str(self._first.pid))

        def booted() -> bool:
            if self._first is not None and self._first.poll() is not None:
                raise LabError(f"{self.name} did not start: {log_path.read_text()[-500:]}")
            init = self.init_pid()
            return init is not None and process_name(init) == "tini"

        wait_for(booted, _INIT_TIMEOUT_S, f"init of {self.name}")

    def kill_host(self) -> None:
        """Power off at once: every process dies; the disks stay."""
        self.resume()
        init = self.init_pid()
        if init is not None:
            send_signal(init, signal.SIGKILL)
            wait_for(lambda: not is_running(init), _STOP_TIMEOUT_S, f"the end of {self.name}")
        if self._first is not None:
            self._first.wait(_STOP_TIMEOUT_S)
            self._first = None
        for process in self._processes:
            process.wait(_STOP_TIMEOUT_S)
        self._processes.clear()
        self._first_pid_file.unlink(missing_ok=True)
        self._switch.forget_host_state(self.number)
        self._cgroups.remove(self.name)
        if (self.folder / "run").is_mount():
            run(["umount", "-l", self.folder / "run"])

    def init_pid(self) -> int | None:
        """The pid on this machine of the host's first process; None while it is off."""
        try:
            first = int(self._first_pid_file.read_text())
        except (OSError, ValueError):
            return None
        return first_child(first)

    @property
    def _first_pid_file(self) -> Path:
        return self.folder / "first.pid"

    # ---- programs

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` on the host, in all of its namespaces and its cgroups."""
        init = self.init_pid()
        if init is None:
            raise LabError(f"{self.name} is off")
        enter = ["nsenter", "-t", str(init), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        return [*enter, "sh", "-c", f'{self._cgroups.join}; exec "$@"', "sh", *argv]

    def exec(self, *argv: str, given: str | None = None, check: bool = True) -> str:
        """Run a program on the host to its end and answer its output; raises LabError if it fails."""
        return run(self.argv(argv), given=given, check=check)

    def popen(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        log: Path | None = None,
    ) -> HostProcess:
        """Start a program on the host and leave it running; `env` adds to ours; output goes to `log`
        (default: a file in the host's log folder). It dies with the host, or by its own `kill`."""
        log = log or self.folder / "log" / f"{Path(argv[0]).name}.log"
        process = HostProcess(self.argv(argv), {**os.environ, **(env or {})}, log)
        self._processes.append(process)
        return process

    def pids(self, program: str) -> list[int]:
        """Pids on this machine of the host's processes with this (15 characters long) name."""
        return [pid for pid in self._cgroups.pids(self.name) if process_name(pid) == program]

    # ---- the engine

    def start_engine(self) -> None:
        """Start containerd and dockerd where they do not run, and wait until the engine answers."""
        run_folder = self.folder / "run"
        if not self.pids("containerd"):
            self._spawn(
                "containerd --address /run/containerd/containerd.sock"
                " --root /var/lib/containerd --state /run/containerd"
            )
            socket_path = run_folder / "containerd" / "containerd.sock"
            wait_for(socket_path.exists, self.engine_timeout_s, f"containerd of {self.name}")
        if not self.pids("dockerd"):
            # Pid numbers repeat in a pid namespace: a pid file left by kill -9 may name a process again.
            (run_folder / "docker.pid").unlink(missing_ok=True)
            self._spawn(
                "dockerd -H unix:///run/docker.sock --containerd /run/containerd/containerd.sock"
                " --data-root /var/lib/docker --exec-root /run/docker --pidfile /run/docker.pid"
                f" --bip 172.30.{self.number}.1/24 --mtu 1450 --ip-masq=false --ip6tables=false"
                " --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs"
                f" {' '.join(self._dockerd_args)}"
            )
        log = self.folder / "log" / "dockerd.log"
        wait_for(self.engine.answers, self.engine_timeout_s, f"engine of {self.name}; see {log}", 0.02)

    def kill_engine(self) -> None:
        """kill -9 dockerd; containerd, the shims and the containers live on."""
        for pid in self.pids("dockerd"):
            send_signal(pid, signal.SIGKILL)
        wait_for(lambda: not self.pids("dockerd"), _STOP_TIMEOUT_S, f"the end of {self.name}'s engine")

    def docker(self, *args: str, check: bool = True) -> str:
        """Run the docker command of this machine against the host's engine."""
        return run(["docker", "-H", self.docker_host, *args], check=check)

    def _spawn(self, command: str) -> None:
        """Start a daemon that outlives this process, as a child of the host's init."""
        log = self.folder / "log" / f"{command.split()[0]}.log"
        # Or else swarm mode asks a registry before it takes the image that is there.
        offline = "export DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1"
        run(self.argv(["sh", "-c", f"{offline}; setsid {command} >>{log} 2>&1 </dev/null &"]))

    # ---- faults

    def cut(self) -> None:
        """Unplug the host's network."""
        self._switch.set_port(self.number, up=False)

    def heal(self) -> None:
        """Plug it in again."""
        self._switch.set_port(self.number, up=True)

    def loss(self, percent: float) -> None:
        self._switch.loss(self.number, percent)

    def delay(self, delay_ms: float, jitter_ms: float = 0, loss_percent: float = 0) -> None:
        self._switch.delay(self.number, delay_ms, jitter_ms, loss_percent)

    def rate(self, mbit: float) -> None:
        self._switch.rate(self.number, mbit)

    def pause(self, what: str = "engine") -> None:
        """Freeze the whole "host", or stop just its "engine" (SIGSTOP)."""
        if what == "host":
            self._cgroups.freeze(self.name, True)
        elif what == "engine":
            for pid in self.pids("dockerd"):
                send_signal(pid, signal.SIGSTOP)
        else:
            raise ValueError(f'pause "host" or "engine", not {what!r}')

    def resume(self) -> None:
        """End either pause."""
        with suppress(FileNotFoundError):
            self._cgroups.freeze(self.name, False)
        for pid in self.pids("dockerd"):
            send_signal(pid, signal.SIGCONT)

    def cpu(self, percent: float) -> None:
        """Let the whole host have at most this share of one core; 0 ends it."""
        self._cgroups.limit_cpu(self.name, percent)
