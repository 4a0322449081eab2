"""Jobs on real daemons (issue 5): retries, what attempts wrote, and a schedule that outlives its leader."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hivemind.cli.exits import Exit
from tests.support.cli import command_line
from tests.support.cluster import Cluster
from tests.support.leaders import catch_up, followers, leader, wait_whole
from tests.support.waiting import wait_until

NOT_YET = (httpx2.TransportError,)
RUNS_AFTER = 5
"""Runs of the schedule to wait for after the leader is gone."""
PERIOD_S = 2


def create(cluster: Cluster, number: int, body: dict[str, Any]) -> dict[str, Any]:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.post("/api/jobs", json={"image": "sh", **body})
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])


def get(cluster: Cluster, number: int, path: str) -> dict[str, Any]:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get(f"/api{path}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])


def test_a_job_is_tried_again_and_what_each_attempt_wrote_is_read_at_any_node(three: Cluster, tmp_path: Path) -> None:
    flag = tmp_path / "tried"
    script = f'echo "part $HIVEMIND_RUN_INDEX of $HIVEMIND_RUN"; mkdir {flag} && exit 3; echo done'
    answer = create(three, 1, {"name": "import", "command": ["sh", "-c", script], "retry_delay": "200ms"})
    catch_up(three)
    path = f"/jobs/import/runs/{answer['run_id']}"

    def over() -> bool:
        return get(three, 2, path)["status"] != "running"

    wait_until(over, 30, "the run is over", errors=NOT_YET, poll_s=0.1)
    run = get(three, 2, path)
    assert (run["status"], run["failures"], run["succeeded"]) == ("succeeded", 1, 1), run
    assert [container["exit_code"] for container in run["containers"]] == [3, 0]
    for node in three.nodes:
        text = get(three, node.number, f"{path}/logs")["logs"]
        assert text.count(f"part 0 of {answer['run_id']}") == 2, text
        assert text.count("done") == 1, text


def test_jobs_on_the_command_line(three: Cluster) -> None:
    run_command = command_line(three, 3)

    def hivemind(*arguments: str) -> str:
        found = run_command(*arguments)
        codes.append(found.exit_code)
        return found.output

    codes: list[int] = []
    said = hivemind(
        "job", "create", "--name", "cli", "--image", "sh", "--schedule", "@yearly", "--wait", "--", "-c", ":"
    )
    assert "cli" in said
    assert "@yearly" in hivemind("job", "ls")
    script = 'echo "from $HIVEMIND_RUN"; exec sleep 600'
    update = ["--name", "cli", "--image", "sh", "--schedule", "@yearly", "--backoff-limit", "0", "--cpu", "0.1"]
    hivemind("job", "update", *update, "--env", "A=b", "--", "sh", "-c", script)
    run_id = json.loads(hivemind("job", "run", "cli", "-o", "json"))["run_id"]
    wait_until(lambda: f"from {run_id}" in hivemind("job", "logs", "cli"), 30, "it wrote", poll_s=0.1)
    assert run_id in hivemind("job", "runs", "cli")
    assert "b" in json.loads(hivemind("job", "info", "cli", "-o", "json"))["spec"]["env"]["A"]
    assert set(codes) == {0}
    assert "goes on; stop it first" in hivemind("job", "delete", "cli", run_id)
    assert codes[-1] == Exit.CONFLICT
    codes.clear()
    hivemind("job", "stop", "cli", run_id)
    wait_until(lambda: "stopped" in hivemind("job", "runs", "cli", run_id), 30, "it has stopped", poll_s=0.1)
    assert f"from {run_id}" in hivemind("job", "logs", "cli", run_id, "--follow")
    hivemind("job", "suspend", "cli")
    assert json.loads(hivemind("job", "info", "cli", "-o", "json"))["suspended"] is True
    hivemind("job", "resume", "cli")
    hivemind("job", "delete", "cli", run_id)
    hivemind("job", "delete", "cli")
    assert set(codes) == {0}
    assert "there is no job" in hivemind("job", "info", "cli")


@pytest.mark.soak
def test_an_attempt_that_a_drain_stops_is_begun_elsewhere_and_does_not_count(three: Cluster) -> None:
    body = {"command": ["sh", "-c", "exec sleep 600"], "backoff_limit": 1, "retry_delay": "100ms"}
    run_id = create(three, 1, {"name": "drained", **body})["run_id"]

    def at_work() -> dict[str, Any]:
        found = get(three, 1, f"/jobs/drained/runs/{run_id}")
        seen[:] = [item for item in found["containers"] if item["status"] == "running"]
        return found

    seen: list[dict[str, Any]] = []
    wait_until(lambda: bool(at_work()["active"]) and bool(seen), 30, "it runs", poll_s=0.1)
    node_id = seen[0]["node_id"]
    with three.client(1, timeout_s=30) as client:
        client.post(f"/api/nodes/{node_id}/maintenance", json={"enable": True, "drain": True})
        wait_until(
            lambda: bool(at_work()) and bool(seen) and seen[0]["node_id"] != node_id, 30, "elsewhere", poll_s=0.1
        )
        found = at_work()
        assert (found["status"], found["failures"]) == ("running", 0)
        assert client.post(f"/api/nodes/{node_id}/maintenance", json={"enable": False}).status_code == 200
        assert client.delete("/api/jobs/drained").status_code == 200


@pytest.mark.soak
def test_each_instant_of_a_schedule_makes_one_run_although_the_leader_is_killed(three: Cluster) -> None:
    chief = leader(three)
    number = followers(three)[0].number
    body = {"schedule": f"*/{PERIOD_S} * * * * *", "history": {"succeeded": 50}}
    create(three, number, {"name": "tick", "command": ["true"], **body})

    def runs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = get(three, number, "/jobs/tick/runs?limit=1000")["runs"]
        return found

    def at_least(count: int) -> None:
        wait_until(lambda: len(runs()) >= count, 60, f"{count} runs", errors=NOT_YET, poll_s=0.2)

    at_least(1)
    chief.kill9()
    at_least(len(runs()) + RUNS_AFTER)
    chief.start()
    wait_whole(three)
    at_least(len(runs()) + 1)
    instants = Counter(run["scheduled_at"] for run in runs())
    assert set(instants.values()) == {1}, instants
    with three.client(number, timeout_s=30) as client:
        assert client.delete("/api/jobs/tick").status_code == 200


@pytest.mark.soak
def test_a_run_that_replaces_another_never_runs_beside_it(three: Cluster, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    script = f"trap 'sleep 1; echo end >> {diary}; exit 0' TERM; echo begin >> {diary}; while :; do sleep 0.1; done"

    def written() -> list[str]:
        return diary.read_text().split() if diary.exists() else []

    def trigger() -> str:
        with three.client(2, timeout_s=30) as client:
            return str(client.post("/api/jobs/replaced/trigger").json()["data"]["run_id"])

    policy = {"schedule": "@yearly", "concurrency_policy": "replace"}
    create(three, 1, {"name": "replaced", "command": ["sh", "-c", script], **policy})
    trigger()
    wait_until(lambda: written() == ["begin"], 30, "it runs", poll_s=0.1)
    run_id = [trigger() for _ in range(3)][-1]
    assert "waits until" in get(three, 2, f"/jobs/replaced/runs/{run_id}")["message"]
    wait_until(lambda: len(written()) == 3, 30, "the last one runs", poll_s=0.1)
    assert written() == ["begin", "end", "begin"], "the runs between were never begun"
    assert get(three, 3, f"/jobs/replaced/runs/{run_id}")["active"] == 1
    with three.client(2, timeout_s=30) as client:
        assert client.delete("/api/jobs/replaced").status_code == 200
