"""Once, only on what was seen, and written down: what holds for commands that users ask for."""

from __future__ import annotations

from msgspec.structs import replace

from consensus import commands as c
from consensus.apply.origin import ONCE_TTL_S
from consensus.digest import digest
from consensus.entry import CommandId, Entry, encode
from consensus.machine import Machine
from consensus.model.origin import Guard, Once, Origin
from consensus.outcomes import AnyOutcome, Batched, Deployed, Refusal, RefusalCode
from tests.consensus.making import ADMIN, CLUSTER, spec

ORIGIN = Origin(user_id="u1", address="10.0.0.1", action="POST /deploy", target="/deploy")


class Node:
    """A machine whose entries come from different sessions, as from different nodes."""

    def __init__(self) -> None:
        self.machine, self.number, self.now_s = Machine(), 0, 100.0
        self(c.FoundCluster(CLUSTER, ADMIN), None)

    def __call__(self, command: c.AnyCommand, origin: Origin | None = ORIGIN) -> AnyOutcome:
        self.number += 1
        entry = Entry(id=CommandId(f"s{self.number}", 1), time_s=self.now_s, command=command, origin=origin)
        for piece in encode(entry):
            outcome = self.machine.apply(self.machine.index + 1, piece)
        assert self.machine.fault is None
        return outcome


def once(key: str, fingerprint: str = "f") -> Origin:
    return replace(ORIGIN, once=Once(key, fingerprint))


def test_a_key_acts_once_whichever_node_it_comes_through_and_after_a_snapshot() -> None:
    node = Node()
    first = node(c.DeployApp(spec("web", 2)), once("k"))
    assert isinstance(first, Deployed)
    node.machine.restore(node.machine.freeze()())
    assert node(c.DeployApp(spec("web", 2)), once("k")) == first
    assert len(node.machine.state.tasks) == 2
    other = node(c.DeployApp(spec("api", 2)), once("k", "another request"))
    assert isinstance(other, Refusal)
    node.now_s += ONCE_TTL_S + 1
    assert isinstance(node(c.DeployApp(spec("web", 2)), once("k")), Refusal)


def test_a_guard_holds_only_while_the_row_is_what_was_seen() -> None:
    node = Node()
    node(c.DeployApp(spec("web", 1)))
    seen = Guard("apps", "web", digest(node.machine.state.apps["web"]))
    assert not isinstance(node(c.ScaleApp("web", 2), replace(ORIGIN, guard=seen)), Refusal)
    refused = node(c.ScaleApp("web", 3), replace(ORIGIN, guard=seen))
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CHANGED
    gone = node(c.ScaleApp("x", 3), replace(ORIGIN, guard=Guard("apps", "x", "*")))
    assert isinstance(gone, Refusal)
    assert gone.code is RefusalCode.NOT_FOUND
    assert node.machine.state.apps["web"].spec.replicas == 2


def test_every_try_is_written_down_and_a_refused_one_leaves_nothing_else() -> None:
    node = Node()
    node(c.DeployApp(spec("web", 1)))
    before, events = node.machine.state, node.machine.events.newest
    node(c.DeployApp(spec("web", 1)))
    state = node.machine.state
    assert [(r.user_id, r.address, r.outcome) for r in state.audit.values()] == [
        ("u1", "10.0.0.1", "done"),
        ("u1", "10.0.0.1", "conflict"),
    ]
    assert replace(state, audit=before.audit, next_audit_number=before.next_audit_number) == before
    assert node.machine.events.newest == events
    node(c.RestartApp("web"), None)
    assert len(node.machine.state.audit) == 2


def test_a_batch_is_all_or_nothing_and_does_not_nest() -> None:
    node = Node()
    outcome = node(c.Batch([c.DeployApp(spec("web", 2)), c.ScaleApp("web", 3), c.DeployApp(spec("api", 1))]))
    assert isinstance(outcome, Batched)
    assert len(set(node.machine.state.tasks)) == 4
    before = node.machine.state.apps
    refused = node(c.Batch([c.DeleteApp("web"), c.DeleteApp("none")]))
    assert isinstance(refused, Refusal)
    assert refused.operation == 1
    nested = node(c.Batch([c.Batch([c.DeleteApp("web")])]))
    assert isinstance(nested, Refusal)
    assert node.machine.state.apps == before
