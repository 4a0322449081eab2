"""hivemind.forwarding: which failures of a try are certain, and which may have been applied."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from consensus.entry import MAX_ENTRY_BYTES
from consensus.proposer import NotAccepted
from consensus.raft import Leadership, NotLeader, OutcomeUnknown, QueueFull
from hivemind.forwarding import MAX_PIECES, SERVICE, Forwarding
from hivemind.peer.errors import PeerRefusal, PeerTimeout, PeerUnreachable


class FakeRaft:
    def __init__(self, *, leader_id: str | None, leads: bool = False) -> None:
        self.node_id = "n1"
        self.leadership = Leadership(leader_id, leads, 1, "voter", ("n1", "n2", "n3"))
        self.news = trio.Event()
        self.proposed: list[bytes] = []
        self.failures: list[Exception | None] = []
        self.told: list[str] = []

    @property
    def leader_id(self) -> str | None:
        return self.leadership.leader_id

    async def wait_leadership(self, seen: Leadership) -> Leadership:
        while self.leadership == seen:
            await self.news.wait()
        return self.leadership

    def follow(self, leader_id: str | None) -> None:
        self.leadership = Leadership(leader_id, False, 2, "voter", ("n1", "n2", "n3"))
        self.news.set()
        self.news = trio.Event()

    def tell_commit(self, node_id: str) -> None:
        self.told.append(node_id)

    async def propose(self, entry: bytes, *, timeout_s: float) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.proposed.append(entry)


class FakeCalls:
    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.answers: dict[str, object] = {}
        self.calls: list[tuple[str, str, Any]] = []

    async def call(self, node_id: str, service: str, body: Any, *, timeout_s: float) -> Any:
        self.calls.append((node_id, service, body))
        if node_id in self.answers:
            return self.answers[node_id]
        if isinstance(self.answer, Exception):
            raise self.answer
        return {}


def forwarding(raft: FakeRaft, calls: FakeCalls | None = None) -> Forwarding:
    return Forwarding(raft, calls or FakeCalls())  # type: ignore[arg-type]


async def test_the_leader_proposes_each_piece_itself_in_order() -> None:
    raft = FakeRaft(leader_id="n1", leads=True)
    await forwarding(raft).submit([b"1", b"2"], 1.0)
    assert raft.proposed == [b"1", b"2"]


async def test_others_send_to_the_leader() -> None:
    calls = FakeCalls()
    await forwarding(FakeRaft(leader_id="n2"), calls).submit([b"1"], 1.5)
    assert calls.calls == [("n2", SERVICE, {"pieces": [b"1"], "timeout_s": pytest.approx(1.5, abs=0.5)})]


async def test_what_an_old_leader_refuses_goes_to_the_new_one_at_its_first_news(autojump_clock: Any) -> None:
    calls, raft = FakeCalls(PeerRefusal("not_leader", "n2 hands over")), FakeRaft(leader_id="n2")
    calls.answers["n3"] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forwarding(raft, calls).submit, [b"1"], 5.0)
        await trio.sleep(0.05)
        raft.follow("n3")
        since_s = trio.current_time()
    assert trio.current_time() == since_s
    assert [node_id for node_id, *_ in calls.calls] == ["n2", "n3"]


async def test_without_news_a_refusal_is_told_soon(autojump_clock: Any) -> None:
    with pytest.raises(NotAccepted):
        await forwarding(FakeRaft(leader_id="n2"), FakeCalls(PeerRefusal("not_leader", "no"))).submit([b"1"], 5.0)
    assert trio.current_time() < 1


@pytest.mark.parametrize(
    ("failure", "ambiguous"),
    [
        (PeerRefusal("not_leader", "no"), False),
        (PeerRefusal("unknown", "perhaps"), True),
        (PeerRefusal("internal", "it fell over"), True),
        (PeerUnreachable("n2", "refused"), False),
        (PeerUnreachable("n2", "lost", ambiguous=True), True),
        (PeerTimeout("n2", SERVICE, 1.0, ambiguous=True), True),
    ],
)
async def test_what_the_way_to_the_leader_may_have_done(failure: Exception, ambiguous: bool) -> None:
    with pytest.raises(NotAccepted) as caught:
        await forwarding(FakeRaft(leader_id="n2"), FakeCalls(failure)).submit([b"1"], 1.0)
    assert caught.value.ambiguous is ambiguous


async def test_without_a_leader_nothing_is_sent() -> None:
    calls, raft = FakeCalls(), FakeRaft(leader_id=None)
    raft.failures = [NotLeader(None)]
    with pytest.raises(NotAccepted, match="the leader is unknown") as caught:
        await forwarding(raft, calls).submit([b"1"], 1.0)
    assert not caught.value.ambiguous
    assert calls.calls == []


@pytest.mark.parametrize(
    ("failures", "ambiguous"),
    [
        ([NotLeader("n2")], False),
        ([None, NotLeader("n2")], True),
        ([OutcomeUnknown("deposed")], True),
        ([QueueFull("full")], False),
    ],
)
async def test_what_the_leader_tells_of_a_failure(failures: list[Exception | None], ambiguous: bool) -> None:
    raft = FakeRaft(leader_id="n1", leads=True)
    raft.failures = list(failures)
    with pytest.raises(PeerRefusal) as caught:
        await forwarding(raft).serve("n2", {"pieces": [b"1", b"2"], "timeout_s": 1.0})
    assert caught.value.code == ("unknown" if ambiguous else "not_leader")


async def test_who_forwarded_is_told_of_the_commit_at_once() -> None:
    raft = FakeRaft(leader_id="n1", leads=True)
    assert await forwarding(raft).serve("n2", {"pieces": [b"1"], "timeout_s": 1.0}) == {}
    assert raft.told == ["n2"]


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"pieces": "x", "timeout_s": 1.0},
        {"pieces": [b"x"] * (MAX_PIECES + 1), "timeout_s": 1.0},
        {"pieces": [bytes(MAX_ENTRY_BYTES + 1)], "timeout_s": 1.0},
    ],
)
async def test_what_is_no_proposal_is_certainly_not_applied(body: Any) -> None:
    raft = FakeRaft(leader_id="n1", leads=True)
    with pytest.raises(PeerRefusal) as caught:
        await forwarding(raft).serve("n2", body)
    assert caught.value.code == "not_leader"
    assert raft.proposed == []
