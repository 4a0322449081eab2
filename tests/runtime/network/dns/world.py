"""A State with services, apps and running tasks, for tests of names."""

from __future__ import annotations

from msgspec.structs import replace

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.network import OverlayMode
from consensus.model.task import Health, TaskState, TaskStatus
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts, spec


class World(Feed):
    """Nodes n1 and n2 with the subnets 10.244.0.0/24 and 10.244.1.0/24."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted(c.FoundCluster(CLUSTER, ADMIN))
        for number in (1, 2):
            about = replace(facts(number), overlay=OverlayMode.VXLAN)
            self.accepted(c.AddNode(f"n{number}", about), c.StartNode(f"n{number}", "b1", about))
        self._addresses = {"n1": 1, "n2": 1}

    def deploy(
        self, name: str, replicas: int, *, service: str | None = None, ports: tuple[Port, ...] = ()
    ) -> list[str]:
        """Replicas on n1, n2, n1, …, all healthy; their task ids."""
        self.accepted(c.DeployApp(spec(name, replicas, service=service, ports=list(ports))))
        tasks = [task.id for task in self.state.tasks_of_app(name)]
        for number, task_id in enumerate(tasks):
            node_id = ("n1", "n2")[number % 2]
            self.accepted(c.PlaceTasks([c.Placement(task_id, node_id)]))
            self._addresses[node_id] += 1
            subnet = str(self.state.nodes[node_id].subnet)
            address = subnet.replace("0/24", str(self._addresses[node_id]))
            self.report(task_id, ip_address=address, port_map={p.container_port: p.container_port for p in ports})
        return tasks

    def report(self, task_id: str, *, health: Health = Health.HEALTHY, **status: object) -> None:
        task = self.state.tasks[task_id]
        assert task.node_id is not None
        known = task.status
        kept = {"ip_address": known.ip_address, "port_map": known.port_map}
        told = TaskStatus(state=TaskState.RUNNING, health=health, **{**kept, **status})  # type: ignore[arg-type]
        self.accepted(c.ReportTasks(node_id=task.node_id, reports=[c.TaskReport(task_id, told)]))
