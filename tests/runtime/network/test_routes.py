"""Routes: who serves what, with which weight; and the table is at any time what a fresh look would find."""

from __future__ import annotations

import random

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.deployment import Change, Move
from consensus.model.service import GivenEndpoint, ServicePort
from consensus.model.strategy import Canary
from consensus.model.task import TaskState, TaskStatus
from runtime.network.route_table import RouteTable
from runtime.network.routes import Front, PublishedPort, Route, ServiceAddress, service_routes
from tests.consensus.making import Feed, spec
from tests.consensus.random_commands import random_command

RUNNING = TaskStatus(state=TaskState.RUNNING, health="healthy", ip_address="10.244.1.2")


def all_routes(feed: Feed) -> dict[Front, Route]:
    return {front: r for s in feed.state.services.values() for front, r in service_routes(feed.state, s).items()}


def serve(feed: Feed, *apps: str) -> None:
    """Places and starts every replica."""
    unplaced = sorted(feed.state.unplaced_task_ids)
    feed.accepted(c.PlaceTasks([c.Placement(task_id, "n1") for task_id in unplaced]))
    feed.report(RUNNING, *(task.id for app in apps for task in feed.tasks(app)))


def parts(route: Route) -> dict[str, int]:
    found: dict[str, int] = {}
    for backend, weight in zip(route.backends, route.weights, strict=True):
        app = backend.task_id.split(".")[0]
        found[app] = found.get(app, 0) + weight
    return found


def test_a_virtual_address_leads_to_all_apps_and_addresses_of_its_service_by_their_weights() -> None:
    feed = Feed()
    feed.add_nodes(1)
    given = [GivenEndpoint("192.0.2.7", 8000, weight=2)]
    feed.accepted(
        c.CreateService(name="shop", ports=[ServicePort(80, host_port=9000)], endpoints=given),
        c.DeployApp(spec("old", 3, service="shop", ports=[Port(80, 8080)])),
        c.DeployApp(spec("new", 1, service="shop", ports=[Port(80)])),
    )
    serve(feed, "old", "new")
    address = ServiceAddress(feed.state.services["shop"].virtual_ip, 80, "tcp")
    routes = all_routes(feed)
    assert set(routes) == {PublishedPort(8080, "tcp"), PublishedPort(9000, "tcp"), address}
    assert routes[address].weights == (1, 1, 1, 1, 1)
    assert parts(routes[PublishedPort(8080, "tcp")]) == {"old": 3}
    feed.accepted(
        c.UpdateService(name="shop", load_balancing_strategy="weighted-round-robin", weights={"old": 9, "new": 1})
    )
    assert parts(all_routes(feed)[address]) == {"old": 9, "new": 1, "192": 2}
    assert all_routes(feed)[address].backends[-1].port == 8000


def test_a_canary_gets_its_percent_of_the_requests_however_few_its_replicas() -> None:
    feed = Feed()
    feed.add_nodes(1)
    feed.accepted(c.DeployApp(spec("web", 3, ports=[Port(80, 8080)])))
    serve(feed, "web")
    feed.accepted(c.CreateDeployment("web", Change(image="new"), Canary(percentage=10), execute=True))
    (deployment,) = feed.state.deployments.values()
    if deployment.step == 0:
        feed.accepted(c.AdvanceDeployment(deployment.id, deployment.version, Move.STEP, "m"))
        (deployment,) = feed.state.deployments.values()
    feed.accepted(c.RemoveTasks([feed.tasks()[0].id]))
    feed.accepted(c.CreateTasks("web", [1], deployment.new_revision))
    serve(feed, "web")
    route = all_routes(feed)[PublishedPort(8080, "tcp")]
    revisions = [feed.state.tasks[backend.task_id].revision for backend in route.backends]
    assert sorted(zip(revisions, route.weights, strict=True), key=lambda pair: pair[1]) == [
        (deployment.new_revision, 2),
        (deployment.old_revision, 9),
        (deployment.old_revision, 9),
    ]


def test_the_table_follows_every_command() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(3):
        feed, table, touched = Feed(), RouteTable(), set[str]()
        feed.machine.on_touch(touched.update)
        for _ in range(400):
            before = dict(table.routes)
            feed(random_command(rng, feed.state))
            if rng.random() < 0.5:
                continue
            changed = table.update(feed.state, touched)
            touched.clear()
            assert table.routes == all_routes(feed), f"seed {seed}"
            really = {f for f in before.keys() | table.routes.keys() if before.get(f) != table.routes.get(f)}
            assert changed == really, f"seed {seed}"
