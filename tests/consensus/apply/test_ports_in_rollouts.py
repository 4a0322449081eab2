"""Published ports while an app is changed: those of its old spec and of its new one are its own until the end."""

from __future__ import annotations

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.deployment import Change, Move
from consensus.model.service import ServicePort
from consensus.model.strategy import RollingUpdate
from consensus.outcomes import Refusal, RefusalCode
from tests.consensus.apply.test_deployment import begin, move
from tests.consensus.making import Feed, spec


def _from_8080_to_8081() -> tuple[Feed, str]:
    feed = Feed()
    feed.accepted(c.DeployApp(spec("web", 2, ports=[Port(80, 8080)])))
    change = {"image": None, "spec": spec("web", 2, ports=[Port(80, 8081)])}
    return feed, begin(feed, RollingUpdate(), **change)


def _refused(feed: Feed, port: int) -> None:
    for command in (
        c.DeployApp(spec("other", 1, ports=[Port(80, port)])),
        c.CreateService(name="other", ports=[ServicePort(port=80, host_port=port)]),
    ):
        outcome = feed(command)
        assert isinstance(outcome, Refusal), port
        assert outcome.code is RefusalCode.CONFLICT
        assert outcome.message == f"host_port {port}/tcp is published by app 'web' already"


def test_nobody_takes_the_port_that_comes_or_the_one_that_may_be_needed_again() -> None:
    """Another app took it in the middle: the rollout failed at its end, or the rollback made two that published it."""
    feed, deployment_id = _from_8080_to_8081()
    _refused(feed, 8081)
    move(feed, deployment_id, Move.PROMOTE)
    _refused(feed, 8080)
    move(feed, deployment_id, Move.FAIL)
    _refused(feed, 8080)
    move(feed, deployment_id, Move.ROLLED_BACK)
    _refused(feed, 8080)
    feed.accepted(c.DeployApp(spec("other", 1, ports=[Port(80, 8081)])))


def test_two_apps_on_their_way_to_one_port() -> None:
    feed, _ = _from_8080_to_8081()
    feed.accepted(c.DeployApp(spec("other", 1)))
    change = Change(spec=spec("other", 1, ports=[Port(80, 8081)]))
    assert isinstance(feed(c.CreateDeployment("other", change, execute=True)), Refusal)
