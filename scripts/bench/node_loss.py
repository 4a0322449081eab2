"""A host dies with its engine and its daemon: how long until its replicas run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

from scripts.bench.contenders import Contender, Hivemind, Swarm
from scripts.bench.figures import Sample
from scripts.bench.hivemind_nodes import HivemindNodes
from scripts.bench.rounds import STEP_TIMEOUT_S, Stopwatch
from scripts.bench.running import NotInTime
from tests.lab.host import Host
from tests.lab.lab import Lab

PER_HOST = 3
_RETURN_TIMEOUT_S = 60.0


class NodeLoss:
    """The victim is never the host that is asked, and never the leader: losing that is another measurement.

    After each loss the host comes back with all that it had, of every contender. `nodes` may be absent; `swarms` are
    contenders of one swarm.
    """

    def __init__(
        self, lab: Lab, watch: Stopwatch, entry: int, *, nodes: HivemindNodes | None, swarms: Sequence[Swarm]
    ) -> None:
        self._lab = lab
        self._watch = watch
        self._entry = lab.host(entry)
        self._nodes = nodes
        self._swarms = swarms

    def samples(self, row: str, number: int) -> list[Sample]:
        """One loss for each contender that there is."""
        samples = []
        if self._nodes is not None:
            leader = self._nodes.leader(self._entry)
            # Host 1 founded the cluster: the others come back by the command line that they joined with.
            victim = next(h for h in reversed(self._lab.hosts) if h is not self._entry and h.name != leader)
            samples.append(self._lose(row, Hivemind(self._nodes, self._entry), victim, number))
        samples += [self._lose(row, swarm, self._lab.hosts[-1], number) for swarm in self._swarms]
        return samples

    def _lose(self, row: str, contender: Contender, victim: Host, number: int) -> Sample:
        running, replicas = self._watch.running, PER_HOST * len(self._lab.hosts)
        contender.deploy(replicas)
        running.wait_for(replicas, STEP_TIMEOUT_S)
        if running.count([victim.name]) == 0:
            raise NotInTime(f"{contender.name} runs nothing on {victim.name}: there is nothing to lose")
        others = [host.name for host in self._lab.hosts if host is not victim]
        sample = self._watch.measure(row, contender.name, number, victim.kill_host, replicas, others)
        victim.start_host()
        victim.start_engine()
        if self._nodes is not None:
            self._nodes.start_daemon(victim)
            self._nodes.wait_ready(self._lab.hosts)
        for swarm in self._swarms[:1]:
            self._wait_for_swarm(swarm)
        self._watch.clean_up(contender)
        return sample

    def _wait_for_swarm(self, swarm: Swarm) -> None:
        deadline_s = time.monotonic() + _RETURN_TIMEOUT_S
        while len(swarm.ready()) < len(self._lab.hosts):
            if time.monotonic() > deadline_s:
                raise NotInTime(f"Swarm has {swarm.ready()} back after {_RETURN_TIMEOUT_S:g} s")
            time.sleep(0.2)
