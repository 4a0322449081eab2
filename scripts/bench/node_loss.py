"""A host dies with its engine and its daemon: how long until its replicas run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from scripts.bench.contenders import Contender, Hivemind, Swarm
from scripts.bench.figures import Sample
from scripts.bench.hivemind_nodes import HivemindNodes
from scripts.bench.rounds import STEP_TIMEOUT_S, Stopwatch
from scripts.bench.running import NotInTime, RunningContainers
from tests.lab.host import Host
from tests.lab.lab import Lab

REPLICAS = 9
_RETURN_TIMEOUT_S = 60.0


class NodeLoss:
    """The victim is never the host that is asked, and never the leader: losing that is another measurement."""

    def __init__(self, lab: Lab, running: RunningContainers, watch: Stopwatch, entry: int) -> None:
        self._lab = lab
        self._running = running
        self._watch = watch
        self._entry = lab.host(entry)

    def of_hivemind(self, nodes: HivemindNodes, row: str, number: int) -> Sample:
        leader = nodes.leader(self._entry)
        # Host 1 founded the cluster: the others come back by the command line that they joined with.
        victim = next(h for h in reversed(self._lab.hosts) if h is not self._entry and h.name != leader)

        def back() -> None:
            nodes.start_daemon(victim)
            nodes.wait_ready(self._lab.hosts)

        return self._lose(row, Hivemind(nodes, self._entry), victim, number, back)

    def of_swarm(self, swarm: Swarm, row: str, number: int) -> Sample:
        def back() -> None:
            deadline_s = time.monotonic() + _RETURN_TIMEOUT_S
            while len(swarm.ready()) < len(self._lab.hosts):
                if time.monotonic() > deadline_s:
                    raise NotInTime(f"Swarm has {swarm.ready()} back after {_RETURN_TIMEOUT_S:g} s")
                time.sleep(0.2)

        return self._lose(row, swarm, self._lab.hosts[-1], number, back)

    def _lose(self, row: str, contender: Contender, victim: Host, number: int, back: Callable[[], None]) -> Sample:
        contender.deploy(REPLICAS)
        self._running.wait_for(REPLICAS, STEP_TIMEOUT_S)
        others = [host.name for host in self._lab.hosts if host is not victim]
        sample = self._watch.measure(row, contender.name, number, victim.kill_host, REPLICAS, others)
        victim.start_host()
        victim.start_engine()
        back()
        self._watch.clean_up(contender)
        return sample
