"""Scheduled backups on a node: to a directory and to an S3 store (a moto server), whole or not at all."""

from __future__ import annotations

import io
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from nacl.pwhash import argon2id

from consensus.model.backup import (
    BackupRun,
    BackupSchedule,
    BackupSpec,
    DirectoryTarget,
    Retention,
    S3Target,
)
from consensus.state import State
from runtime.engine.process.engine import ProcessEngine
from runtime.volumes import s3_store, sealing
from runtime.volumes.backup_store import StoreError
from runtime.volumes.backups import VolumeBackups
from runtime.volumes.cleaner import VolumeCleaner
from runtime.volumes.data import VolumeData
from runtime.volumes.errors import ArchiveRefused, BackupMissing, BackupStoreFailed
from runtime.volumes.provider import VolumeProvider
from runtime.volumes.s3_store import S3Store
from runtime.volumes.sealing import MAGIC, SealBroken, Sealer, opened

HELD = random.Random("held").randbytes(900_000)


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "OPERATIONS", argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(sealing, "MEMORY_BYTES", argon2id.MEMLIMIT_MIN)


class Node:
    def __init__(self, folder: Path) -> None:
        self.engine = ProcessEngine(folder / "n1", address="127.0.0.1")
        self.provider = VolumeProvider(
            self.engine, cluster_id="c1", node_id="n1", find=lambda name: None, mounts=lambda task_id: ()
        )
        cleaner = VolumeCleaner(self.engine, cluster_id="c1", node_id="n1")
        self.data = VolumeData(self.engine, self.provider, cleaner, cluster_id="c1", node_id="n1")
        self.state = State()
        self.backups = VolumeBackups(
            self.data, state=lambda: self.state, unseal=lambda sealed: sealed[::-1], now_s=lambda: 1_800_000_000.0
        )

    async def directory(self) -> Path:
        return Path((await self.provider.engine_volume("v")).path)

    def scheduled(self, target: Any, **more: Any) -> BackupSchedule:
        spec = BackupSpec(name="nightly", volume="v", schedule="@daily", target=target, **more)
        schedule = BackupSchedule(spec=spec, created_at_s=0.0, updated_at_s=0.0)
        self.state = State(backup_schedules=self.state.backup_schedules.set("nightly", schedule))
        return schedule


def run(number: int, at_s: float = 1_800_000_000.0) -> BackupRun:
    return BackupRun(number=number, node_id="n1", started_at_s=at_s + number)


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    (await node.directory() / "file").write_bytes(HELD)
    return node


async def spoil_and_restore(node: Node, name: str) -> None:
    (await node.directory() / "file").write_bytes(b"spoilt")
    found = await node.backups.restore("nightly", name, "v")
    assert (found.size_bytes, (await node.directory() / "file").read_bytes()) == (len(HELD), HELD)


async def test_to_a_directory_and_back(node: Node, tmp_path: Path) -> None:
    root = tmp_path / "backups"
    schedule = node.scheduled(DirectoryTarget(path=str(root)), keep=Retention(count=2))
    with pytest.raises(StoreError, match="there is no directory"):
        await node.backups.make(schedule, run(1))
    root.mkdir()
    made = [await node.backups.make(schedule, run(number)) for number in (1, 2, 3)]
    assert [(each.deleted, each.warning) for each in made] == [(0, ""), (0, ""), (1, "")]
    assert made[0].stored == "v-20270115T080001Z-1.tar.zst"
    kept = sorted((root / "nightly").iterdir())
    assert [path.name for path in kept] == [made[1].stored, made[2].stored]
    assert {oct(path.stat().st_mode & 0o777) for path in kept} == {"0o600"}
    assert [(each.name, each.size_bytes) for each in await node.backups.stored("nightly")] == [
        (made[2].stored, made[2].size_bytes),
        (made[1].stored, made[1].size_bytes),
    ]
    await spoil_and_restore(node, made[1].stored)
    for missing in (made[0].stored, "../../n1/secret", "notes"):
        with pytest.raises(BackupMissing):
            await node.backups.restore("nightly", missing, "v")


async def test_what_is_broken_off_leaves_nothing_that_looks_whole(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "backups"
    root.mkdir()
    schedule = node.scheduled(DirectoryTarget(path=str(root)), keep=Retention(count=1))
    first = await node.backups.make(schedule, run(1))
    folder = root / "nightly"
    (folder / f".{first.stored}x.unfinished").write_bytes(b"of a daemon that was killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        with pytest.raises(StoreError, match="No space left on device"):
            await node.backups.make(schedule, run(2))
    assert [path.name for path in folder.iterdir()] == [first.stored], "and the old one is not deleted"
    with trio.CancelScope() as scope:
        scope.cancel()
        await node.backups.make(schedule, run(3))
    assert [path.name for path in folder.iterdir()] == [first.stored]
    await node.backups.make(schedule, run(4))
    assert len(list(folder.iterdir())) == 1


def _full(_: int) -> None:
    raise OSError(28, os.strerror(28))


async def test_an_encrypted_one_is_opened_by_its_passphrase_only(node: Node, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    target = DirectoryTarget(path=str(tmp_path / "b"))
    schedule = node.scheduled(target, passphrase_sealed=b"esroh", compression="gzip")
    made = await node.backups.make(schedule, run(1))
    stored = tmp_path / "b/nightly" / made.stored
    assert stored.name.endswith(".tar.gz.sealed")
    assert stored.read_bytes().startswith(MAGIC)
    await spoil_and_restore(node, made.stored)
    node.scheduled(target, passphrase_sealed=b"gnorw")
    with pytest.raises(ArchiveRefused, match="passphrase is wrong"):
        await node.backups.restore("nightly", made.stored, "v")
    node.scheduled(target)
    with pytest.raises(BackupStoreFailed, match="has no passphrase"):
        await node.backups.restore("nightly", made.stored, "v")
    assert (await node.directory() / "file").read_bytes() == HELD


def test_what_was_sealed_is_refused_where_it_was_cut_off_or_changed() -> None:
    sealer = Sealer(b"horse")
    sealed = sealer.seal(HELD) + sealer.finish()
    assert b"".join(opened(io.BytesIO(sealed[len(MAGIC) :]), b"horse")) == HELD
    flipped = bytearray(sealed)
    flipped[-5] ^= 1
    for bad in (sealed[:-1], sealed[: len(MAGIC) + 40 + 4 + 262_144 + 17], bytes(flipped)):
        with pytest.raises(SealBroken):
            list(opened(io.BytesIO(bad[len(MAGIC) :]), b"horse"))


@pytest.fixture
def s3() -> Iterator[str]:
    """The URL of an S3 server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_to_an_s3_store_and_back(node: Node, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts, retention, what a killed daemon left, a store that breaks off, and errors in plain words."""
    target = S3Target(bucket="backups", prefix="here", endpoint=s3, access_key_id="id", secret_key_sealed=b"terces")
    schedule = node.scheduled(target, keep=Retention(count=2))
    with pytest.raises(StoreError, match=r"bucket 'backups' at http://127\S+: ListMultipartUploads .* NoSuchBucket"):
        await node.backups.make(schedule, run(1))
    client = S3Store(target, "secret", "nightly")._client()
    await trio.to_thread.run_sync(lambda: client.create_bucket(Bucket="backups"))
    monkeypatch.setattr(s3_store, "part_bytes", lambda number: 5 << 20)
    left = S3Store(target, "secret", "nightly")
    await left._in_thread(left._begin, "here/nightly/left")

    made = [await node.backups.make(schedule, run(number)) for number in (1, 2)]
    (await node.directory() / "large").write_bytes(random.Random(1).randbytes(6 << 20))
    made.append(await node.backups.make(schedule, run(3)))
    assert [each.deleted for each in made] == [0, 0, 1]
    assert [each.name for each in await node.backups.stored("nightly")] == [made[2].stored, made[1].stored]
    assert await _uploads(left) == [], "what was left is gone"
    (await node.directory() / "large").unlink()
    found = await node.backups.restore("nightly", made[2].stored, "v")
    assert found.size_bytes == len(HELD) + (6 << 20)

    async def breaks_off() -> AsyncIterator[bytes]:
        yield bytes(6 << 20)
        raise StoreError("the volume's disk fails")

    with pytest.raises(StoreError, match="disk fails"):
        await left.write("broken", breaks_off())
    assert await _uploads(left) == []
    assert "broken" not in [each.name for each in await left.stored()]


async def _uploads(store: S3Store) -> list[str]:
    answer = await store._in_thread(lambda: store._client().list_multipart_uploads(Bucket="backups"))
    return [upload["Key"] for upload in answer.get("Uploads", ())]


async def test_a_store_that_does_not_answer_is_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "ATTEMPTS", 1)
    target = S3Target(bucket="backups", endpoint="http://127.0.0.1:9", access_key_id="id", secret_key_sealed=b"terces")
    with pytest.raises(StoreError, match=r"bucket 'backups' at http://127.0.0.1:9: Could not connect"):
        await node.backups.make(node.scheduled(target), run(1))
