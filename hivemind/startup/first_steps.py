"""What a new node must still do after it got its identity.

Written before the identity and removed when done: a daemon that dies in between does it at its next start.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from consensus import durable
from consensus.commands import FoundCluster

FILE = "first-steps.msgpack"


class Found(Struct, frozen=True, tag=True):
    """Start Raft as its only voter, and propose the founding command."""

    command: FoundCluster


class Learn(Struct, frozen=True, tag=True):
    """Start Raft as a learner of `voters`. `peers`: (node id, address, peer port) of the members to gossip with."""

    voters: list[str]
    peers: list[tuple[str, str, int]]


class Restored(Struct, frozen=True, tag=True):
    """Start Raft on what a backup made, and become the only member of the cluster."""


FirstSteps = Found | Learn | Restored
_decoder: msgspec.msgpack.Decoder[FirstSteps] = msgspec.msgpack.Decoder(FirstSteps)


def save(data_dir: Path, steps: FirstSteps) -> None:
    """Durable when it returns."""
    durable.write(data_dir / FILE, msgspec.msgpack.encode(steps))


def load(data_dir: Path) -> FirstSteps | None:
    """What is left to do; None when all is done. Raises msgspec.DecodeError for a damaged file."""
    try:
        data = (data_dir / FILE).read_bytes()
    except FileNotFoundError:
        return None
    return _decoder.decode(data)


def done(data_dir: Path) -> None:
    (data_dir / FILE).unlink(missing_ok=True)
