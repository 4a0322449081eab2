"""The data of volumes on the nodes that have it, from any node: with real directories, over a played peer channel."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from immutables import Map

from consensus.model.backup import BackupSchedule, BackupSpec, DirectoryTarget
from consensus.model.volume import Volume
from consensus.state import State
from runtime.engine.process.engine import ProcessEngine
from runtime.volumes import data as data_module
from runtime.volumes.archive import ArchiveError
from runtime.volumes.backups import VolumeBackups
from runtime.volumes.cleaner import VolumeCleaner
from runtime.volumes.data import VolumeData
from runtime.volumes.errors import (
    ArchiveRefused,
    BackupMissing,
    VolumeBusy,
    VolumeError,
    VolumeNotHere,
    VolumeStorageFull,
    VolumeUnreachable,
    VolumeUnsupported,
)
from runtime.volumes.gateway import VolumeGateway
from runtime.volumes.provider import VolumeProvider
from runtime.volumes.server import VolumeServer
from tests.runtime.peer_net import FakePeerError, PeerNet

CLUSTER = "c1"
FAILURES = (FakePeerError,)


class Node:
    def __init__(self, name: str, folder: Path, net: PeerNet) -> None:
        self.engine = ProcessEngine(folder / name, address="127.0.0.1")
        self.volumes: dict[str, Volume] = {}
        provider = VolumeProvider(
            self.engine, cluster_id=CLUSTER, node_id=name, find=self.volumes.get, mounts=lambda task_id: ["v"]
        )
        self.cleaner = VolumeCleaner(self.engine, cluster_id=CLUSTER, node_id=name)
        self.provider = provider
        self.data = VolumeData(self.engine, provider, self.cleaner, cluster_id=CLUSTER, node_id=name)
        channel = net.channel(name)
        self.schedules: dict[str, BackupSchedule] = {}
        backups = VolumeBackups(
            self.data, state=lambda: State(backup_schedules=Map(self.schedules)), unseal=lambda sealed: sealed
        )
        self.gateway = VolumeGateway(
            node_id=name, local=self.data, backups=backups, peers=channel, peer_failures=FAILURES
        )
        VolumeServer(self.data, backups, self.gateway, peer_failures=FAILURES).serve(channel)

    async def directory(self, name: str) -> Path:
        return Path((await self.provider.engine_volume(name)).path)


@pytest.fixture
async def nodes(nursery: trio.Nursery, tmp_path: Path) -> tuple[Node, Node]:
    net = PeerNet(nursery)
    return Node("n1", tmp_path, net), Node("n2", tmp_path, net)


async def filled(node: Node, name: str = "v") -> bytes:
    held = random.Random(name).randbytes(900_000)
    (await node.directory(name) / "file").write_bytes(held)
    return held


async def backed_up(gateway: VolumeGateway, node_id: str, compression: Any = "zstd") -> list[bytes]:
    async with gateway.backup(node_id, "v", compression) as pieces:
        return [piece async for piece in pieces]


async def pieces_of(pieces: list[bytes], *, then: Exception | None = None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if then is not None:
        raise then


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_backup_and_restore_through_another_node(nodes: tuple[Node, Node], compression: str) -> None:
    one, two = nodes
    held = await filled(one)
    archive = await backed_up(two.gateway, "n1", compression)
    directory = await one.directory("v")
    (directory / "file").write_text("changed")
    (directory / "more").touch()
    found = await two.gateway.restore("n1", "v", pieces_of(archive))
    assert (found.size_bytes, found.files) == (900_000, 1)
    directory = await one.directory("v")
    assert (directory / "file").read_bytes() == held
    assert not (directory / "more").exists()
    assert await two.gateway.usage("n1", "v") == await one.gateway.usage("n1", "v") == found


@pytest.mark.parametrize("through", [0, 1])
async def test_a_restore_that_breaks_off_changes_nothing(nodes: tuple[Node, Node], through: int) -> None:
    one = nodes[0]
    held = await filled(one)
    archive = await backed_up(one.gateway, "n1")
    gateway = nodes[through].gateway
    with pytest.raises(ArchiveRefused):
        await gateway.restore("n1", "v", pieces_of(archive[:1]))
    with pytest.raises(trio.BrokenResourceError):
        await gateway.restore("n1", "v", pieces_of(archive[:1], then=trio.BrokenResourceError("the client left")))
    with trio.move_on_after(0.2):
        send, receive = trio.open_memory_channel[bytes](1)
        await send.send(archive[0])
        await gateway.restore("n1", "v", receive)
    await trio.sleep(0.1)
    directory = await one.directory("v")
    assert [path.name for path in directory.iterdir()] == ["file"]
    assert (directory / "file").read_bytes() == held
    assert [path.name for path in directory.parent.iterdir() if path.name.startswith(".hivemind")] == []
    assert (await gateway.restore("n1", "v", pieces_of(archive))).files == 1, "and it is not locked"


@pytest.mark.parametrize("through", [0, 1])
async def test_a_full_disk_is_told_by_its_name_and_changes_nothing(
    nodes: tuple[Node, Node], through: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = nodes[0]
    held = await filled(one)
    archive = await backed_up(one.gateway, "n1")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(data_module, "read_archive", full)
    with pytest.raises(VolumeStorageFull, match="no room on disk for volume 'v'"):
        await nodes[through].gateway.restore("n1", "v", pieces_of(archive))
    assert (await one.directory("v") / "file").read_bytes() == held


@pytest.mark.parametrize("through", [0, 1])
async def test_a_backup_that_breaks_off_says_why(
    nodes: tuple[Node, Node], through: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(nodes[0])

    def shrinks(directory: Path, write: Callable[[bytes], None], compression: Any) -> None:
        write(b"the beginning")
        raise ArchiveError("a file changed while it was read")

    monkeypatch.setattr(data_module, "write_archive", shrinks)
    with pytest.raises(VolumeError, match="volume 'v': a file changed while it was read"):
        await backed_up(nodes[through].gateway, "n1")


async def test_a_copy_and_a_move(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    held = await filled(one)
    await two.gateway.copy("n1", "v", "w")
    assert (await one.directory("w") / "file").read_bytes() == held
    for gateway in (one.gateway, two.gateway):
        await gateway.move("v", source="n1", target="n2")
        assert (await two.directory("v") / "file").read_bytes() == held


@pytest.mark.parametrize("through", [0, 1])
async def test_a_stored_backup_is_listed_and_restored_by_the_node_that_sees_it(
    nodes: tuple[Node, Node], through: int, tmp_path: Path
) -> None:
    one, gateway = nodes[0], nodes[through].gateway
    folder = tmp_path / "kept/nightly"
    folder.mkdir(parents=True)
    spec = BackupSpec(name="nightly", volume="v", schedule="@daily", target=DirectoryTarget(path=str(folder.parent)))
    one.schedules["nightly"] = BackupSchedule(spec=spec, created_at_s=0, updated_at_s=0)
    held = await filled(one)
    name = "v-20260101T030000Z-1.tar.zst"
    (folder / name).write_bytes(b"".join(await backed_up(one.gateway, "n1")))
    (await one.directory("v") / "file").write_text("spoilt")
    assert [stored.name for stored in await gateway.stored("n1", "nightly")] == [name]
    assert (await gateway.restore_stored("n1", "nightly", name, "v")).files == 1
    assert (await one.directory("v") / "file").read_bytes() == held
    with pytest.raises(BackupMissing):
        await gateway.restore_stored("n1", "nightly", name.replace("1.tar", "2.tar"), "v")
    (folder / name).write_bytes(b"no archive")
    with pytest.raises(ArchiveRefused):
        await gateway.restore_stored("n1", "nightly", name, "v")
    assert (await one.directory("v") / "file").read_bytes() == held


async def test_what_arrives_is_spared_until_the_cluster_knows_of_it(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await filled(one)
    await one.gateway.move("v", source="n1", target="n2")
    assert two.cleaner.spared == {"v"}
    await one.gateway.arrived("n2", "v")
    assert two.cleaner.spared == set()


async def test_one_thing_at_a_time(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await filled(one)
    async with one.gateway.backup("n1", "v", "zstd"):
        with pytest.raises(VolumeBusy):
            await two.gateway.restore("n1", "v", pieces_of([b""]))


async def test_what_is_not_there_or_cannot_be_reached(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes
    with pytest.raises(VolumeNotHere, match="has no data on node n1"):
        await two.gateway.usage("n1", "v")
    with pytest.raises(VolumeUnreachable):
        await two.gateway.usage("n9", "v")
    with pytest.raises(VolumeUnreachable):
        await backed_up(two.gateway, "n9")
    await filled(one)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(VolumeUnsupported, match="cannot be reached by the daemon on n1"):
        await two.gateway.usage("n1", "v")


class TestQuota:
    """The process engine has no quota, as Docker on most file systems."""

    async def test_by_default_it_is_said_and_done_without(self, nodes: tuple[Node, Node]) -> None:
        one = nodes[0]
        one.volumes["v"] = Volume(name="v", size="1M", created_at_s=0)
        await one.provider.provide("v")
        assert (await one.directory("v")).is_dir()

    async def test_where_it_must_hold_there_is_no_volume(self, nodes: tuple[Node, Node]) -> None:
        one = nodes[0]
        one.volumes["v"] = Volume(name="v", size="1M", without_quota="refuse", created_at_s=0)
        with pytest.raises(Exception, match="its size cannot be enforced on this node"):
            await one.provider.provide("v")
