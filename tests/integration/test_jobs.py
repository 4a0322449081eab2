"""Jobs on real daemons (issue 5): retries, what attempts wrote, and a schedule that outlives its leader."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.cluster import Cluster
from tests.support.leaders import followers, leader, wait_whole
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
