"""What each command does and what it refuses. That refusals change nothing is shown for all in test_machine.py."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from consensus import commands as c
from consensus.apply.slots import free_slots, surplus, usefulness, wanted_by_slot
from consensus.model.alert import Alert, Severity
from consensus.model.app_spec import Port
from consensus.model.node import NodeStatus, Taint
from consensus.model.task import DesiredState, Task, TaskState, TaskStatus
from consensus.model.user import ApiKey, Role, User
from consensus.model.volume import Volume
from consensus.model.workload import VolumeMount
from consensus.outcomes import Deployed, Refusal, RefusalCode, Scaled
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts, running, spec


def refused(outcome: object, *words: str, code: RefusalCode = RefusalCode.CONFLICT) -> None:
    assert isinstance(outcome, Refusal)
    assert outcome.code is code
    for word in words:
        assert word in outcome.message


def placed(feed: Feed, app: str = "web", node_id: str = "n1") -> list[Task]:
    feed.accepted(c.PlaceTasks([c.Placement(task.id, node_id) for task in feed.tasks(app)]))
    return feed.tasks(app)


class TestCluster:
    def test_is_founded_once(self) -> None:
        feed = Feed()
        refused(feed(c.RotateJoinSecret("h", b"s")), "not founded")
        feed.accepted(c.FoundCluster(CLUSTER, ADMIN), c.RotateJoinSecret("h", b"s"))
        refused(feed(c.FoundCluster(CLUSTER, ADMIN)), "cluster c1")
        assert feed.state.cluster is not None
        assert feed.state.cluster.join_secret_hash == "h"
        assert feed.state.users["u1"] == ADMIN


class TestNodes:
    def test_a_live_nodes_name_and_place_are_taken(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        refused(feed(c.AddNode("n1", facts(9))), "member already", "--name")
        refused(feed(c.AddNode("n9", facts(1))), "'n1' is a member at 10.0.0.2:7946")

    def test_a_lost_nodes_name_may_come_back_with_its_labels(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(
            c.LabelNode("n1", {"zone": "a"}, [Taint("t")]),
            c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST),
            c.AddNode("n1", facts(5)),
        )
        node = feed.state.nodes["n1"]
        assert (node.status, node.labels, node.taints) == (NodeStatus.JOINING, {"zone": "a"}, [Taint("t")])
        assert (node.boot_id, node.facts) == ("", facts(5))

    def test_a_verdict_on_old_news_changes_nothing(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        refused(feed(c.SetNodeStatus("n1", NodeStatus.LOST, NodeStatus.READY)), "ready, not lost")
        refused(feed(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST, boot_id="n1-0")), "started again")
        refused(feed(c.SetNodeStatus("n9", NodeStatus.READY, NodeStatus.LOST)), code=RefusalCode.NOT_FOUND)

    def test_who_has_left_needs_a_token_again(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LEFT))
        refused(feed(c.StartNode("n1", "n1-2", facts())), "token")

    def test_maintenance_with_and_without_drain(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        for enable, drain, expected in [
            (True, False, (True, False)),
            (True, True, (True, True)),
            (False, True, (False, False)),
        ]:
            feed.accepted(c.SetMaintenance("n1", enable=enable, drain=drain))
            node = feed.state.nodes["n1"]
            assert (node.maintenance, node.draining) == expected

    def test_removal_is_refused_while_it_has_tasks_and_forced_gives_them_new_ones(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.DeployApp(spec("web", 2)))
        old = {task.id for task in placed(feed)}
        refused(feed(c.RemoveNode("n1")), "2 tasks")
        feed.accepted(c.RemoveNode("n1", force=True))
        assert not feed.state.nodes
        assert [(task.slot, task.node_id) for task in feed.tasks()] == [(1, None), (2, None)]
        assert not old & set(feed.state.tasks)


class TestApps:
    def test_a_deploy_names_its_tasks_and_makes_what_it_mentions(self) -> None:
        feed = Feed()
        wish = spec("web", 2, service="front", volumes=[VolumeMount("data", "/d")], ports=[Port(80, 8080)])
        outcome = feed(c.DeployApp(wish))
        assert isinstance(outcome, Deployed)
        assert outcome.task_ids == [task.id for task in feed.tasks()]
        assert set(feed.state.volumes) == {"data"}
        assert set(feed.state.services) == {"front"}
        assert feed.state.app_by_host_port[8080, "tcp"] == "web"
        refused(feed(c.DeployApp(wish)), "PUT /apps/web")
        refused(feed(c.DeployApp(spec("api", ports=[Port(81, 8080)]))), "8080/tcp", "'web'")
        feed.accepted(c.DeployApp(spec("dns", ports=[Port(53, 8080, "udp")])))

    def test_delete_frees_the_name_and_the_port_while_its_containers_stop(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        wish = spec("web", 1, ports=[Port(80, 8080)])
        feed.accepted(c.DeployApp(wish))
        (old,) = placed(feed)
        feed.report(running(), old.id)
        feed.accepted(c.DeleteApp("web"), c.DeployApp(wish))
        first, second = feed.tasks()
        assert {first.desired_state, second.desired_state} == {DesiredState.REMOVED, DesiredState.RUNNING}
        assert len(feed.state.specs) == 2
        feed.accepted(c.ReportTasks("n1", [], [old.id]))
        assert len(feed.state.specs) == 1
        assert feed.state.app_by_host_port[8080, "tcp"] == "web"

    def test_scaling_says_what_it_made_and_what_it_ended(self) -> None:
        feed = Feed()
        feed.add_nodes(2)
        feed.accepted(c.DeployApp(spec("web", 2)))
        for task, node_id in zip(feed.tasks(), ["n1", "n2"], strict=True):
            feed.accepted(c.PlaceTasks([c.Placement(task.id, node_id)]))
            feed.report(running(), task.id)
        outcome = feed(c.ScaleApp("web", 4))
        assert isinstance(outcome, Scaled)
        assert (outcome.previous_replicas, outcome.new_replicas) == (2, 4)
        assert [feed.state.tasks[i].slot for i in outcome.created] == [3, 4]
        outcome = feed(c.ScaleApp("web", 1))
        assert isinstance(outcome, Scaled)
        assert len(outcome.removed) == 3
        assert [task.slot for task in feed.tasks() if task.wanted] == [1]
        refused(feed(c.ScaleApp("none", 1)), code=RefusalCode.NOT_FOUND)

    def test_a_restart_makes_the_replicas_outdated(self) -> None:
        feed = Feed()
        feed.accepted(c.DeployApp(spec("web", 2)), c.RestartApp("web"))
        assert all(feed.state.outdated(task) for task in feed.tasks())
        feed.accepted(c.CreateTasks("web", [1, 1, 2]), c.CreateTasks("web", [2]))
        assert Counter(task.slot for task in feed.tasks()) == {1: 2, 2: 2}


class TestSlots:
    def test_free_slots_are_the_lowest(self) -> None:
        assert free_slots({1, 3, 4}, 3) == [2, 5, 6]
        assert free_slots((), 0) == []

    @pytest.mark.parametrize("seed", range(10))
    def test_surplus_is_what_choosing_the_worst_again_and_again_gives(self, seed: int) -> None:
        rng, feed = random.Random(seed), Feed()
        feed.add_nodes(3)
        feed.accepted(c.SetNodeStatus("n3", NodeStatus.READY, NodeStatus.LOST))
        state = feed.state
        tasks = [
            Task(
                id=f"t{i}",
                app="web",
                slot=rng.randint(1, 12),
                revision=1,
                generation=1,
                created_at_s=0,
                node_id=rng.choice([None, "n1", "n2", "n3"]),
                status=rng.choice([running(), TaskStatus(), TaskStatus(state=TaskState.RUNNING)]),
            )
            for i in range(16)
        ]
        slots = wanted_by_slot(tasks)
        for replicas in range(len(slots) + 2):
            rest, expected = dict(slots), list[Task]()
            while len(rest) > replicas:
                best = {slot: max(ts, key=lambda task: usefulness(state, task)) for slot, ts in rest.items()}
                crowd = Counter(task.node_id for task in best.values())
                worst = min(rest, key=lambda s: (usefulness(state, best[s]), -crowd[best[s].node_id], -s))
                expected += rest.pop(worst)
            assert surplus(state, slots, replicas) == expected


class TestTasks:
    def test_placing_passes_over_what_is_old_news(self) -> None:
        feed = Feed()
        feed.add_nodes(3)
        feed.accepted(c.DeployApp(spec("web", 2)), c.SetMaintenance("n3", enable=True))
        one, two = (task.id for task in feed.tasks())
        feed.accepted(
            c.PlaceTasks([c.Placement(one, "n1"), c.Placement("gone.1.0", "n1"), c.Placement(two, "n3")]),
            c.PlaceTasks([c.Placement(one, "n2"), c.Placement(two, None, "no room")]),
        )
        assert [(t.node_id, t.placement_message) for t in feed.tasks()] == [("n1", ""), (None, "no room")]
        assert feed.state.tasks[one].status.state is TaskState.ASSIGNED

    def test_only_its_node_speaks_for_a_task_and_it_never_goes_backwards(self) -> None:
        feed = Feed()
        feed.add_nodes(2)
        feed.accepted(c.DeployApp(spec("web", 1)))
        (task,) = placed(feed)
        feed.accepted(c.ReportTasks("n2", [c.TaskReport(task.id, running())], [task.id]))
        assert not feed.tasks()[0].serving
        feed.report(running(), task.id)
        feed.report(TaskStatus(state=TaskState.STARTING), task.id)
        assert feed.tasks()[0].serving
        feed.report(TaskStatus(state=TaskState.STARTING, restart_count=1), task.id)
        assert not feed.tasks()[0].serving

    def test_removed_counts_only_for_what_is_not_wanted(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.DeployApp(spec("web", 1)))
        (task,) = placed(feed)
        feed.accepted(c.ReportTasks("n1", [], [task.id]))
        assert feed.tasks() == [task]
        feed.accepted(c.RemoveTasks([task.id]), c.ReportTasks("n1", [], [task.id]))
        assert feed.tasks() == []

    def test_a_lost_node_is_not_listened_to(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST))
        refused(feed(c.ReportTasks("n1")), "lost")
        refused(feed(c.ReportTasks("n9")), code=RefusalCode.NOT_FOUND)

    def test_a_node_that_came_back_keeps_its_tasks(self) -> None:
        """The race: the leader decides to reschedule while the node says that it is back."""
        feed = Feed()
        feed.add_nodes(2)
        feed.accepted(c.DeployApp(spec("web", 1)))
        (task,) = placed(feed)
        feed.accepted(
            c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST),
            c.StartNode("n1", "n1-2", facts()),
            c.RescheduleTasks([task.id]),
        )
        assert feed.tasks() == [task]

    def test_what_is_removed_where_no_agent_lives_is_forgotten_at_once(self) -> None:
        feed = Feed()
        feed.add_nodes(1)
        feed.accepted(c.DeployApp(spec("web", 2)))
        placed(feed)
        feed.accepted(c.SetNodeStatus("n1", NodeStatus.READY, NodeStatus.LOST), c.DeleteApp("web"))
        assert not feed.state.tasks
        assert not feed.state.specs


class TestVolumesUsersAlerts:
    def test_a_used_volume_goes_only_by_force(self) -> None:
        feed = Feed()
        feed.accepted(c.CreateVolume(Volume(name="data", created_at_s=1)))
        refused(feed(c.CreateVolume(Volume(name="data", created_at_s=2))), "exists")
        feed.accepted(c.DeployApp(spec("db", 1, volumes=[VolumeMount("data", "/d")])))
        refused(feed(c.DeleteVolume("data")), "db.1.")
        feed.accepted(c.DeleteVolume("data", force=True))
        refused(feed(c.DeleteVolume("data")), code=RefusalCode.NOT_FOUND)

    def test_there_is_always_an_admin(self) -> None:
        feed = Feed()
        feed.accepted(c.FoundCluster(CLUSTER, ADMIN))
        refused(feed(c.UpdateUser("u1", role=Role.VIEWER)), "last admin")
        refused(feed(c.DeleteUser("u1")), "last admin")
        other = User(id="u2", username="bob", password_hash="h", role=Role.ADMIN, created_at_s=1)
        feed.accepted(c.CreateUser(other), c.UpdateUser("u1", role=Role.VIEWER))
        refused(feed(c.CreateUser(User(id="u3", username="bob", password_hash="h", created_at_s=1))), "'bob'")
        assert feed.state.users["u1"].credentials_version == 2

    def test_a_deleted_users_keys_go_with_it(self) -> None:
        feed = Feed()
        feed.accepted(
            c.FoundCluster(CLUSTER, ADMIN),
            c.CreateUser(User(id="u2", username="bob", password_hash="h", created_at_s=1)),
            c.CreateApiKey(
                ApiKey(id="k", name="ci", secret_hash="s", role=Role.VIEWER, created_by="u2", created_at_s=1)
            ),
            c.DeleteUser("u2"),
        )
        assert not feed.state.api_keys

    def test_revoked_tokens_are_forgotten_when_they_have_expired_anyway(self) -> None:
        feed = Feed()
        feed.accepted(c.RevokeToken("old", 1000.5), c.RevokeToken("new", 5000.0))
        assert set(feed.state.revoked_tokens) == {"new"}

    def test_an_alert_stands_once(self) -> None:
        feed = Feed()
        alert = Alert(id="a", severity=Severity.INFO, resource="cluster", message="m", created_at_s=1)
        feed.accepted(c.RaiseAlert(alert), c.RaiseAlert(alert))
        assert len(feed.machine.events.freeze().events) == 1
        feed.accepted(c.ResolveAlert("a"))
        refused(feed(c.ResolveAlert("a")), code=RefusalCode.NOT_FOUND)
