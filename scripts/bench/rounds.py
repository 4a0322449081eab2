"""The measured steps of one contender on clean engines, each from its request to its last event."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from scripts.bench.contenders import Contender
from scripts.bench.figures import Sample
from scripts.bench.machine_load import each_cpu_s, lab_cpu_s, machine_cpu_s, used_since_s
from scripts.bench.running import RunningContainers

STEP_TIMEOUT_S = 180.0
SCALE_FROM, SCALE_TO = 10, 30


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
    ) -> Sample:
        """From before `request` until `running` containers run. Raises NotInTime."""
        time.sleep(self._settle_s)
        machine_s, lab_s, daemons_s = machine_cpu_s(), lab_cpu_s(self._prefix), each_cpu_s(self._daemon_pids())
        began_s = time.time()
        request()
        ended_s = self.running.wait_for(running, STEP_TIMEOUT_S, engines)
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
