"""The CPU time that packets cost, whoever else works on this machine: by sampling all cores with perf(1)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

_HZ = 997
_SOFTIRQ = ("net_rx_action", "net_tx_action")


def has_perf() -> bool:
    return shutil.which("perf") is not None


def sampled(run: Callable[[Sequence[str]], str], program: str) -> tuple[str, float]:
    """The output of `run`, which is given what to put before its command line, and the CPU seconds of `program`
    and of all work on packets, in whose time ever the kernel did that."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        told = run(["perf", "record", "-q", "-a", "-g", "-e", "cpu-clock", "-F", str(_HZ), "-o", str(data), "--"])
        script = ["perf", "script", "-i", str(data), "-F", "comm,ip,sym"]
        listed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    return told, sum(counts(listed.split("\n\n"), program)) / _HZ


def counts(samples: Iterable[str], program: str) -> Iterable[bool]:
    """For each sample of perf-script(1) whether it is the program's, or in the kernel's work on packets."""
    for sample in samples:
        head, _, chain = sample.strip().partition("\n")
        yield head.strip().startswith(program) or any(f" {name}" in chain for name in _SOFTIRQ)
