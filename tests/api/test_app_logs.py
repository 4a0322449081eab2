"""The logs of all replicas of an app as one."""

from __future__ import annotations

import json
from typing import Any

import trio
from msgspec.structs import replace

from api.app_logs import LogQuery, merged, of_app
from api.deps import LogLine
from consensus import commands

ALL = LogQuery(tail=None, since_s=None, until_s=None, follow=False)


async def test_each_line_says_which_replica_wrote_it(admin: Any, world: Any) -> None:
    await world.deploy("web", replicas=2)
    world.containers.lines = [LogLine("stdout", 1.0, "one"), LogLine("stdout", 2.0, "two")]
    data = await admin.get("/apps/web/logs?tail=2")
    assert sorted(data["logs"].splitlines()) == ["web-1 | one", "web-1 | two", "web-2 | one", "web-2 | two"]
    assert [line.rpartition(" ")[2] for line in data["logs"].splitlines()] == ["one", "one", "two", "two"]
    assert world.containers.asked["tail"] == 2
    assert (await admin.send("GET", "/apps/none/logs"))[0] == 404


async def test_a_replica_that_cannot_be_read_does_not_hide_the_others(admin: Any, world: Any, unreachable: Any) -> None:
    await world.deploy("web", replicas=1)
    world.containers.fault = unreachable("node-1 is away")
    assert (await admin.get("/apps/web/logs"))["logs"] == "web-1 | its log cannot be read: node-1 is away\n"


async def test_following_takes_in_replicas_that_are_made_meanwhile(world: Any) -> None:
    """The race: a rolling update replaces all replicas while somebody watches."""
    await world.deploy("web", replicas=1)
    world.containers.lines = [LogLine("stdout", 1.0, "up")]
    query = LogQuery(tail=0, since_s=None, until_s=None, follow=True)
    seen: list[str] = []
    with trio.fail_after(5):
        async with merged(world.machine, world.containers, of_app("web"), query, now_s=0.0) as lines:
            seen.append((await anext(lines)).source)
            outcome = await world.propose(commands.ScaleApp("web", 2))
            await world.run(outcome.created)
            seen.append((await anext(lines)).source)
    assert seen == ["web-1", "web-2"]
    assert world.containers.read == ["web-1", "web-2"]


async def test_following_goes_on_when_a_container_starts_again(world: Any) -> None:
    """A log ends where its container does not run: before it was started, and after it has died."""
    await world.deploy("web", replicas=1)
    world.containers.lines = [LogLine("stdout", 1.0, "first")]
    world.containers.live_send.close()
    query = LogQuery(tail=None, since_s=None, until_s=None, follow=True)
    with trio.fail_after(5):
        async with merged(world.machine, world.containers, of_app("web"), query, now_s=0.0) as lines:
            assert (await anext(lines)).text == "first"
            world.containers.lines += [LogLine("stdout", 2.0, "second"), LogLine("stdout", 2.0, "of the same moment")]
            (task,) = world.machine.state.tasks.values()
            report = commands.TaskReport(task.id, replace(task.status, restart_count=1))
            await world.propose(commands.ReportTasks("node-1", [report]))
            assert [(await anext(lines)).text for _ in range(2)] == ["second", "of the same moment"]


async def test_following_ends_with_the_app(world: Any) -> None:
    await world.deploy("web", replicas=2)
    query = LogQuery(tail=None, since_s=None, until_s=None, follow=True)
    async with trio.open_nursery() as nursery:
        ended = trio.Event()

        async def read() -> None:
            async with merged(world.machine, world.containers, of_app("web"), query, now_s=0.0) as lines:
                async for _ in lines:
                    pass
            ended.set()

        nursery.start_soon(read)
        await world.containers.opened.wait()
        world.containers.live_send.close()
        await world.propose(commands.DeleteApp("web"))
        with trio.fail_after(5):
            await ended.wait()


async def test_as_events(world: Any) -> None:
    await world.deploy("web", replicas=1)
    client, headers = world.app.test_client(), await world.login()
    headers["Accept"] = "text/event-stream"
    with trio.fail_after(5):
        async with client.request("/api/apps/web/logs?follow=true", headers=headers) as connection:
            await connection.send_complete()
            chunk = await connection.receive()
            world.containers.live_send.close()
            await world.propose(commands.DeleteApp("web"))
            await connection.as_response()
    assert json.loads(chunk.decode().splitlines()[1].removeprefix("data: "))["container"] == "web-1"
