"""hivemind.known_peers: how nodes find each other when all of them start at once."""

from __future__ import annotations

from pathlib import Path

import trio

from consensus.commands import AddNode, RemoveNode, StartNode
from consensus.machine import Machine
from consensus.model.node import NodeFacts
from consensus.proposer import LocalProposer
from hivemind import known_peers
from hivemind.addresses import AddressBook
from hivemind.known_peers import PeerKeeper
from tests.support.waiting import wait_until_async


def facts(address: str) -> NodeFacts:
    return NodeFacts(address=address, api_port=4483, peer_port=7946, cpu_cores=1.0, memory_bytes=1, disk_bytes=1)


async def kept(folder: Path, peers: list[tuple[str, str, int]]) -> None:
    """Writing them takes a thread, and as long as the disk does."""

    async def are_kept() -> bool:
        return known_peers.load(folder) == peers

    await wait_until_async(are_kept, 20, f"{peers} kept")


async def test_what_the_state_says_is_kept_and_what_a_joiner_was_told_until_then(tmp_path: Path) -> None:
    machine = Machine()
    proposer = LocalProposer(machine, now_s=lambda: 1.0)
    told = [("n1", "192.0.2.1", 7946)]
    async with trio.open_nursery() as nursery:
        await nursery.start(PeerKeeper(tmp_path, machine, told).run)
        assert known_peers.load(tmp_path) == told
        await proposer.propose(AddNode(node_id="n1", facts=facts("192.0.2.1")))
        await proposer.propose(AddNode(node_id="n2", facts=facts("192.0.2.2")))
        await proposer.propose(StartNode(node_id="n2", boot_id="b", facts=facts("192.0.2.22")))
        await kept(tmp_path, [("n1", "192.0.2.1", 7946), ("n2", "192.0.2.22", 7946)])
        await proposer.propose(RemoveNode(node_id="n2", force=True))
        await kept(tmp_path, [("n1", "192.0.2.1", 7946)])
        nursery.cancel_scope.cancel()
    assert (tmp_path / known_peers.FILE).stat().st_mode & 0o777 == 0o600
    book = AddressBook(Machine(), known_peers.load(tmp_path))
    assert book.resolve("n1") == ("192.0.2.1", 7946)
    assert book.others("n2") == {"n1": ("192.0.2.1", 7946)}


async def test_a_file_that_is_missing_or_damaged_is_no_hindrance(tmp_path: Path) -> None:
    assert known_peers.load(tmp_path) == []
    (tmp_path / known_peers.FILE).write_bytes(b"\xc1junk")
    assert known_peers.load(tmp_path) == []
    async with trio.open_nursery() as nursery:
        await nursery.start(PeerKeeper(tmp_path / "nowhere", Machine(), [("n1", "192.0.2.1", 7946)]).run)
        nursery.cancel_scope.cancel()
