"""Six cores under virtual time with every trouble, the Raft paper's properties checked after every step.

In a process of its own, where a seed means the same every time. Thousands of seeds: see simulation/world.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.consensus.raft.simulation.properties import Properties, Violation

_ROOT = Path(__file__).resolve().parents[3]


def test_safety_and_progress_over_some_seeds():
    argv = [sys.executable, "-m", "tests.consensus.raft.simulation.world", "--seeds", "12"]
    done = subprocess.run(argv, cwd=_ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_properties_notice_two_votes_and_a_different_state():
    properties = Properties()
    properties.voted("a", 2, "b")
    with pytest.raises(Violation):
        properties.voted("a", 2, "c")
    digest = properties.applied("a", 2, b"x", 0)
    assert properties.applied("b", 2, b"x", 0) == digest
    with pytest.raises(Violation):
        properties.applied("c", 2, b"y", 0)
