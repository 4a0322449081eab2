"""Commands at random that fit a state now and then: what applies, what is refused, and what came too late."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec.structs import replace

from consensus import commands as c
from consensus.model.alert import Alert, Severity
from consensus.model.app_spec import AppSpec, Port
from consensus.model.backup import BackupSpec, DirectoryTarget, S3Target
from consensus.model.dependency import Dependency
from consensus.model.deployment import Change, DeploymentStatus, Move
from consensus.model.hook import Hook, Hooks
from consensus.model.job import JobSpec, KeptRuns
from consensus.model.network import Encryption, OverlayMode, OverlayReport, OverlayStatus
from consensus.model.node import NodeStatus, Taint
from consensus.model.run import RunStatus
from consensus.model.service import GivenEndpoint, ServiceChange, ServicePort
from consensus.model.strategy import (
    ABTesting,
    BlueGreen,
    Canary,
    RollingUpdate,
    Simple,
    Strategy,
    Variant,
)
from consensus.model.task import Health, TaskState, TaskStatus
from consensus.model.user import ApiKey, Role, User
from consensus.model.volume import Volume
from consensus.model.workload import VolumeMount
from consensus.state import State
from tests.consensus.making import ADMIN, CLUSTER, facts, spec

_NODES = ("n1", "n2", "n3", "n4")
_APPS = ("web", "api", "db")
_JOBS = ("backup", "report", "db")
_VOLUMES = ("v1", "v2")
_SCHEDULES = ["nightly", "hourly"]
_SERVICES = ("shared", "own")
_USERS = ("u1", "u2", "u3")


def random_command(rng: random.Random, state: State) -> c.AnyCommand:
    """One command; about half of them are about something that is there."""
    return rng.choice(_MAKERS)(rng, state)


def _some_tasks(rng: random.Random, state: State) -> list[str]:
    known = sorted(state.tasks)
    picked = rng.sample(known, min(len(known), rng.randint(0, 4)))
    return [*picked, *(["gone.1.0"] if rng.random() < 0.1 else [])]


def _spec(rng: random.Random) -> AppSpec:
    return spec(
        rng.choice(_APPS),
        rng.randint(0, 4),
        service=rng.choice([None, "shared"]),
        mode=rng.choice(["replicated", "replicated", "global"]),
        ports=[Port(80, rng.choice([None, 8080, 8081]))] if rng.random() < 0.5 else [],
        priority_class=rng.choice([None, None, "high-priority", "low-priority"]),
        volumes=[VolumeMount(rng.choice(_VOLUMES), "/data")] if rng.random() < 0.3 else [],
        depends_on=[Dependency(app=rng.choice(_APPS))] if rng.random() < 0.2 else [],
        min_available=rng.choice([None, None, 1, "50%"]),
        reschedule_after=rng.choice([None, None, "1m"]),
    )


def _job(rng: random.Random) -> JobSpec:
    schedule = rng.choice([None, "* * * * *", "*/10 * * * * *"])
    return JobSpec(
        name=rng.choice(_JOBS),
        image="busybox",
        schedule=schedule,
        concurrency_policy=rng.choice(["allow", "forbid", "replace"]) if schedule else "allow",
        completions=rng.randint(1, 3),
        parallelism=rng.randint(1, 2),
        backoff_limit=rng.randint(0, 2),
        retry_delay=rng.choice([0, "10s"]),
        timeout=rng.choice([None, "20s"]),
        history=KeptRuns(succeeded=1, failed=1),
        suspended=rng.random() < 0.2,
    )


def _backup(rng: random.Random) -> BackupSpec:
    return BackupSpec(
        name=rng.choice(_SCHEDULES),
        volume=rng.choice(_VOLUMES),
        schedule="* * * * *",
        target=rng.choice([DirectoryTarget(path="/b"), S3Target(bucket="b")]),
        suspended=rng.random() < 0.2,
    )


def _some_run(rng: random.Random, state: State) -> str:
    return rng.choice(sorted(state.runs) or ["backup-none"])


def _status(rng: random.Random) -> TaskStatus:
    return TaskStatus(
        state=rng.choice(list(TaskState)),
        restart_count=rng.randint(0, 2),
        health=rng.choice(list(Health)),
        engine_id=rng.choice([None, "e1", "e2"]),
        ip_address=rng.choice([None, "10.244.1.2", "10.244.1.3"]),
        service_health=rng.choice([None, None, *Health]),
        final=rng.random() < 0.1,
    )


def _report(rng: random.Random, state: State) -> c.ReportTasks:
    node_id = rng.choice(_NODES)
    here = sorted(task.id for task in state.tasks_on_node(node_id)) or _some_tasks(rng, state)
    reports = [c.TaskReport(task_id, _status(rng)) for task_id in here if rng.random() < 0.7]
    return c.ReportTasks(node_id, reports, [task_id for task_id in here if rng.random() < 0.5])


def _place(rng: random.Random, state: State) -> c.PlaceTasks:
    tasks = [*sorted(state.unplaced_task_ids), *_some_tasks(rng, state)]
    return c.PlaceTasks([c.Placement(t, rng.choice([*_NODES, *_NODES, None]), "why") for t in tasks])


def _user(rng: random.Random) -> User:
    name = rng.choice(_USERS)
    return User(id=name, username=f"name-{name}", password_hash="h", role=rng.choice(list(Role)), created_at_s=1.0)


def _key(rng: random.Random) -> ApiKey:
    name = rng.choice("ab")
    return ApiKey(
        id=name, name=name, secret_hash="s", role=Role.VIEWER, created_by=rng.choice(_USERS), created_at_s=1.0
    )


def _alert(rng: random.Random) -> Alert:
    return Alert(id=rng.choice("ab"), severity=Severity.INFO, resource="cluster", message="m", created_at_s=1.0)


def _service(rng: random.Random) -> ServiceChange:
    ports = [ServicePort(80, host_port=rng.choice([None, 8080, 8082]))]
    return ServiceChange(
        prefer=rng.choice([None, "local"]),
        weights=rng.choice([None, {"web": 3}]),
        ports=rng.choice([None, ports]),
        endpoints=rng.choice([None, [GivenEndpoint("192.0.2.1")]]),
    )


_STRATEGIES: list[Strategy | None] = [
    None,
    Simple(),
    RollingUpdate(max_surge=2),
    RollingUpdate(order="stop-first"),
    BlueGreen(),
    BlueGreen(hooks=Hooks(pre=Hook(command="x"), post=Hook(command="y"), rollback=Hook(command="z"))),
    Canary(percentage=30, interval=5),
    ABTesting(variants=[Variant(image="a", percentage=30), Variant(image="b", percentage=40)]),
]


def _change(rng: random.Random) -> Change:
    return Change(image=rng.choice(["busybox", "new"]), replicas=rng.choice([None, 0, 3]))


def _some_deployment(rng: random.Random, state: State) -> str:
    return rng.choice(sorted(state.deployments) or ["deployment-none"])


def _advance(rng: random.Random, state: State) -> c.AnyCommand:
    active = [d for d in state.deployments.values() if d.status.active]
    if not active:
        return c.EndStandby(rng.choice(_APPS), 1)
    deployment = rng.choice(sorted(active, key=lambda d: d.id))
    forward = deployment.status is DeploymentStatus.IN_PROGRESS
    if not forward:
        return c.AdvanceDeployment(deployment.id, deployment.version, rng.choice([Move.FORCE, Move.ROLLED_BACK]))
    if deployment.step == 0:
        move = rng.choice([Move.START, Move.FAIL])
        return c.AdvanceDeployment(deployment.id, deployment.version, move)
    if deployment.promoted:
        return c.AdvanceDeployment(deployment.id, deployment.version, Move.COMPLETE)
    moves = [Move.STEP, Move.FAIL] if deployment.step < deployment.total_steps else [Move.PROMOTE, Move.FAIL]
    move = rng.choice(moves)
    winner = deployment.new_revisions[0] if len(deployment.new_revisions) > 1 and move is Move.STEP else 0
    return c.AdvanceDeployment(deployment.id, deployment.version, move, "m", winner)


_Maker = Callable[[random.Random, State], c.AnyCommand]
_OFTEN: list[_Maker] = [
    lambda rng, _: (
        lambda n: c.StartNode(
            _NODES[n], f"boot{rng.randint(1, 3)}", replace(facts(n), overlay=rng.choice(list(OverlayMode)))
        )
    )(rng.randrange(4)),
    lambda rng, _: c.DeployApp(_spec(rng)),
    lambda rng, _: c.ScaleApp(rng.choice(_APPS), rng.randint(0, 5)),
    _place,
    _place,
    _report,
    _report,
    lambda rng, state: c.RemoveTasks(_some_tasks(rng, state)),
    lambda rng, state: c.RescheduleTasks(_some_tasks(rng, state)),
    lambda rng, state: c.MoveTask(rng.choice([*sorted(state.tasks), "gone"]), rng.choice(_NODES), "why"),
    lambda rng, state: c.CancelMove(rng.choice([*sorted(state.moves), "gone"])),
    lambda rng, _: c.CreateTasks(rng.choice(_APPS), [rng.randint(1, 5) for _ in range(rng.randint(0, 3))]),
]
_SELDOM: list[_Maker] = [
    lambda rng, _: c.FoundCluster(CLUSTER, ADMIN),
    lambda rng, _: c.RotateJoinSecret("h2", b"s2"),
    lambda rng, _: (lambda n: c.AddNode(_NODES[n], facts(rng.choice([n, 0]))))(rng.randrange(4)),
    lambda rng, _: c.SetNodeStatus(rng.choice(_NODES), rng.choice(list(NodeStatus)), rng.choice(list(NodeStatus))),
    lambda rng, _: c.SetMaintenance(rng.choice(_NODES), enable=rng.random() < 0.5, drain=rng.random() < 0.5),
    lambda rng, _: c.LabelNode(rng.choice(_NODES), {"zone": "a"}, [Taint("t")]),
    lambda rng, _: c.ChangeNodeLabels(rng.choice(_NODES), {"zone": rng.choice([None, "b"])}, [], [Taint("t", "", "")]),
    lambda rng, _: c.RemoveNode(rng.choice(_NODES), force=rng.random() < 0.5),
    lambda rng, _: c.ExtendOverlay(rng.choice(["10.246.0.0/16", "10.247.0.0/24", "none"])),
    lambda rng, _: c.EncryptOverlay(rng.choice(list(Encryption))),
    lambda rng, _: c.ReportOverlay(
        rng.choice(_NODES), f"boot{rng.randint(1, 3)}", OverlayReport(rng.choice(list(OverlayStatus)), "why")
    ),
    lambda rng, _: c.PlaceGlobalApp(rng.choice(_APPS), rng.sample(_NODES, rng.randint(0, 4))),
    lambda rng, _: c.PlaceGlobalApp(rng.choice(_APPS), rng.sample(_NODES, rng.randint(0, 4))),
    lambda rng, _: c.RestartApp(rng.choice(_APPS)),
    lambda rng, _: c.DeleteApp(rng.choice(_APPS)),
    lambda rng, _: c.CreateDeployment(
        rng.choice(_APPS), _change(rng), rng.choice(_STRATEGIES), execute=rng.random() < 0.8
    ),
    lambda rng, state: c.ExecuteDeployment(_some_deployment(rng, state)),
    lambda rng, state: c.PromoteDeployment(_some_deployment(rng, state), rng.choice([None, None, "a"])),
    lambda rng, state: c.RollbackDeployment(_some_deployment(rng, state)),
    lambda rng, state: _advance(rng, state),
    lambda rng, state: _advance(rng, state),
    lambda rng, _: c.CreateJob(_job(rng)),
    lambda rng, _: c.CreateJob(_job(rng)),
    lambda rng, _: c.UpdateJob(_job(rng)),
    lambda rng, _: c.SuspendJob(rng.choice(_JOBS), suspended=rng.random() < 0.5),
    lambda rng, _: c.TriggerJob(rng.choice(_JOBS)),
    lambda rng, _: c.DeleteJob(rng.choice(_JOBS)),
    lambda rng, _: c.ScheduleRun(rng.choice(_JOBS), rng.uniform(1000, 1200), rng.choice(["", "", "late"])),
    lambda rng, state: c.AttemptRun(_some_run(rng, state), [rng.randint(0, 4)]),
    lambda rng, state: c.EndRun(_some_run(rng, state), rng.choice([RunStatus.FAILED, RunStatus.STOPPED]), "m"),
    lambda rng, state: c.ForgetRuns([_some_run(rng, state)]),
    lambda rng, _: c.CreateVolume(Volume(name=rng.choice(_VOLUMES), created_at_s=1.0)),
    lambda rng, _: c.CreateService(name=rng.choice(_SERVICES), **_service(rng).given()),
    lambda rng, _: c.UpdateService(name=rng.choice([*_SERVICES, *_APPS]), **_service(rng).given()),
    lambda rng, _: c.DeleteService(rng.choice(_SERVICES)),
    lambda rng, _: c.CreateBackupSchedule(_backup(rng)),
    lambda rng, _: c.UpdateBackupSchedule(_backup(rng)),
    lambda rng, _: c.DeleteBackupSchedule(rng.choice(_SCHEDULES)),
    lambda rng, _: c.TriggerBackup(rng.choice(_SCHEDULES)),
    lambda rng, _: c.BeginBackup(rng.choice(_SCHEDULES), rng.randint(1, 3), rng.choice([None, 1020.0])),
    lambda rng, _: c.EndBackup(rng.choice(_SCHEDULES), rng.randint(1, 3), rng.choice(["", "no room"])),
    lambda rng, _: c.DeleteVolume(rng.choice(_VOLUMES), force=rng.random() < 0.5),
    lambda rng, _: c.CreateUser(_user(rng)),
    lambda rng, _: c.UpdateUser(rng.choice(_USERS), password_hash="h2", role=rng.choice([None, *Role])),
    lambda rng, _: c.DeleteUser(rng.choice(_USERS)),
    lambda rng, _: c.CreateApiKey(_key(rng)),
    lambda rng, _: c.DeleteApiKey(rng.choice("ab")),
    lambda rng, _: c.RevokeToken(rng.choice("xyz"), rng.choice([1.0, 1e9])),
    lambda rng, _: c.SetSetting("scheduler.strategy", rng.choice(["BestFit", "Random", "none"])),
    lambda rng, _: c.UnsetSetting(rng.choice(["scheduler.strategy", "none"])),
    lambda rng, _: c.RaiseAlert(_alert(rng)),
    lambda rng, _: c.ResolveAlert(rng.choice("ab")),
]
_MAKERS: list[_Maker] = [*_OFTEN, *_OFTEN, *_SELDOM]
