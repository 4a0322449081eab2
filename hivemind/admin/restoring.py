"""A backup: what is in it, and a new cluster that begins with it. All functions block."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import trio
from msgspec import Struct

from api.auth.passwords import Argon2Hasher
from consensus import snapshot
from consensus.raft import StorageDamaged, offline
from consensus.raft.snapshot import Snapshot, read_snapshot
from consensus.restoring import restored
from hivemind.peer.identity import Identity
from hivemind.startup import first_steps
from hivemind.startup.first_steps import Restored
from hivemind.startup.founding import Founding, found_cluster


class Restoration(Struct, frozen=True, kw_only=True):
    """What became of a backup. `admin_password` is set where a new one was made."""

    cluster: str
    previous_cluster: str
    node_id: str
    index: int
    apps: int
    users: int
    admin_password: str | None


def describe(file: Path) -> dict[str, Any]:
    """What a person wants to know of a backup; reading it checks all of it. Raises ValueError, OSError."""
    backup, image = _read(file)
    state = image.state
    return {
        "cluster": "" if state.cluster is None else state.cluster.id,
        "index": backup.header.index,
        "term": backup.header.term,
        "voters": ", ".join(backup.header.voters),
        "bytes": len(backup.state),
        "nodes": len(state.nodes),
        "apps": len(state.apps),
        "tasks": len(state.tasks),
        "volumes": len(state.volumes),
        "users": len(state.users),
    }


def restore(
    file: Path, data_dir: Path, *, node_id: str, key_from: Path | None = None, reset_admin: bool = False
) -> Restoration:
    """Makes in `data_dir` the first node of a new cluster that has agreed on what is in the backup.

    It has a CA, a join token and an epoch of its own. `key_from` is the data-dir of a member of the old cluster: its
    key opens the secrets that are sealed in the backup, which without it are lost.

    Raises:
        ValueError: the backup or `data_dir` cannot be used; StorageMisused, IdentityBroken, IdentityMissing, OSError.
    """
    backup, image = _read(file)
    before = image.state.cluster
    if before is None:
        raise ValueError(f"{file}: the cluster was not founded yet: there is nothing to restore")
    if (data_dir / "identity").exists():
        raise ValueError(f"{data_dir} holds a node already: expected an empty directory")
    member_key = None if key_from is None else Identity.load(key_from).member_key
    founding = trio.run(_found, node_id, member_key)
    cluster = founding.command.cluster
    admin = founding.command.admin if reset_admin else None
    image = restored(image, cluster, admin=admin, time_s=time.time())
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    offline.begin(
        data_dir / "raft", node_id, snapshot.encode(image), index=backup.header.index + 1, term=backup.header.term + 1
    )
    first_steps.save(data_dir, Restored())
    founding.identity.save(data_dir)
    return Restoration(
        cluster=cluster.id,
        previous_cluster=before.id,
        node_id=node_id,
        index=backup.header.index,
        apps=len(image.state.apps),
        users=len(image.state.users),
        admin_password=founding.admin_password if reset_admin else None,
    )


async def _found(node_id: str, member_key: bytes | None) -> Founding:
    hasher = Argon2Hasher()
    return await found_cluster(
        node_id, admin_password=None, hash_password=hasher.hash, now_s=time.time(), member_key=member_key
    )


def _read(file: Path) -> tuple[Snapshot, snapshot.Image]:
    try:
        backup = read_snapshot(file)
        return backup, snapshot.decode(backup.state)
    except StorageDamaged as error:
        raise ValueError(f"{file}: {error.what}: this is no backup, or a damaged one") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
