"""Company: where the wishes of a service affinity are met, and what is near by the coordinates of gossip."""

from __future__ import annotations

import pytest

from consensus import commands as c
from hivemind.orchestrator import placement
from hivemind.orchestrator.scheduler.company import ALONE, company_of
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from membership import Coordinate
from tests.consensus.making import Feed, spec


def at(x_ms: float) -> Coordinate:
    """On a line; the heights add nothing that could be seen."""
    return Coordinate((x_ms / 1000, *[0.0] * 7), height_s=1e-6)


PLACES = {"n1": at(0), "n2": at(10), "n3": at(90)}


def with_db_on(*node_ids: str) -> Feed:
    feed = Feed()
    feed.add_nodes(4)
    feed.accepted(c.DeployApp(spec("db", len(node_ids), labels={"tier": "data"})))
    tasks = feed.tasks("db")
    feed.accepted(c.PlaceTasks([c.Placement(t.id, node_id) for t, node_id in zip(tasks, node_ids, strict=True)]))
    return feed


def test_wishes_are_met_where_the_others_are() -> None:
    found = company_of(with_db_on("n1", "n1", "n3").state, "app=db, tier!=data, app=none", {})
    assert found.met == {"n1": 0.5, "n3": 0.5}
    assert found.violated == {"n1": 1.0, "n3": 1.0}
    assert found.nearness == {}


def test_nearness_follows_the_round_trips_to_related_tasks() -> None:
    found = company_of(with_db_on("n1").state, "app=db", PLACES).nearness
    assert found["n1"] == 1.0
    assert found["n2"] == pytest.approx(0.5, abs=0.001)
    assert found["n3"] == pytest.approx(0.1, abs=0.001)
    assert found["n4"] == pytest.approx(sum(found[f"n{i}"] for i in (1, 2, 3)) / 3)


def test_what_is_not_related_has_no_distance() -> None:
    assert company_of(with_db_on("n1").state, "app!=db", PLACES).nearness == {}
    assert company_of(with_db_on("n1").state, "app", PLACES) == ALONE


def test_a_task_goes_where_its_company_is_near() -> None:
    """n1, where the database is, is full; n2 is nearer to it than n3 and n4."""
    feed = with_db_on("n1")
    feed.accepted(c.DeployApp(spec("big", 1, cpu=6, node_affinity="node.id=n1")))
    feed.accepted(*placement.plan(feed.state, Surroundings()))
    feed.accepted(c.DeployApp(spec("api", 1, cpu=1, service_affinity="app=db")))
    (command,) = placement.plan(feed.state, Surroundings(places={**PLACES, "n4": at(-50)}))
    assert isinstance(command, c.PlaceTasks)
    assert [one.node_id for one in command.placements] == ["n2"]
