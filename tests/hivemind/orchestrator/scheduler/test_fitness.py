"""Nodes that an app cannot use: of another architecture than its image, or with its port in another program's hands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.architecture import architecture, runs
from consensus.model.deployment import Change, Deployment, DeploymentStatus
from consensus.model.node import HostPort
from consensus.model.strategy import BlueGreen, RollingUpdate, Strategy
from consensus.model.task import Task, TaskState, TaskStatus
from consensus.outcomes import Recorded, Refusal
from hivemind.orchestrator import placement, replicas, rolling, rollout
from hivemind.orchestrator.scheduler.impossible import why_impossible
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from runtime.engine.emulation import emulated_architectures
from tests.consensus.making import Feed, facts, running, spec

ARM = TaskStatus(state=TaskState.FAILED, message="image x is made for arm64", image_architecture="arm64")


def cluster(*architectures: str) -> Feed:
    feed = Feed()
    for number, name in enumerate(architectures, 1):
        told = replace(facts(number), architecture=name)
        feed.accepted(c.AddNode(f"n{number}", told), c.StartNode(f"n{number}", boot_id=f"n{number}-1", facts=told))
    return feed


def plan(feed: Feed) -> None:
    """Until nothing more is planned."""
    for _ in range(20):
        state = feed.state
        commands: list[c.AnyCommand] = [*replicas.plan(state, ["web"]), *rolling.plan(state, ["web"])]
        commands = commands or [*placement.plan(state, Surroundings())]
        if not commands:
            return
        feed.accepted(*commands)
    raise AssertionError("it does not come to an end")


def places(feed: Feed) -> list[str | None]:
    return sorted((task.node_id for task in wanted(feed)), key=str)


def wanted(feed: Feed) -> list[Task]:
    return [task for task in feed.tasks() if task.wanted]


def gone(feed: Feed) -> None:
    """The nodes have taken away what is not wanted any more."""
    for task in feed.tasks():
        if not task.wanted and task.node_id is not None:
            feed.accepted(c.ReportTasks(task.node_id, [], [task.id]))


@pytest.mark.parametrize(
    ("told", "where"),
    [
        (["arm64"], ["n3", "n3"]),
        (["amd64", "s390x"], ["n1", "n2"]),
        (["arm64", "amd64"], ["n1", "n2"]),
        ([], ["n1", "n2"]),
    ],
)
def test_what_the_registry_says_of_an_image_is_heeded_before_any_node_tries(told: list[str], where: list[str]) -> None:
    feed = cluster("x86_64", "x86_64", "aarch64")
    feed.accepted(c.DeployApp(spec("web", 2, image_architectures=told)))
    plan(feed)
    assert places(feed) == where


def test_an_image_for_machines_that_are_not_here_waits_and_says_so() -> None:
    feed = cluster("x86_64", "aarch64")
    feed.accepted(c.DeployApp(spec("web", 1, image_architectures=["ppc64le", "s390x"])))
    plan(feed)
    (task,) = wanted(feed)
    words = "no node fits: 2 nodes of another architecture than the image's (ppc64le, s390x)"
    assert (task.node_id, task.placement_message) == (None, words)
    app = feed.state.apps["web"]
    assert why_impossible(feed.state, app, app.revision) == words


def test_an_image_that_one_node_cannot_run_goes_to_those_that_can() -> None:
    feed = cluster("x86_64", "x86_64", "aarch64")
    feed.accepted(c.DeployApp(spec("web", 3)))
    plan(feed)
    here = [task.id for task in feed.tasks() if task.node_id in ("n1", "n2")]
    feed.report(ARM, here[0])
    plan(feed)
    gone(feed)
    plan(feed)
    assert places(feed) == ["n3", "n3", "n3"]
    feed.accepted(c.SetMaintenance("n3", enable=True, drain=False), c.ScaleApp("web", 4))
    plan(feed)
    (pending,) = [task for task in wanted(feed) if task.node_id is None]
    assert pending.placement_message == (
        "no node fits: 2 nodes of another architecture than the image's (arm64), 1 in maintenance"
    )


def test_a_restart_forgets_what_was_known_of_an_image() -> None:
    feed = cluster("x86_64")
    feed.accepted(c.DeployApp(spec("web", 1)))
    plan(feed)
    feed.report(ARM, feed.tasks()[0].id)
    plan(feed)
    gone(feed)
    plan(feed)
    assert places(feed) == [None]
    feed.accepted(c.RestartApp("web"))
    plan(feed)
    assert places(feed) == ["n1"]


def test_what_was_found_of_an_old_revision_does_not_hold_for_a_new_one() -> None:
    feed = cluster("x86_64", "aarch64")
    feed.accepted(c.DeployApp(spec("web", 2)))
    plan(feed)
    feed.report(ARM, next(task.id for task in feed.tasks() if task.node_id == "n1"))
    app = feed.state.apps["web"]
    assert app.architectures == {app.revision: "arm64"}


def _rolled_out(feed: Feed, strategy: Strategy) -> Deployment:
    """One replica runs; the new one's node finds that its image is for ARM, and no deadline is near."""
    feed.accepted(c.DeployApp(spec("web", 1)))
    plan(feed)
    feed.report(running(), feed.tasks()[0].id)
    outcome = feed.accepted(c.CreateDeployment("web", Change(image="new"), strategy, execute=True))
    assert isinstance(outcome, Recorded)
    for _ in range(10):
        feed.accepted(*rollout.plan(feed.state, 1000.0 + feed.machine.index))
        plan(feed)
        for task in feed.tasks():
            if task.wanted and feed.state.spec_of(task).image == "new" and task.node_id is not None:
                feed.report(ARM, task.id)
        gone(feed)
    return max(feed.state.deployments.values(), key=lambda deployment: deployment.created_at_s)


@pytest.mark.parametrize("strategy", [RollingUpdate(), BlueGreen()])
def test_a_rollout_of_an_image_that_no_node_runs_fails_at_once_with_the_reason(strategy: Strategy) -> None:
    feed = cluster("x86_64", "x86_64")
    deployment = _rolled_out(feed, strategy)
    assert deployment.status in (DeploymentStatus.ROLLED_BACK, DeploymentStatus.PAUSED, DeploymentStatus.FAILED)
    assert deployment.message == (
        "0 of 1 new replicas serve, and the others never will: "
        "no node fits: 2 nodes of another architecture than the image's (arm64)"
    )
    assert [feed.state.spec_of(task).image for task in wanted(feed)] == ["busybox"]


def test_a_rollout_waits_where_a_node_would_run_it() -> None:
    feed = cluster("x86_64", "aarch64")
    feed.accepted(c.SetMaintenance("n2", enable=True, drain=False))
    assert _rolled_out(feed, RollingUpdate()).status is DeploymentStatus.IN_PROGRESS


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cpu": 6.5}, "2 nodes lack cpu (need 6.5 cores)"),
        ({"memory": "10G"}, "2 nodes lack memory (need 10 GiB)"),
        ({"cpu": 5.5}, ""),
        ({"memory": "9G"}, ""),
    ],
)
def test_what_is_more_than_any_node_has_is_impossible_however_empty_they_are(asked: dict[str, Any], words: str) -> None:
    feed = cluster("x86_64", "x86_64")
    feed.accepted(c.DeployApp(spec("web", 1, **asked)))
    app = feed.state.apps["web"]
    assert why_impossible(feed.state, app, app.revision) == (words and f"no node fits: {words}")


@pytest.mark.parametrize(
    ("machine", "emulated", "image", "good"),
    [
        ("x86_64", [], "amd64", True),
        ("x86_64", [], "arm64", False),
        ("x86_64", ["aarch64"], "arm64/v8", True),
        ("amd64", [], "386", True),
        ("aarch64", [], "amd64", False),
        ("", [], "amd64", True),
        ("x86_64", [], "", True),
    ],
)
def test_which_machine_runs_which_image(machine: str, emulated: list[str], image: str, good: bool) -> None:
    assert runs(machine, emulated, image) is good


def test_emulators_are_found_where_they_are_switched_on(tmp_path: Path) -> None:
    (tmp_path / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64\n")
    (tmp_path / "qemu-s390x").write_text("disabled\n")
    (tmp_path / "python3.11").write_text("enabled\n")
    assert emulated_architectures(tmp_path) == ["arm64"]
    assert emulated_architectures(tmp_path / "none") == []
    assert architecture("x86_64") == "amd64"


# -- host ports


def published(replicas: int) -> c.DeployApp:
    return c.DeployApp(spec("web", replicas, ports=[Port(container_port=80, host_port=8080)]))


def taken(feed: Feed, *node_ids: str) -> None:
    for node_id in node_ids:
        feed.accepted(c.ReportPorts(node_id, boot_id=f"{node_id}-1", taken=(HostPort(8080),)))


def test_replicas_avoid_a_node_where_another_program_has_their_port() -> None:
    feed = cluster("x86_64", "x86_64", "x86_64")
    feed.accepted(published(3))
    plan(feed)
    feed.report(running(), *(task.id for task in feed.tasks()))
    taken(feed, "n2")
    plan(feed)
    new = [task.id for task in wanted(feed) if not task.serving]
    assert len(new) == 1
    assert len(wanted(feed)) == 4, "its successor starts first"
    feed.report(running(), *new)
    plan(feed)
    gone(feed)
    assert places(feed) in (["n1", "n1", "n3"], ["n1", "n3", "n3"])


def test_where_all_nodes_have_it_taken_replicas_stay_and_the_reason_is_told() -> None:
    feed = cluster("x86_64", "x86_64")
    feed.accepted(published(1))
    plan(feed)
    feed.report(running(), feed.tasks()[0].id)
    taken(feed, "n1", "n2")
    plan(feed)
    pending = [task for task in wanted(feed) if task.node_id is None]
    assert len(wanted(feed)) == 2
    assert [task.placement_message for task in pending] == [
        "no node fits: 2 nodes where another program has host port 8080/tcp"
    ]
    feed.accepted(c.ReportPorts("n1", boot_id="n1-1", taken=()))
    plan(feed)
    assert places(feed) == ["n1"]


def test_an_app_of_another_port_does_not_care() -> None:
    feed = cluster("x86_64")
    taken(feed, "n1")
    feed.accepted(c.DeployApp(spec("web", 1, ports=[Port(container_port=80, host_port=8081)])))
    plan(feed)
    assert places(feed) == ["n1"]


def test_a_report_of_an_earlier_run_of_the_daemon_is_void_and_a_start_forgets() -> None:
    feed = cluster("x86_64")
    assert isinstance(feed(c.ReportPorts("n1", boot_id="old", taken=(HostPort(80),))), Refusal)
    taken(feed, "n1")
    told = feed.state.nodes["n1"].facts
    feed.accepted(c.StartNode("n1", boot_id="n1-2", facts=told))
    assert feed.state.nodes["n1"].taken_ports == ()
