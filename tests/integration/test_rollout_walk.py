"""Every strategy walked on real daemons (issue 5, Rollouts): steps by hand and by time, winners, ways back, and what
is refused meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.support.apps import NOT_YET, containers, delete, deploy
from tests.support.cli import command_line
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
SCRIPT = '[ -z "$BAD" ] || exit 3; exec sleep 86400'


class Walk:
    """One app, asked for and looked at through different nodes."""

    def __init__(self, cluster: Cluster, name: str, replicas: int = 4, **more: Any) -> None:
        self.cluster = cluster
        self.name = name
        self.body = {"name": name, "image": "one", "command": ["sh", "-c", SCRIPT], "replicas": replicas, **more}
        deploy(cluster, 1, self.body)

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
        with self.cluster.client(2, timeout_s=30) as client:
            answer = client.request(method, f"/api{path}", json=body)
        assert answer.status_code == status, (answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found["data"] if status < 400 else found["error"]

    def begin(self, strategy: dict[str, Any], **change: Any) -> str:
        body = {"app_name": self.name, "strategy": strategy, **change}
        deployment_id = str(self.ask("POST", "/deployments", body, status=201)["id"])
        self.ask("POST", f"/deployments/{deployment_id}/execute")
        return deployment_id

    def status(self, deployment_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/deployments/{deployment_id}/status")

    def until(
        self, deployment_id: str, status: str, step: int | None = None, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.status(deployment_id))
            return seen["status"] == status and step in (None, seen["current_step"])

        try:
            wait_until(there, timeout_s, f"{deployment_id} is {status}", errors=NOT_YET, poll_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; {seen}") from None
        return seen

    def images(self, wanted: dict[str, int]) -> None:
        """Waits until so many replicas of each image run, and no others are there."""
        seen: list[dict[str, Any]] = []

        def there() -> bool:
            seen[:] = containers(self.cluster, 3, self.name)
            running = all(item["status"] == "running" for item in seen)
            return running and Counter(item["image"] for item in seen) == Counter(wanted)

        try:
            wait_until(there, 60.0, f"images are {wanted}", errors=NOT_YET, poll_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; {[(i['image'], i['status'], i['message']) for i in seen]}") from None

    def ids(self) -> set[str]:
        return {item["id"] for item in containers(self.cluster, 3, self.name)}

    def events(self, deployment_id: str) -> list[str]:
        query = f"/events?resources=deployment/{deployment_id}&limit=1000"
        return [event["type"].removeprefix("deployment_") for event in self.ask("GET", query)["events"]]


def test_a_canary_by_hand_goes_step_by_step_and_holds_its_app(three: Cluster) -> None:
    walk = Walk(three, "canary")
    first = walk.begin({"type": "canary", "steps": [25, 50], "promotion": "manual"}, image="two")
    walk.images({"one": 3, "two": 1})
    walk.until(first, "in_progress", 1)
    told = walk.status(first)
    assert (told["total_steps"], told["target_replicas"]) == (3, 4)
    # Two at once are refused, by every way in.
    second = walk.ask("POST", "/deployments", {"app_name": "canary", "image": "three"}, status=201)["id"]
    for refused in (
        walk.ask("POST", f"/deployments/{second}/execute", status=409),
        walk.ask("PUT", "/apps/canary", {**walk.body, "image": "three"}, status=409),
        walk.ask("POST", "/apps/canary/rollback", {"to": 1}, status=409),
    ):
        assert refused["message"]
    time.sleep(1.0)
    assert walk.status(first)["current_step"] == 1, "nothing moves before the promotion"
    walk.ask("POST", f"/deployments/{first}/promote")
    walk.images({"one": 2, "two": 2})
    walk.until(first, "in_progress", 2)
    walk.ask("POST", f"/deployments/{first}/promote")
    walk.until(first, "completed")
    walk.images({"two": 4})
    events = walk.events(first)
    assert (events[0], events[-1]) == ("started", "completed")
    assert events.count("step") >= 2
    walk.ask("POST", f"/deployments/{first}/promote", status=409)
    delete(three, 1, "canary")


def test_a_canary_by_failure_ratio_goes_on_or_back(three: Cluster) -> None:
    walk = Walk(three, "ratio")
    strategy = {"type": "canary", "percentage": 50, "interval": "300ms", "promotion": "failure-ratio"}
    done = walk.begin({**strategy, "max_failure_ratio": 0.4}, image="two")
    walk.until(done, "completed")
    walk.images({"two": 4})
    bad = walk.begin({**strategy, "max_failure_ratio": 0.4}, image="three", environment={"BAD": "1"})
    told = walk.until(bad, "rolled_back")
    assert "new replicas fail: exited with code 3" in told["message"]
    walk.images({"two": 4})
    assert {"failed", "rolled_back"} <= set(walk.events(bad))
    delete(three, 1, "ratio")


def test_a_pause_waits_for_a_word(three: Cluster) -> None:
    walk = Walk(three, "pausing", 2)
    strategy = {"type": "rolling-update", "max_surge": 1, "on_failure": "pause", "monitor": "200ms"}
    back = walk.begin(strategy, image="two", environment={"BAD": "1"})
    told = walk.until(back, "paused")
    assert "exited with code 3" in told["message"]
    walk.ask("PUT", "/apps/pausing", {**walk.body, "image": "three"}, status=409)
    walk.ask("POST", f"/deployments/{back}/rollback")
    walk.until(back, "rolled_back")
    walk.images({"one": 2})
    accepted = walk.begin(strategy, image="two", environment={"BAD": "1"})
    walk.until(accepted, "paused")
    walk.ask("POST", f"/deployments/{accepted}/promote")
    assert walk.status(accepted)["status"] in ("in_progress", "paused")
    walk.ask("POST", f"/deployments/{accepted}/rollback")
    walk.until(accepted, "rolled_back")
    walk.images({"one": 2})
    delete(three, 1, "pausing")


@pytest.mark.parametrize("winner", ["health", "manual"])
def test_an_ab_test_has_one_winner(three: Cluster, winner: str) -> None:
    walk = Walk(three, f"ab-{winner}")
    variants = [{"image": "red", "percentage": 25, "name": "red"}, {"image": "blue", "percentage": 50}]
    duration = "2s" if winner == "health" else "1h"
    test = walk.begin({"type": "ab-testing", "variants": variants, "duration": duration, "winner": winner})
    walk.images({"one": 1, "red": 1, "blue": 2})
    if winner == "manual":
        assert "winner" in walk.ask("POST", f"/deployments/{test}/promote", {}, status=400)["message"]
        assert "green" in walk.ask("POST", f"/deployments/{test}/promote", {"variant": "green"}, status=400)["message"]
        walk.ask("POST", f"/deployments/{test}/promote", {"variant": "red"})
    walk.until(test, "completed")
    walk.images({"red" if winner == "manual" else "blue": 4})
    delete(three, 1, walk.name)


def test_the_set_that_is_kept_makes_the_way_back_instant(three: Cluster) -> None:
    walk = Walk(three, "bluegreen", 3)
    before = walk.ids()
    done = walk.begin({"type": "blue-green", "keep_old": "60s"}, image="two")
    walk.until(done, "completed")
    assert before < walk.ids(), "the old set stands by"
    walk.ask("POST", f"/deployments/{done}/rollback")
    walk.until(done, "rolled_back", timeout_s=10.0)
    walk.images({"one": 3})
    assert walk.ids() == before, "the same containers serve again"
    short = walk.begin({"type": "blue-green", "keep_old": "1s"}, image="two")
    walk.until(short, "completed")
    walk.images({"two": 3})
    manual = walk.begin({"type": "blue-green", "promotion": "manual", "keep_old": 0}, image="three")
    walk.images({"two": 3, "three": 3})
    assert walk.status(manual)["status"] == "in_progress"
    walk.ask("POST", f"/deployments/{manual}/promote")
    walk.until(manual, "completed")
    walk.images({"three": 3})
    delete(three, 1, "bluegreen")


def test_no_progress_and_failing_replicas_lead_back_to_the_last_good_spec(three: Cluster) -> None:
    walk = Walk(three, "deadline", 2)
    body = {**walk.body, "image": "two", "node_affinity": "zone=nowhere"}
    body["update_strategy"] = {"type": "rolling-update", "progress_deadline": "1s"}
    stuck = str(walk.ask("PUT", "/apps/deadline", body)["deployment_id"])
    told = walk.until(stuck, "rolled_back")
    assert "no progress for 1 s: no node fits" in told["message"]
    walk.images({"one": 2})
    bad = walk.begin({"type": "rolling-update"}, image="two", environment={"BAD": "1"})
    walk.until(bad, "rolled_back")
    walk.images({"one": 2})
    alerts = {alert["id"] for alert in walk.ask("GET", "/alerts")["alerts"]}
    assert "rollout-failed.deadline" in alerts
    good = walk.begin({"type": "simple"}, image="two")
    walk.until(good, "completed")
    walk.images({"two": 2})
    alerts = {alert["id"] for alert in walk.ask("GET", "/alerts")["alerts"]}
    assert "rollout-failed.deadline" not in alerts
    delete(three, 1, "deadline")


def test_history_diff_and_rollback_on_the_command_line(three: Cluster) -> None:
    walk = Walk(three, "storied", 2)
    hivemind = command_line(three, 3)
    quick = ["--monitor", "100ms", "--timeout", "60"]
    for image in ("two", "three"):
        assert hivemind("app", "update", "storied", "--image", image, *quick).exit_code == 0
    lines = hivemind("app", "history", "storied").output.splitlines()
    assert [line.split()[1] for line in lines if line.strip()[:1].isdigit()] == ["three", "two", "one"]
    told = hivemind("app", "diff", "storied").output
    assert "-image: two" in told
    assert "+image: three" in told
    assert "-image: one" in hivemind("app", "diff", "storied", "1", "3").output
    assert hivemind("app", "rollback", "storied", "--to", "1", "--timeout", "60").exit_code == 0
    walk.images({"one": 2})
    assert hivemind("app", "rollback", "storied", "--to", "99").exit_code != 0
    assert hivemind("app", "rollback", "storied", "--timeout", "60").exit_code == 0
    walk.images({"three": 2})
    delete(three, 1, "storied")
