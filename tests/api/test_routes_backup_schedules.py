"""Schedules of backups over the API (issue 6, Volumes): who may, what is refused, and that secrets stay secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.volume_gateway import BackupStoreUnavailable
from consensus import commands
from consensus.model.backup import S3Target

S3 = {"type": "s3", "bucket": "backups", "access_key_id": "id", "secret_access_key": "very secret"}
BODY = {"name": "nightly", "volume": "v", "schedule": "0 3 * * *", "target": {"type": "directory", "path": "/b"}}
NAME = "v-20260101T030000Z-1.tar.zst"


@pytest.fixture
async def volume(admin: Any) -> None:
    assert (await admin.send("POST", "/volumes/create", {"name": "v", "node": "node-1"}))[0] == 201


async def test_a_schedule_from_its_making_to_its_end(admin: Any, volume: None, world: Any) -> None:
    assert (await admin.send("POST", "/backup-schedules", BODY))[0] == 201
    assert (await admin.send("POST", "/backup-schedules", BODY))[0] == 409
    shown = await admin.get("/backup-schedules/nightly")
    assert (shown["status"], shown["target"], shown["last"], shown["spec"]) == ("waiting", "/b", None, BODY)
    status, started = await admin.send("POST", "/backup-schedules/nightly/run")
    assert (status, started["number"]) == (201, 1)
    status, error = await admin.send("POST", "/backup-schedules/nightly/run")
    assert (status, "is being backed up" in error["message"]) == (409, True)
    await world.propose(commands.EndBackup("nightly", 1, error="no room"))
    shown = await admin.get("/backup-schedules/nightly")
    assert (shown["status"], shown["failures"], shown["last_error"]) == ("failed", 1, "no room")
    assert (await admin.get("/alerts"))["alerts"][0]["resource"] == "volume/v"
    await admin.send("POST", "/backup-schedules/nightly/run")
    await world.propose(commands.EndBackup("nightly", 2, stored=NAME, size_bytes=5, deleted=1))
    (item,) = (await admin.get("/backup-schedules?status=succeeded"))["backup_schedules"]
    assert (item["last_stored"], item["last_error"], item["failures"]) == (NAME, None, 0)
    query = "{ volumes(limit: 5) { backup_schedules(limit: 5) { name status last { bytes } volume { name } } } }"
    _, answer, _ = await admin.request("POST", "/graphql", {"query": query})
    assert "errors" not in answer, answer
    (found,) = answer["data"]["volumes"][0]["backup_schedules"]
    assert found == {"name": "nightly", "status": "succeeded", "last": {"bytes": 5}, "volume": {"name": "v"}}
    assert (await admin.send("DELETE", "/backup-schedules/nightly"))[0] == 200
    assert (await admin.send("GET", "/backup-schedules/nightly"))[0] == 404


async def test_secrets_are_kept_and_never_shown(admin: Any, volume: None, world: Any) -> None:
    body = {**BODY, "target": S3, "passphrase": "horse", "keep": {"count": 7, "age": "30d"}}
    assert (await admin.send("POST", "/backup-schedules", body))[0] == 201
    shown = await admin.get("/backup-schedules/nightly")
    assert (shown["encrypted"], shown["target"]) == (True, "s3://backups/")
    assert "secret" not in json.dumps(shown)
    assert "horse" not in json.dumps(shown)

    def kept() -> tuple[bytes | None, bytes | None]:
        spec = world.machine.state.backup_schedules["nightly"].spec
        assert isinstance(spec.target, S3Target)
        return spec.target.secret_key_sealed, spec.passphrase_sealed

    assert (await admin.send("PUT", "/backup-schedules/nightly", {**shown["spec"], "suspended": True}))[0] == 200
    assert kept() == (b"very secret", b"horse"), "what is left out stays"
    other = {**shown["spec"], "passphrase": "", "target": {**S3, "secret_access_key": "new"}}
    assert (await admin.send("PUT", "/backup-schedules/nightly", other))[0] == 200
    assert kept() == (b"new", None)
    other["target"] = {"type": "s3", "bucket": "backups", "access_key_id": "another"}
    status, error = await admin.send("PUT", "/backup-schedules/nightly", other)
    assert (status, "target.secret_access_key" in error["message"]) == (400, True), "a secret is of its id only"


async def test_only_an_admin_writes_to_a_host_directory(admin: Any, volume: None, world: Any, make_client: Any) -> None:
    operator, viewer = [make_client(world, await world.login(name)) for name in ("olga", "vera")]
    assert (await operator.send("POST", "/backup-schedules", BODY))[0] == 403
    assert (await viewer.send("POST", "/backup-schedules", {**BODY, "target": S3}))[0] == 403
    assert (await operator.send("POST", "/backup-schedules", {**BODY, "target": S3}))[0] == 201
    assert (await operator.send("PUT", "/backup-schedules/nightly", BODY))[0] == 403


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"schedule": "soon"}, "schedule"),
        ({"volume": "unknown"}, "volume"),
        ({"target": {"type": "tape"}}, "target"),
        ({"target": {"type": "directory", "path": "b"}}, "target.path"),
        ({"target": {**S3, "path": "/b"}}, "target"),
        ({"keep": {"count": 0}}, "keep.count"),
        ({"keep": {"age": "soon"}}, "keep.age"),
        ({"passphrase_sealed": "x"}, "passphrase_sealed"),
        ({"name": "../x"}, "name"),
    ],
)
async def test_a_wrong_field_is_named(admin: Any, volume: None, wrong: dict[str, Any], field: str) -> None:
    status, error = await admin.send("POST", "/backup-schedules", {**BODY, **wrong})
    assert (status, field in error["message"]) == (400, True), error
    assert (await admin.get("/backup-schedules"))["total"] == 0


async def test_what_there_is_is_listed_and_restored(admin: Any, volume: None, world: Any) -> None:
    await admin.send("POST", "/backup-schedules", BODY)
    status, error = await admin.send("POST", "/volumes/v/restore", {"schedule": "nightly"})
    assert (status, "has no backup" in error["message"]) == (409, True)
    later = NAME.replace("Z-1", "Z-2")
    world.volumes.backups["nightly"] = {NAME: b"old", later: b"newest"}
    assert [each["name"] for each in (await admin.get("/backup-schedules/nightly/backups"))["backups"]] == [later, NAME]
    status, done = await admin.send("POST", "/volumes/v/restore", {"schedule": "nightly"})
    assert (status, done["bytes"], later in done["message"]) == (200, 6, True)
    assert (await admin.send("POST", "/volumes/v/restore", {"schedule": "nightly", "backup": NAME}))[0] == 200
    assert world.volumes.held["node-1", "v"] == b"old"
    assert (await admin.send("POST", "/volumes/v/restore", {"schedule": "nightly", "backup": "x"}))[0] == 404
    assert (await admin.send("POST", "/volumes/v/restore", {"schedule": "x"}))[0] == 400
    await world.deploy(replicas=1, volumes=[{"name": "v", "mount_path": "/data"}])
    assert (await admin.send("POST", "/volumes/v/restore", {"schedule": "nightly"}))[0] == 409
    world.volumes.fault = BackupStoreUnavailable("bucket 'b' does not answer")
    status, error = await admin.send("GET", "/backup-schedules/nightly/backups")
    assert (status, error["message"]) == (503, "bucket 'b' does not answer")
