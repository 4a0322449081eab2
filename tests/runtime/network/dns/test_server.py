"""The resolver over real sockets; `dig` and dnspython read the same from it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
import trio

from consensus import commands as c
from consensus.model.app_spec import Port
from runtime.network.dns.cache import ForeignAnswers
from runtime.network.dns.server import Resolver
from runtime.network.dns.ttl import aged, ttls
from runtime.network.dns.upstream import Upstream, resolvers
from tests.runtime.network.dns.world import World

_HOST = "127.0.53.1"
_TIMEOUT_S = 10


class FakeUpstream:
    """Answers every A question with one address; `deaf` answers none."""

    def __init__(self) -> None:
        self.asked = 0
        self.deaf = False

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            await bound.bind((_HOST, 0))
            task_status.started(bound.getsockname()[1])
            while True:
                wire, client = await bound.recvfrom(4096)
                self.asked += 1
                if not self.deaf:
                    response = dns.message.make_response(dns.message.from_wire(wire), recursion_available=True)
                    name = response.question[0].name
                    response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "198.51.100.7"))
                    await bound.sendto(response.to_wire(), client)


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[tuple[Resolver, int, FakeUpstream]]:
    dead: frozenset[str] = frozenset()
    upstream = FakeUpstream()
    async with trio.open_nursery() as nursery:
        port = await nursery.start(upstream.run)
        resolver = Resolver(
            world.machine, dead=lambda: dead, upstream=Upstream(lambda: [_HOST], port=port, timeout_s=1)
        )

        async def serve(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await resolver.run(_HOST, port=0, task_status=task_status)

        yield resolver, await nursery.start(serve), upstream
        nursery.cancel_scope.cancel()


async def ask(port: int, name: str, rdtype: str = "A") -> dns.message.Message:
    query = dns.message.make_query(name, rdtype)
    with trio.fail_after(_TIMEOUT_S), trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        await asked.connect((_HOST, port))
        await asked.send(query.to_wire())
        response = dns.message.from_wire(await asked.recv(4096))
    assert query.is_response(response)
    return response


async def dig(port: int, name: str, rdtype: str, *options: str) -> set[str]:
    argv = ["dig", f"@{_HOST}", "-p", str(port), name, rdtype, "+short", "+time=5", "+noedns", *options]
    done = await trio.run_process(argv, capture_stdout=True)
    return set(done.stdout.decode().splitlines())


@pytest.mark.skipif(shutil.which("dig") is None, reason="there is no dig here")
async def test_dig_and_dnspython_agree_on_every_type() -> None:
    world = World()
    world.deploy("shop", 2, service="web.local", ports=(Port(80),))
    questions = {
        "A": "web.local",
        "AAAA": "web.local",
        "TXT": "web.local",
        "SRV": "_http._tcp.web.local",
        "PTR": "2.0.244.10.in-addr.arpa",
        "MX": "web.local",
    }
    async with serving(world) as (_, port, _):
        for rdtype, name in questions.items():
            response = await ask(port, name, rdtype)
            mine = {record.to_text() for rrset in response.answer for record in rrset}
            assert await dig(port, name, rdtype) == mine, rdtype
            assert await dig(port, name, rdtype, "+tcp") == mine, rdtype
            assert bool(mine) == (rdtype not in ("AAAA", "MX"))
        assert (await ask(port, "nothing.local")).rcode() == dns.rcode.NXDOMAIN


async def test_a_cookie_of_the_client_does_not_miss_the_answer_that_is_kept_and_a_bad_option_spoils_none() -> None:
    world = World()
    world.deploy("shop", 2)
    async with serving(world) as (resolver, port, _):

        async def first_of(*options: dns.edns.Option) -> str:
            query = dns.message.make_query("shop", "A", use_edns=0, options=list(options))
            with trio.fail_after(_TIMEOUT_S), trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                await asked.connect((_HOST, port))
                await asked.send(query.to_wire())
                response = dns.message.from_wire(await asked.recv(4096))
            return response.answer[0][0].to_text() if response.answer else dns.rcode.to_text(response.rcode())

        subnet_of_no_family = dns.edns.GenericOption(dns.edns.OptionType.ECS, bytes([0, 9, 24, 0, 1, 2, 3]))
        assert await first_of(subnet_of_no_family) == "FORMERR"
        cookies = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, bytes([number] * 8)) for number in range(4)]
        turns = [await first_of(cookie) for cookie in cookies]
        assert turns == ["10.244.0.2", "10.244.1.2"] * 2 or turns == ["10.244.1.2", "10.244.0.2"] * 2
        assert (resolver.counters.queries, resolver.counters.hits) == (5, 3)


async def test_an_answer_is_made_once_and_anew_after_each_change() -> None:
    world = World()
    first, second = world.deploy("shop", 2)
    async with serving(world) as (resolver, port, _):
        for _ in range(5):
            assert len((await ask(port, "shop")).answer[0]) == 2
        assert (resolver.counters.queries, resolver.counters.hits) == (5, 4)
        world.accepted(c.RemoveTasks([second]))
        assert [record.to_text() for record in (await ask(port, "shop")).answer[0]] == ["10.244.0.2"]
        assert (await ask(port, f"{first}.local")).answer


async def test_others_names_are_asked_upstream_and_kept() -> None:
    world = World()
    async with serving(world) as (resolver, port, upstream):
        for _ in range(2):
            assert (await ask(port, "example.com")).answer[0][0].to_text() == "198.51.100.7"
        assert upstream.asked == 1
        upstream.deaf = True
        assert (await ask(port, "silent.example.com")).rcode() == dns.rcode.SERVFAIL
        assert (await ask(port, "nothing.local")).rcode() == dns.rcode.NXDOMAIN
    counters = resolver.counters
    assert (counters.queries, counters.hits, counters.forwarded, counters.unanswered) == (4, 1, 2, 1)
    by_code = {dns.rcode.to_text(dns.rcode.Rcode(code)): count for code, count in enumerate(counters.answers) if count}
    assert by_code == {"NOERROR": 2, "SERVFAIL": 1, "NXDOMAIN": 1}


def test_kept_answers_age_and_end() -> None:
    response = dns.message.make_response(dns.message.make_query("example.com", "A"))
    response.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "A", "198.51.100.7"))
    kept = ForeignAnswers()
    kept.put(b"question", response.to_wire(), 100.0)
    for now_s, ttl_s in ((100.0, 60), (120.5, 40), (159.9, 1)):
        found = kept.get(b"question", now_s)
        assert found is not None
        assert dns.message.from_wire(b"\0\0" + found).answer[0].ttl == ttl_s
    assert kept.get(b"question", 160.0) is None
    kept.put(b"cut off", response.to_wire()[:-3], 100.0)
    assert kept.get(b"cut off", 100.0) is None


async def test_a_new_app_takes_its_name_from_upstream_at_once() -> None:
    world = World()
    async with serving(world) as (_, port, _):
        assert (await ask(port, "shop.example")).answer[0][0].to_text() == "198.51.100.7"
        world.deploy("shop.example", 1)
        assert (await ask(port, "shop.example")).answer[0][0].to_text() == "10.244.0.2"


async def test_many_questions_at_once_are_all_answered() -> None:
    world = World()
    world.deploy("shop", 2)
    async with serving(world) as (_, port, _), trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(ask, port, "shop" if number % 2 else f"x{number}.local")


async def test_a_stream_takes_several_questions_and_survives_rubbish() -> None:
    """RFC 7766 §6.2.1.1: one connection, many questions."""
    world = World()
    world.deploy("shop", 60)
    async with serving(world) as (_, port, _):
        for rubbish in (b"\0\5hello", b"\xff\xff"):
            async with await trio.open_tcp_stream(_HOST, port) as stream:
                await stream.send_all(rubbish)
                await stream.send_eof()
                with trio.fail_after(_TIMEOUT_S):
                    assert await stream.receive_some() == b""
        query = dns.message.make_query("shop", "A").to_wire()
        async with await trio.open_tcp_stream(_HOST, port) as stream:
            for _ in range(2):
                await stream.send_all(len(query).to_bytes(2, "big") + query)
            received = b""
            with trio.fail_after(_TIMEOUT_S):
                while len(received) < 2 * (2 + 22 + 60 * 16):
                    received += await stream.receive_some()
        length = int.from_bytes(received[:2], "big")
        assert len(dns.message.from_wire(received[2 : 2 + length]).answer[0]) == 60


def test_ages_are_where_they_are_in_the_message() -> None:
    query = dns.message.make_query("www.example.com", "A", use_edns=0)
    response = dns.message.make_response(query)
    owner = response.question[0].name
    response.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", "a.example.com."))
    response.answer.append(dns.rrset.from_text("a.example.com.", 30, "IN", "A", "198.51.100.1", "198.51.100.2"))
    wire = response.to_wire()
    found = ttls(wire)
    assert [seconds for _, seconds in found] == [60, 30, 30]
    older = dns.message.from_wire(aged(wire, found, 40))
    assert [rrset.ttl for rrset in older.answer] == [20, 0]
    for cut in range(len(wire)):
        with pytest.raises(ValueError, match="cut off"):
            ttls(wire[:cut])


def test_resolvers_of_the_machine_are_read_and_our_own_left_out() -> None:
    text = "# made by hand\nsearch example.com\nnameserver 10.244.0.1\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n"
    assert resolvers(text, ["10.244.0.1"]) == ["192.0.2.1", "fe80::1"]
