"""Volumes of real daemons (issue 6, bar 7): every byte comes back, through any node, or nothing changes.

Scheduled backups go on over a leader's death, one at a time, whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.volumes.sealing import MAGIC
from tests.support.apps import containers, deploy, wait_running
from tests.support.cluster import API_PORT, Cluster, Node
from tests.support.event_clients import basic
from tests.support.leaders import catch_up
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

QUICK_BYTES = 2_000_000
BAR_BYTES = 200_000_000
WRITER = ["sh", "-c", 'trap "exit 0" TERM; while :; do sleep 0.1; done']


def cli(cluster: Cluster, number: int, *arguments: str) -> Any:
    done = cluster.cli(number, *arguments, "-o", "json", timeout_s=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def directory_of(cluster: Cluster, name: str) -> Path:
    """Where the process engine keeps a volume, on the one node that has it."""
    found = list(cluster.data_dir.glob(f"*/engine/volumes/*-{name}/data"))
    assert len(found) == 1, found
    return found[0]


def schedule_of(cluster: Cluster, number: int, name: str) -> Any:
    return get(cluster, number, f"/backup-schedules/{name}")


def get(cluster: Cluster, number: int, path: str) -> Any:
    with cluster.client(number) as client:
        return client.get(f"/api{path}").json()["data"]


def backup_alerts(cluster: Cluster, number: int) -> list[str]:
    return [alert["resource"] for alert in get(cluster, number, "/alerts")["alerts"] if "backup" in alert["id"]]


def node_called(cluster: Cluster, name: str) -> Node:
    return next(node for node in cluster.nodes if node.name == name)


def leader_of(cluster: Cluster, number: int) -> str:
    return str(get(cluster, number, "/cluster")["leader"])


def numbers_in(folder: Path) -> list[int]:
    """Of the backups that look whole."""
    found = [re.fullmatch(r"\S+Z-(\d+)\.tar\.(zst|gz)(\.sealed)?", path.name) for path in folder.iterdir()]
    return sorted(int(match[1]) for match in found if match is not None)


def filled(cluster: Cluster, name: str, size: int) -> str:
    """A volume that an app has mounted, with random data and a tree in it, and no user; the data's digest."""
    body = {"name": f"uses-{name}", "image": "sh", "command": WRITER, "replicas": 1, "stop_grace_period": "1s"}
    deploy(cluster, 1, {**body, "volumes": [{"name": name, "mount_path": "/data"}]})
    wait_running(cluster, 1, f"uses-{name}", 1)
    directory = directory_of(cluster, name)
    (directory / "deep/er").mkdir(parents=True)
    (directory / "deep/er/random").write_bytes(random.Random(name).randbytes(size))
    (directory / "deep/link").symlink_to("er/random")
    with cluster.client(1) as client:
        assert client.post("/api/scale", json={"name": f"uses-{name}", "replicas": 0}).status_code == 200
    wait_until(lambda: not containers(cluster, 1, f"uses-{name}"), 20, "the volume has no user")
    catch_up(cluster)
    return digest(directory)


def digest(directory: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        held = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        total.update(f"{path.relative_to(directory)} {path.lstat().st_mode}".encode() + held)
    return total.hexdigest()


sizes = pytest.mark.parametrize(
    "size", [QUICK_BYTES, pytest.param(BAR_BYTES, marks=[pytest.mark.soak, pytest.mark.timeout(900)], id="200MB")]
)


@sizes
def test_backup_and_restore_keep_every_byte(
    three: Cluster, tmp_path: Path, size: int, figure: Callable[[str], None]
) -> None:
    name = f"v{size}"
    before = filled(three, name, size)
    (tmp_path / "secret").write_text("correct horse")
    plain, sealed = tmp_path / "plain.tar.zst", tmp_path / "sealed"
    assert three.cli(2, "volume", "backup", name, str(plain), timeout_s=240).returncode == 0
    with_secret = ("--passphrase-file", str(tmp_path / "secret"))
    sealing = three.cli(3, "volume", "backup", name, str(sealed), "--compression", "gzip", *with_secret, timeout_s=240)
    assert sealing.returncode == 0, sealing.stderr
    for file, options in ((plain, ()), (sealed, with_secret)):
        directory = directory_of(three, name)
        (directory / "deep/er/random").write_bytes(b"spoilt")
        (directory / "more").touch()
        restored = cli(three, 3, "volume", "restore", name, str(file), *options)
        assert restored["bytes"] == size
        assert digest(directory_of(three, name)) == before
    assert cli(three, 1, "volume", "usage", name)["files"] == 2
    figure(f"volume of {size} bytes: backup of {plain.stat().st_size} bytes, restored twice, every byte the same")

    (tmp_path / "wrong").write_text("wrong")
    refused = three.cli(1, "volume", "restore", name, str(sealed), "--passphrase-file", str(tmp_path / "wrong"))
    assert (refused.returncode, "passphrase is wrong" in refused.stderr) == (1, True)
    cut = tmp_path / "cut"
    cut.write_bytes(plain.read_bytes()[:-100])
    refused = three.cli(2, "volume", "restore", name, str(cut))
    assert (refused.returncode, "not a whole archive" in refused.stderr) == (1, True), refused.stderr
    assert digest(directory_of(three, name)) == before


@sizes
def test_a_client_that_breaks_off_restores_nothing(three: Cluster, tmp_path: Path, size: int) -> None:
    name = f"broken{size}"
    before = filled(three, name, size)
    archive = tmp_path / "archive"
    assert three.cli(1, "volume", "backup", name, str(archive), timeout_s=240).returncode == 0
    data = archive.read_bytes()
    volume = directory_of(three, name)
    for node in three.nodes:
        with socket.create_connection((node.address, API_PORT)) as client:
            head = f"PUT /api/volumes/{name}/restore HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
            client.sendall(f"{head}Authorization: {basic(three)}\r\n\r\n".encode())
            client.sendall(data[: len(data) // 2])
            wait_until(lambda: _halves(volume), 20, "half of it is there")
        wait_until(lambda: not _halves(volume), 20, "nothing half restored is left")
        assert digest(volume) == before
    assert cli(three, 1, "volume", "restore", name, str(archive))["files"] == 2, "and nothing is locked"
    assert digest(directory_of(three, name)) == before


def _halves(volume: Path) -> list[Path]:
    """What is restored, and has not taken the volume's place."""
    return list(volume.parent.glob(".hivemind-new-*"))


@pytest.mark.lab
@sizes
def test_a_restore_that_finds_the_disk_full_changes_nothing(three: Cluster, tmp_path: Path, size: int) -> None:
    """A volume and its successor need room for both."""
    name = f"full{size}"
    before = filled(three, name, size)
    archive, small = tmp_path / "archive", tmp_path / "small.tar.gz"
    assert three.cli(1, "volume", "backup", name, str(archive), timeout_s=240).returncode == 0
    with tarfile.open(small, "w:gz") as tar:
        tar.add(__file__, "this")
    volume = directory_of(three, name)
    with _on_small_disk(volume, size + size // 2):
        for number in (1, 2, 3) if size == BAR_BYTES else (2,):
            refused = three.cli(number, "volume", "restore", name, str(archive), timeout_s=240)
            assert (refused.returncode, f"no room on disk for volume '{name}'" in refused.stderr) == (1, True), refused
            assert not _halves(volume)
            assert digest(volume) == before
        assert cli(three, 2, "volume", "restore", name, str(small))["files"] == 1, "what fits is restored"


@contextmanager
def _on_small_disk(volume: Path, size_bytes: int) -> Iterator[None]:
    """The volume lies on a file system of this size while this lasts; what it has then is gone."""
    aside = volume.parent.with_name(f"{volume.parent.name}-aside")
    volume.parent.rename(aside)
    with small_disk(volume.parent, size_bytes):
        subprocess.run(["cp", "-a", f"{aside}/.", volume.parent], check=True)
        yield
    aside.rename(volume.parent)


def test_copies_and_moves(three: Cluster) -> None:
    before = filled(three, "travels", 1_000_000)
    with three.client(1) as client:
        home = client.get("/api/volumes/travels").json()["data"]["node_id"]
    cli(three, 2, "volume", "snapshot", "travels", "monday")
    cli(three, 3, "volume", "clone", "travels", "double")
    assert digest(directory_of(three, "double")) == before
    (directory_of(three, "travels") / "more").touch()
    cli(three, 1, "volume", "rollback", "travels", "monday")
    assert digest(directory_of(three, "travels")) == before
    target = next(node for node in three.nodes if node.name != home)
    assert cli(three, 1, "volume", "move", "travels", target.name)["node_id"] == target.name

    def only_there() -> bool:
        found = list(three.data_dir.glob("*/engine/volumes/*-travels/data"))
        return [path.relative_to(three.data_dir).parts[0] for path in found] == [target.name]

    wait_until(only_there, 20, "the old node has removed it")
    assert digest(directory_of(three, "travels")) == before
    with three.client(2) as client:
        assert client.post("/api/scale", json={"name": "uses-travels", "replicas": 1}).status_code == 200
    wait_running(three, 1, "uses-travels", 1)
    (user,) = containers(three, 1, "uses-travels")
    assert user["node_id"] == target.name, "its app follows it"


@pytest.fixture
def elsewhere(three: Cluster) -> Iterator[tuple[str, str]]:
    """A volume with data, and its digest; its node does not lead."""
    before = filled(three, "kept", 1_000_000)
    home = get(three, 1, "/volumes/kept")["node_id"]
    if leader_of(three, 1) == home:
        other = next(node.name for node in three.nodes if node.name != home)
        assert three.cli(1, "cluster", "transfer-leader", other).returncode == 0
    yield home, before
    for node in three.nodes:
        if not node.is_running():
            node.start()
    three.wait_ready([node.number for node in three.nodes])


def test_by_the_second_over_a_leader_s_death(three: Cluster, elsewhere: tuple[str, str], tmp_path: Path) -> None:
    home, before = elsewhere
    kept, secret = tmp_path / "kept", tmp_path / "secret"
    kept.mkdir()
    secret.write_text("correct horse")
    asked = node_called(three, home).number
    options = ("--volume", "kept", "--directory", str(kept), "--schedule", "* * * * * *", "--keep-count", "2")
    cli(three, 2, "volume", "backup-schedule", "create", "all", *options)
    folder = kept / "all"
    wait_until(lambda: folder.is_dir() and len(numbers_in(folder)) >= 2, 30, "backups come by themselves")

    node_called(three, leader_of(three, asked)).kill9()
    made = numbers_in(folder)[-1]
    wait_until(lambda: numbers_in(folder)[-1] >= made + 2, 60, "and go on under another leader")
    shown = schedule_of(three, asked, "all")
    assert (shown["failures"], shown["last_error"]) == (0, None)
    assert len(numbers_in(folder)) <= 3, "two, and one that is just there"

    changed = ("--suspend", "--passphrase-file", str(secret))
    cli(three, asked, "volume", "backup-schedule", "update", "all", *changed)
    wait_until(lambda: schedule_of(three, asked, "all")["status"] != "running", 20, "the last one is done")
    kept.rename(tmp_path / "unmounted")
    failed = three.cli(asked, "volume", "backup-schedule", "run", "all", "--wait")
    assert (failed.returncode, "there is no directory" in failed.stderr) == (1, True), failed.stderr
    assert backup_alerts(three, asked) == ["volume/kept"]
    (tmp_path / "unmounted").rename(kept)
    done = cli(three, asked, "volume", "backup-schedule", "run", "all", "--wait")
    assert (folder / done["stored"]).read_bytes().startswith(MAGIC)
    assert backup_alerts(three, asked) == []

    (directory_of(three, "kept") / "deep/er/random").write_bytes(b"spoilt")
    assert cli(three, asked, "volume", "backup-schedule", "restore", "all")["bytes"] == 1_000_000
    assert digest(directory_of(three, "kept")) == before
    with three.client(asked) as client:
        assert client.delete("/api/backup-schedules/all").status_code == 200


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_node_that_is_killed_while_it_backs_up(three: Cluster, tmp_path: Path) -> None:
    """200 MB take long enough to be in the middle of it."""
    before = filled(three, "large", BAR_BYTES)
    home = node_called(three, get(three, 1, "/volumes/large")["node_id"])
    kept = tmp_path / "kept"
    kept.mkdir()
    asked = next(node.number for node in three.nodes if node is not home)
    options = ("--schedule", "@yearly", "--compression", "gzip")
    cli(
        three,
        asked,
        "volume",
        "backup-schedule",
        "create",
        "big",
        "--volume",
        "large",
        "--directory",
        str(kept),
        *options,
    )
    cli(three, asked, "volume", "backup-schedule", "run", "big")
    wait_until(lambda: list(kept.glob("big/.*.unfinished")), 20, "it is being written")
    time.sleep(0.3)
    home.kill9()
    assert numbers_in(kept / "big") == [], "nothing looks whole"
    home.start()
    three.wait_ready([node.number for node in three.nodes])
    wait_until(lambda: numbers_in(kept / "big"), 180, "it is made anew")
    wait_until(lambda: schedule_of(three, asked, "big")["status"] == "succeeded", 20, "and told")
    assert not list(kept.glob("big/.*"))
    (directory_of(three, "large") / "deep/er/random").write_bytes(b"spoilt")
    assert cli(three, asked, "volume", "backup-schedule", "restore", "big")["bytes"] == BAR_BYTES
    assert digest(directory_of(three, "large")) == before


@pytest.mark.docker
def test_volumes_of_each_type_in_a_container(docker_host: str, tmp_path: Path) -> None:
    """One daemon is enough: what differs from the process engine is what Docker mounts."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "given").write_text("by the host")
    looks = "echo kept > /local/file; cat /host/given; df /memory"
    command = ["sh", "-c", f'trap "exit 0" TERM; {looks}; while :; do sleep 0.1; done']
    with Cluster(nodes=1, data_dir=tmp_path / "cluster", runtime="docker", docker_host=docker_host) as cluster:
        cli(cluster, 1, "volume", "create", "host", "--type", "hostpath", "--path", str(host))
        cli(cluster, 1, "volume", "create", "memory", "--type", "ephemeral", "--size", "1M")
        cli(cluster, 1, "volume", "create", "held", "--size", "10M", "--without-quota", "refuse")
        names = {"data": "/local", "host": "/host", "memory": "/memory"}
        mounts = [{"name": name, "mount_path": path} for name, path in names.items()]
        body = {"name": "app", "image": "busybox:local", "command": command, "volumes": mounts, "replicas": 1}
        deploy(cluster, 1, body)
        seen = wait_until(lambda: cluster.cli(1, "app", "logs", "app").stdout, 20, "the app's log")
        assert "by the host" in seen
        assert "tmpfs" in seen
        assert " 1024 " in seen, "of a size of its own"
        assert cli(cluster, 1, "volume", "usage", "data")["bytes"] == len("kept\n")
        far = ("--type", "network", "--filesystem", "none-such", "--from-server", "127.0.0.1", "--path", "/x")
        cli(cluster, 1, "volume", "create", "far", *far)
        for name in ("held", "far"):
            refused = {**body, "name": name, "volumes": [{"name": name, "mount_path": "/x"}]}
            deploy(cluster, 1, refused, running=False)

        def told(app: str, reason: str) -> bool:
            with cluster.client(1) as client:
                return reason in client.get(f"/api/apps/{app}").text

        reasons = {"held": "its size cannot be enforced on this node", "far": "machine has no such file system"}
        for name, reason in reasons.items():
            wait_until(lambda n=name, r=reason: told(n, r), 30, f"{name} says why it does not run")
