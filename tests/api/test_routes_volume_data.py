"""The data of volumes over the API (issue 6, "Volumes"): who may, what is refused, what the cluster knows then."""

from __future__ import annotations

from typing import Any

import pytest

from api.volume_gateway import ArchiveInvalid, VolumeConflict, VolumeDiskFull, VolumeMissing, VolumeUnavailable
from consensus import commands
from consensus.model.node import NodeStatus

DATA = b"the volume's data"


async def make(admin: Any, world: Any, name: str = "v", node: str | None = "node-1") -> None:
    body = {"name": name} if node is None else {"name": name, "node": node}
    assert (await admin.send("POST", "/volumes/create", body))[0] == 201
    if node is not None:
        world.volumes.held[node, name] = DATA


async def put(world: Any, admin: Any, path: str, body: bytes) -> tuple[int, Any]:
    headers = {**admin.headers, "Content-Type": "application/octet-stream"}
    answer = await world.app.test_client().put("/api" + path, data=body, headers=headers)
    told = await answer.get_json()
    return answer.status_code, told["data"] if told["success"] else told["error"]


async def test_usage_and_backup_are_asked_of_the_volume_s_node(admin: Any, world: Any) -> None:
    await make(admin, world)
    used = await admin.get("/volumes/v/usage")
    assert (used["node_id"], used["bytes"], used["files"], used["limit"]) == ("node-1", len(DATA), 1, None)
    for query, compression in (("", "zstd"), ("?compression=gzip", "gzip")):
        answer = await world.app.test_client().get(f"/api/volumes/v/backup{query}", headers=admin.headers)
        assert (answer.status_code, answer.content_type) == (200, f"application/{compression}")
        assert await answer.get_data() == compression.encode() + DATA
    status, error = await admin.send("GET", "/volumes/v/backup?compression=lz4")
    assert (status, "compression" in error["message"]) == (400, True)


async def test_a_restore_replaces_what_nobody_mounts(admin: Any, world: Any) -> None:
    await make(admin, world)
    assert (await put(world, admin, "/volumes/v/restore", b"new"))[0] == 200
    assert world.volumes.held == {("node-1", "v"): b"new"}
    assert world.volumes.arrivals == [("node-1", "v")]
    await world.deploy(replicas=1, volumes=[{"name": "v", "mount_path": "/data"}])
    status, error = await put(world, admin, "/volumes/v/restore", b"newer")
    assert (status, error["code"]) == (409, "resource_conflict")
    assert "scale its apps to 0" in error["message"]
    assert world.volumes.held == {("node-1", "v"): b"new"}


async def test_a_volume_without_data_is_restored_where_it_was_asked_for_or_here(admin: Any, world: Any) -> None:
    await world.add_node("node-2")
    await make(admin, world, "v", None)
    await make(admin, world, "w", None)
    assert (await admin.send("GET", "/volumes/v/usage"))[0] == 409, "no data yet"
    assert (await put(world, admin, "/volumes/v/restore", b"v"))[1]["node_id"] == "node-1"
    assert (await put(world, admin, "/volumes/w/restore?node=node-2", b"w"))[1]["node_id"] == "node-2"
    assert [v["node_id"] for v in (await admin.get("/volumes"))["volumes"]] == ["node-1", "node-2"]
    assert (await put(world, admin, "/volumes/w/restore?node=node-1", b"w"))[0] == 409, "that would be a move"
    assert (await put(world, admin, "/volumes/w/restore?node=node-9", b"w"))[0] == 400


async def test_a_volume_whose_node_is_lost_comes_back_elsewhere(admin: Any, world: Any) -> None:
    await world.add_node("node-2")
    await make(admin, world, node="node-2")
    await world.propose(
        commands.SetNodeStatus(node_id="node-2", expected=NodeStatus.READY, status=NodeStatus.LOST, message="lost")
    )
    assert (await put(world, admin, "/volumes/v/restore", b"again"))[1]["node_id"] == "node-1"
    assert (await admin.get("/volumes/v"))["node_id"] == "node-1"


async def test_clones_and_snapshots_are_volumes_of_their_own(admin: Any, world: Any) -> None:
    await make(admin, world)
    status, made = await admin.send("POST", "/volumes/v/clone", {"name": "copy", "labels": {"a": "b"}})
    assert (status, made["name"], made["bytes"]) == (201, "copy", len(DATA))
    assert (await admin.send("POST", "/volumes/v/snapshots", {"name": "monday"}))[0] == 201
    assert (await admin.send("POST", "/volumes/v/clone", {"name": "copy"}))[0] == 409
    assert (await admin.send("POST", "/volumes/monday/snapshots", {"name": "of-it"}))[0] == 409
    assert [s["name"] for s in (await admin.get("/volumes/v/snapshots"))["snapshots"]] == ["monday"]
    detail = await admin.get("/volumes/copy")
    assert (detail["cloned_from"], detail["snapshot"], detail["labels"]) == ("v", False, {"a": "b"})
    world.volumes.held["node-1", "v"] = b"changed"
    assert (await admin.send("POST", "/volumes/v/rollback", {"snapshot": "monday"}))[0] == 200
    assert world.volumes.held["node-1", "v"] == DATA
    status, error = await admin.send("POST", "/volumes/v/rollback", {"snapshot": "copy"})
    assert (status, error["message"].startswith("snapshot: expected")) == (400, True)


async def test_a_move_is_known_when_the_data_is_there(admin: Any, world: Any) -> None:
    await world.add_node("node-2")
    await make(admin, world)
    status, moved = await admin.send("POST", "/volumes/v/move", {"node": "node-2"})
    assert (status, moved["node_id"]) == (200, "node-2")
    assert (await admin.get("/volumes/v"))["node_id"] == "node-2"
    assert world.volumes.arrivals == [("node-2", "v")]
    assert (await admin.send("POST", "/volumes/v/move", {"node": "node-2"}))[0] == 409
    assert (await admin.send("POST", "/volumes/v/move", {"node": "node-9"}))[0] == 400
    await world.deploy(replicas=1, volumes=[{"name": "v", "mount_path": "/data"}])
    assert (await admin.send("POST", "/volumes/v/move", {"node": "node-1"}))[0] == 409, "it is used"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (VolumeUnavailable("node-1 does not answer"), 503, "unavailable"),
        (VolumeMissing("no data"), 404, "resource_not_found"),
        (VolumeConflict("busy"), 409, "resource_conflict"),
        (ArchiveInvalid("cut off"), 400, "invalid_request"),
        (VolumeDiskFull("no room"), 503, "storage_full"),
    ],
)
async def test_what_goes_wrong_has_a_status_of_its_own(
    admin: Any, world: Any, fault: Any, status: int, code: str
) -> None:
    await make(admin, world)
    world.volumes.fault = fault
    got, error = await put(world, admin, "/volumes/v/restore", b"x")
    assert (got, error["code"], error["message"]) == (status, code, str(fault))
    assert (await admin.send("GET", "/volumes/v/usage"))[0] == status
    assert (await admin.send("GET", "/volumes/v/backup"))[0] in (status, 200), "a stream may have begun"
    assert world.volumes.arrivals == [("node-1", "v")]


async def test_only_local_ones_have_data_of_ours(admin: Any) -> None:
    body = {"name": "m", "type": "ephemeral", "size": "64M"}
    assert (await admin.send("POST", "/volumes/create", body))[0] == 201
    for method, path in (("GET", "usage"), ("GET", "backup"), ("PUT", "restore")):
        status, error = await admin.send(method, f"/volumes/m/{path}")
        assert (status, "type ephemeral" in error["message"]) == (409, True)
        assert (await admin.send(method, f"/volumes/nowhere/{path}"))[0] == 404


async def test_a_host_s_directory_is_for_who_may_do_all_with_the_host(admin: Any, world: Any, make_client: Any) -> None:
    olga = make_client(world, await world.login("olga"))
    body = {"name": "etc", "type": "hostpath", "path": "/etc"}
    status, error = await olga.send("POST", "/volumes/create", body)
    assert (status, error["code"]) == (403, "permission_denied")
    assert (await admin.send("POST", "/volumes/create", body))[0] == 201
