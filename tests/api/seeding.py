"""One of everything that can be in a namespace, with the namespace in every name."""

from __future__ import annotations

from typing import Any

import msgspec

from consensus import commands
from consensus.model.alert import Alert, Severity
from consensus.model.backup import BackupSpec, S3Target
from consensus.model.deployment import Change
from consensus.model.job import JobSpec
from consensus.model.volume import Volume


class Seeded:
    """What `namespace` has. Every event type of its objects has happened, too."""

    def __init__(self, world: Any, namespace: str) -> None:
        self.world, self.namespace = world, namespace
        self.app = f"{namespace}-app"
        self.job = f"{namespace}-job"
        self.volume = f"{namespace}-volume"
        self.service = f"{namespace}-service"
        self.alert = f"{namespace}-alert"
        self.schedule = f"{namespace}-schedule"
        self.container = self.run = self.deployment = ""

    async def make(self) -> Seeded:
        world, namespace = self.world, self.namespace
        volume = Volume(name=self.volume, namespace=namespace, created_at_s=1.0)
        await self._done(commands.CreateVolume(volume))
        target = S3Target(bucket=f"{namespace}-bucket")
        spec = BackupSpec(name=self.schedule, volume=self.volume, schedule="@yearly", target=target)
        await self._done(commands.CreateBackupSchedule(spec))
        mounts = [{"name": self.volume, "mount_path": "/data"}]
        self.container, _ = await world.deploy(
            self.app, namespace=namespace, service=f"{namespace}-web", volumes=mounts
        )
        await self._done(commands.CreateService(name=self.service, namespace=namespace))
        job = msgspec.convert({"name": self.job, "image": "x", "namespace": namespace}, JobSpec)
        self.run = (await self._done(commands.CreateJob(job))).run_id
        change = Change(image=f"{namespace}-image")
        made = await self._done(commands.CreateDeployment(app=self.app, change=change))
        self.deployment = made.deployment_id
        alert = Alert(
            id=self.alert, severity=Severity.WARNING, resource=f"app/{self.app}", message=namespace, created_at_s=1.0
        )
        await self._done(commands.RaiseAlert(alert))
        passing = f"{namespace}-passing"
        await world.deploy(passing, namespace=namespace)
        await self._done(commands.DeleteApp(passing))
        gone = list(world.machine.state.task_ids_by_app.get(passing, ()))
        await self._done(commands.ReportTasks("node-1", [], gone))
        return self

    async def _done(self, command: Any) -> Any:
        outcome = await self.world.propose(command)
        assert not hasattr(outcome, "code"), outcome
        return outcome

    def path(self, route: Any) -> str:
        """The route's path, of this namespace's objects."""
        keys = {
            "app_name": self.app,
            "container_id": self.container,
            "service_name": self.service,
            "volume_name": self.volume,
            "run_id": self.run,
            "name": self.schedule if route.path.startswith("/backup-schedules") else self.job,
            "id": self.alert if route.path.startswith("/alerts") else self.deployment,
            "node_id": "node-1",
        }
        return str(route.path.format_map(_Keys(keys)))

    def body(self, route: Any) -> dict[str, Any]:
        """One that would change something here. KeyError: say how, for a route whose path names nothing."""
        fresh = {"name": f"{self.namespace}-new", "namespace": self.namespace}
        bodies = {
            "/deploy": {**fresh, "image": "x"},
            "/scale": {"name": self.app, "replicas": 1},
            "/restart": {"name": self.app},
            "/deployments": {"app_name": self.app, "image": "y"},
            "/jobs": {**fresh, "name": f"{self.namespace}-new-job", "image": "x"},
            "/services": {**fresh, "name": f"{self.namespace}-new-service"},
            "/volumes/create": {**fresh, "name": f"{self.namespace}-new-volume"},
            "/volumes/delete": {"name": self.volume, "force": True},
            "/apps/{app_name}": {**fresh, "name": self.app, "image": "z"},
            "/jobs/{name}": {**fresh, "name": self.job, "image": "z"},
            "/services/{service_name}": {"prefer": "local"},
            "/backup-schedules": {"name": f"{self.namespace}-new-schedule", **self._backup()},
            "/backup-schedules/{name}": {"name": self.schedule, **self._backup()},
            "/volumes/{volume_name}/clone": {"name": f"{self.namespace}-clone"},
            "/volumes/{volume_name}/snapshots": {"name": f"{self.namespace}-snapshot"},
        }
        return bodies[route.path] if "{" not in route.path else bodies.get(route.path, {})

    def _backup(self) -> dict[str, Any]:
        return {"volume": self.volume, "schedule": "@daily", "target": {"type": "s3", "bucket": "store"}}


class _Keys(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return key
