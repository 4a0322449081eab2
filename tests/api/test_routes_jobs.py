"""The routes of jobs and runs over a played cluster (issue 5, Jobs)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Client

JOB = {"name": "backup", "image": "busybox", "args": ["true"]}


async def created(admin: Client, **more: Any) -> dict[str, Any]:
    status, answer = await admin.send("POST", "/jobs", {**JOB, **more})
    assert status == 201, answer
    return dict(answer)


async def test_a_job_and_its_run_can_be_seen(admin: Client) -> None:
    answer = await created(admin, timeout="5m")
    run_id = answer["run_id"]
    (item,) = (await admin.get("/jobs"))["jobs"]
    assert (item["name"], item["active_runs"], item["last_run_id"]) == ("backup", 1, run_id)
    detail = await admin.get("/jobs/backup")
    assert detail["spec"] == {**JOB, "timeout": "5m"}
    run = await admin.get(f"/jobs/backup/runs/{run_id}")
    assert (run["status"], run["reason"], run["active"]) == ("running", "created", 1)
    assert [container["id"] for container in run["containers"]] == answer["container_ids"]
    assert (await admin.get("/jobs/backup/runs?status=succeeded"))["runs"] == []


async def test_stop_and_delete_a_run(admin: Client) -> None:
    run_id = (await created(admin))["run_id"]
    path = f"/jobs/backup/runs/{run_id}"
    assert (await admin.send("DELETE", path))[0] == 409
    assert (await admin.send("POST", f"{path}/stop"))[0] == 200
    assert (await admin.send("POST", f"{path}/stop"))[0] == 409
    assert (await admin.get(path))["message"] == "stopped by admin"
    assert (await admin.send("DELETE", path))[0] == 200
    assert (await admin.send("GET", path))[0] == 404


async def test_a_schedule_is_suspended_resumed_and_overridden_by_hand(admin: Client) -> None:
    assert (await created(admin, schedule="0 3 * * *", time_zone="Europe/Berlin"))["run_id"] is None
    assert (await admin.get("/jobs/backup"))["next_run_at"] is not None
    await admin.send("POST", "/jobs/backup/suspend")
    suspended = await admin.get("/jobs/backup")
    assert (suspended["suspended"], suspended["next_run_at"]) == (True, None)
    status, answer = await admin.send("POST", "/jobs/backup/trigger")
    assert (status, answer["run_id"] is not None) == (201, True)
    await admin.send("POST", "/jobs/backup/resume")
    status, answer = await admin.send("PUT", "/jobs/backup", {**JOB, "schedule": "@daily"})
    assert (status, (await admin.get("/jobs/backup"))["schedule"]) == (200, "@daily")
    assert (await admin.send("DELETE", "/jobs/backup"))[0] == 200
    assert (await admin.send("GET", "/jobs/backup"))[0] == 404


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"schedule": "every day"}, "schedule"),
        ({"schedule": "@daily", "time_zone": "Nowhere"}, "time_zone"),
        ({"completions": 0}, "completions"),
        ({"backoff_limit": -1}, "backoff_limit"),
        ({"timeout": "soon"}, "timeout"),
        ({"concurrency_policy": "maybe"}, "concurrency_policy"),
        ({"kind": "app"}, "kind"),
        ({"replicas": 3}, "replicas"),
    ],
)
async def test_bad_specs_name_the_field_and_change_nothing(admin: Client, more: dict[str, Any], field: str) -> None:
    status, error = await admin.send("POST", "/jobs", {**JOB, **more})
    assert (status, field in error["message"]) == (400, True), error
    assert (await admin.get("/jobs"))["total"] == 0


async def test_names_that_are_taken_and_things_that_are_not_there(admin: Client) -> None:
    await created(admin)
    assert (await admin.send("POST", "/jobs", JOB))[0] == 409
    assert (await admin.send("POST", "/deploy", {"name": "backup", "image": "x"}))[0] == 409
    assert (await admin.send("POST", "/jobs/none/trigger"))[0] == 404
    assert (await admin.send("GET", "/jobs/backup/runs/none"))[0] == 404


async def test_graphql_leads_from_a_job_to_its_containers(admin: Client) -> None:
    answer = await created(admin)
    query = '{ job(id: "backup") { runs(limit: 5) { id job { name } containers(limit: 5) { id } } } }'
    status, found, _ = await admin.request("POST", "/graphql", {"query": query})
    assert status == 200
    job = found["data"]["job"]
    (run,) = job["runs"]
    assert (run["id"], run["job"]["name"]) == (answer["run_id"], "backup")
    assert [container["id"] for container in run["containers"]] == answer["container_ids"]
