"""A stopped node's data-dir: described, backed up, made to lead alone. All functions block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from consensus.machine import Machine
from consensus.raft import StorageError, offline
from consensus.raft.library import REGULAR
from consensus.raft.snapshot import SnapshotHeader, write_snapshot

PROBLEMS = (StorageError, OSError, ValueError)


def describe(data_dir: Path) -> dict[str, Any]:
    """What a person wants to know of the directory. Raises PROBLEMS."""
    raft_dir = _raft_dir(data_dir)
    about: dict[str, Any] = msgspec.to_builtins(offline.inspect(raft_dir))
    state = _replay(raft_dir).state
    cluster = state.cluster
    return about | {
        "voters": ", ".join(about["voters"]),
        "cluster": "" if cluster is None else cluster.id,
        "nodes": len(state.nodes),
        "apps": len(state.apps),
        "tasks": len(state.tasks),
        "volumes": len(state.volumes),
    }


def back_up(data_dir: Path, file: Path) -> int:
    """Write the state at the end of the log to `file`, in the format of snapshots; its index. Raises PROBLEMS."""
    raft_dir = _raft_dir(data_dir)
    about, machine = offline.inspect(raft_dir), _replay(raft_dir)
    header = SnapshotHeader(about.last_index, about.last_term, about.voters)
    write_snapshot(file, header, machine.image()())
    return about.last_index


def recover(data_dir: Path) -> dict[str, Any]:
    """See `consensus.raft.offline.make_sole_voter`. Raises PROBLEMS."""
    offline.make_sole_voter(_raft_dir(data_dir))
    return describe(data_dir)


def _raft_dir(data_dir: Path) -> Path:
    return data_dir / "raft" if (data_dir / "raft").is_dir() else data_dir


def _replay(raft_dir: Path) -> Machine:
    snapshot, entries = offline.read(raft_dir)
    machine = Machine()
    if snapshot is not None:
        machine.load(snapshot.state)()
    for entry in entries:
        if entry.command[:1] == REGULAR:
            machine.apply(entry.index, entry.command[1:])
    if machine.fault is not None:
        raise ValueError(machine.fault)
    return machine
