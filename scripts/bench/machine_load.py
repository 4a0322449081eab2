"""CPU time: of the lab, of single processes, and of everybody else on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_V1 = Path("/sys/fs/cgroup/cpuacct")
_V2 = Path("/sys/fs/cgroup")


def lab_cpu_s(prefix: str) -> float:
    """What all processes of the lab with this prefix have used, those that ended too."""
    account = _V1 / prefix / "cpuacct.usage"
    if account.exists():
        return int(account.read_text()) / 1e9
    usage = (_V2 / prefix / "cpu.stat").read_text().split()
    return int(usage[usage.index("usage_usec") + 1]) / 1e6


def processes_cpu_s(pids: Iterable[int]) -> float:
    """User and system time of these processes; one that is gone counts nothing."""
    return sum(each_cpu_s(pids).values())


def each_cpu_s(pids: Iterable[int]) -> dict[int, float]:
    """User and system time of each of these processes that is there."""
    used_s = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used_s[pid] = (int(fields[11]) + int(fields[12])) * _TICK_S
    return used_s


def used_since_s(before_s: dict[int, float]) -> float:
    """What the processes of an earlier `each_cpu_s` have used since then; one that ended counts nothing."""
    return sum(now_s - before_s[pid] for pid, now_s in each_cpu_s(before_s).items())


def machine_cpu_s() -> float:
    """What all cores together have worked since the start of the machine."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) * _TICK_S
