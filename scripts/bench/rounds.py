"""The measured steps of one contender on clean engines, each from its request to its last event."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from scripts.bench.contenders import Contender, Updating
from scripts.bench.figures import Sample
from scripts.bench.machine_load import each_cpu_s, lab_cpu_s, machine_cpu_s, used_since_s
from scripts.bench.running import RunningContainers, Tally
from tests.lab.lab import Lab

STEP_TIMEOUT_S = 180.0
SCALE_FROM, SCALE_TO = 10, 30
UPDATED = 10
PARALLELISMS = (1, 10)
KILLED_OF = 3


class Stopwatch:
    """Measures one step: seconds by the engines' clock, and who used the CPU meanwhile."""

    def __init__(
        self, prefix: str, running: RunningContainers, daemon_pids: Callable[[], Iterable[int]], settle_s: float
    ) -> None:
        self.running = running
        self._prefix = prefix
        self._daemon_pids = daemon_pids
        self._settle_s = settle_s

    def measure(
        self,
        row: str,
        contender: str,
        number: int,
        request: Callable[[], object],
        running: int,
        engines: Iterable[str] | None = None,
        done: Callable[[Tally], bool] | None = None,
    ) -> Sample:
        """From before `request` until `running` containers run, or until `done`. Raises NotInTime."""
        time.sleep(self._settle_s)
        machine_s, lab_s, daemons_s = machine_cpu_s(), lab_cpu_s(self._prefix), each_cpu_s(self._daemon_pids())
        began_s = time.time()
        request()
        if done is None:
            ended_s = self.running.wait_for(running, STEP_TIMEOUT_S, engines)
        else:
            ended_s = self.running.wait_until(done, STEP_TIMEOUT_S, row)
        passed_s = time.time() - began_s
        lab_s = lab_cpu_s(self._prefix) - lab_s
        return Sample(
            row=row,
            contender=contender,
            round=number,
            seconds=ended_s - began_s,
            lab_cpu_s=lab_s,
            daemons_cpu_s=used_since_s(daemons_s),
            others_cores=max(0.0, machine_cpu_s() - machine_s - lab_s) / passed_s,
            load_average=os.getloadavg()[0],
        )

    def clean_up(self, contender: Contender) -> None:
        """Take the contender's app away; the engines are empty afterwards. Raises NotInTime."""
        contender.remove()
        self.running.wait_for(0, STEP_TIMEOUT_S)
        self.running.wait_empty(STEP_TIMEOUT_S)


def deploy_row(watch: Stopwatch, contender: Contender, replicas: int, number: int) -> Sample:
    """R containers from nothing."""
    sample = watch.measure(f"R={replicas}", contender.name, number, lambda: contender.deploy(replicas), replicas)
    watch.clean_up(contender)
    return sample


def scale_rows(watch: Stopwatch, contender: Contender, number: int) -> list[Sample]:
    """Up and down again, from SCALE_FROM that run."""
    contender.deploy(SCALE_FROM)
    watch.running.wait_for(SCALE_FROM, STEP_TIMEOUT_S)
    samples = [
        watch.measure(f"{before}→{after}", contender.name, number, lambda after=after: contender.scale(after), after)  # type: ignore[misc]
        for before, after in ((SCALE_FROM, SCALE_TO), (SCALE_TO, SCALE_FROM))
    ]
    watch.clean_up(contender)
    return samples


def update_rows(watch: Stopwatch, contender: Updating, number: int) -> list[Sample]:
    """All of UPDATED replicas replaced, so many at a time, each stopped before its successor starts (Swarm's default):
    until none of the old runs and all of the new do."""
    contender.deploy(UPDATED)
    watch.running.wait_for(UPDATED, STEP_TIMEOUT_S)
    samples = []
    for parallelism in PARALLELISMS:
        old = watch.running.ids()

        def replaced(tally: Tally, old: set[str] = old) -> bool:
            return len(tally.ids()) == UPDATED and not tally.ids() & old

        row = f"update {parallelism}"
        samples.append(
            watch.measure(
                row,
                contender.name,
                number,
                lambda parallelism=parallelism: contender.update(parallelism),  # type: ignore[misc]
                UPDATED,
                done=replaced,
            )
        )
        contender.wait_updated(STEP_TIMEOUT_S)
    watch.clean_up(contender)
    return samples


def killed_row(watch: Stopwatch, lab: Lab, contender: Contender, number: int) -> Sample:
    """One container is killed by its engine, as by an out-of-memory: until as many run as before."""
    contender.deploy(KILLED_OF)
    watch.running.wait_for(KILLED_OF, STEP_TIMEOUT_S)
    host, victim = next((host, found[0]) for host in lab.hosts if (found := host.engine.containers({}, stopped=False)))
    before = watch.running.changes()

    def replaced(tally: Tally) -> bool:
        return tally.changes >= before + 2 and len(tally.ids()) == KILLED_OF

    sample = watch.measure(
        "killed",
        contender.name,
        number,
        lambda: host.engine.call("POST", f"/containers/{victim}/kill"),
        KILLED_OF,
        done=replaced,
    )
    watch.clean_up(contender)
    return sample
