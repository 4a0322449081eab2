"""Every process makes the same of the same entries, whatever order its hashes give to sets and tables.

In one process that order is the same everywhere, so no test there can see who goes by it: replicas of a removed node
got their successors in another order on each node, and so other ids.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys

from consensus.entry import decode
from tests.consensus.making import Feed
from tests.consensus.random_commands import random_command
from tests.consensus.replay import replayed

STEPS = 4000


def in_another_process(entries: list[bytes], hash_seed: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.consensus.replay"],
        input="\n".join(entry.hex() for entry in entries),
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_order_of_hashes_decides_nothing() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng, feed = random.Random(seed), Feed()
    for _ in range(STEPS):
        feed(random_command(rng, feed.state))
    here = replayed(feed.entries)
    for hash_seed in (1, 2):
        there = in_another_process(feed.entries, hash_seed)
        for entry, one, other in zip(feed.entries, here, there, strict=True):
            assert one == other, decode(entry)
