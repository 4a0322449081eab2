"""A few drivers over real UDP on loopback, with the `local` preset and real time."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
import trio

from membership import FileIncarnationStore, Keyring, Membership, MembershipError, Peer, UdpTransport, local


class Loopback:
    """Exchanges by a direct call, as the peer channel is not of this package."""

    def __init__(self, own_name: str, members: dict[str, Membership]) -> None:
        self._own_name = own_name
        self._members = members

    async def exchange(self, name: str, kind: str, payload: bytes, *, timeout_s: float) -> bytes:
        if name not in self._members:
            raise ConnectionRefusedError(name)
        with trio.fail_after(timeout_s):
            return await self._members[name].serve_exchange(self._own_name, kind, payload)


async def test_four_members_over_udp(kit: Any, tmp_path: Path) -> None:
    members: dict[str, Membership] = {}
    scopes: dict[str, trio.CancelScope] = {}

    async def live(name: str, host: str, *, task_status: trio.TaskStatus[Membership]) -> None:
        with trio.CancelScope() as scopes[name]:
            async with await UdpTransport.bind((host, 0)) as packets:
                member = members[name] = Membership(
                    local(),
                    name=name,
                    address=packets.address,
                    meta=name.encode(),
                    keyring=Keyring([b"k" * 32]),
                    packets=packets,
                    exchange=Loopback(name, members),
                    incarnations=FileIncarnationStore(tmp_path / name),
                    rng=random.Random(name),
                )
                try:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(member.run)
                        task_status.started(member)
                finally:
                    del members[name]

    async with trio.open_nursery() as nursery:
        first = await nursery.start(live, "n0", "127.0.0.2")
        for index in (1, 2, 3):
            member = await nursery.start(live, f"n{index}", f"127.0.0.{index + 2}")
            report = await member.join([Peer("n0", first.members["n0"].endpoint)])
            assert report.failed == {}
        await kit.eventually(lambda: all(len(member.members) == 4 for member in members.values()), within_s=5)
        assert first.members["n3"].meta == b"n3"
        members["n2"].set_vitals(b"load 1")
        await kit.eventually(lambda: all("n2" in member.vitals for member in members.values()), within_s=5)
        await members["n1"].leave(timeout_s=5)
        await kit.eventually(lambda: first.members["n1"].state.word == "left", within_s=5)
        scopes["n3"].cancel()
        await kit.eventually(lambda: first.members["n3"].state.word == "dead", within_s=30)
        assert first.members["n2"].state.word == "alive"
        assert (first.rtt_s("n2") or 1) < 0.5
        assert first.health().packets_rejected == 0
        assert FileIncarnationStore(tmp_path / "n0").load() >= first.members["n0"].incarnation
        nursery.cancel_scope.cancel()


async def test_the_incarnation_is_kept_and_a_broken_file_is_not_taken_for_zero(tmp_path: Path) -> None:
    """design.md §4."""
    path = tmp_path / "incarnation"
    store = FileIncarnationStore(path)
    assert store.load() == 0
    await store.save(42)
    assert FileIncarnationStore(path).load() == 42
    assert os.listdir(tmp_path) == ["incarnation"]
    for broken in ("", "x", "-1", "ü"):
        path.write_text(broken)
        with pytest.raises(MembershipError, match="holds no incarnation"):
            store.load()


async def test_what_has_arrived_can_be_taken_without_waiting() -> None:
    async with await UdpTransport.bind(("127.0.0.1", 0)) as one, await UdpTransport.bind(("127.0.0.1", 0)) as other:
        assert one.receive_nowait() is None
        await other.send(b"first", one.address)
        await other.send(b"second", one.address)
        assert await one.receive() == (b"first", other.address)
        assert one.receive_nowait() == (b"second", other.address)
        assert one.receive_nowait() is None
