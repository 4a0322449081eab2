"""A peer in a process of its own: kill -9, restart, SIGSTOP and SIGCONT (issue 2, bars 2 and 5)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from hivemind.peer import PeerTimeout, PeerUnreachable

PEER = """
import random, sys, trio
from pathlib import Path
from hivemind.peer import Identity, PeerChannel

class Nothing:
    def message(self, node_id, body): pass
    def up(self, node_id): pass
    def down(self, node_id): pass

async def main(data_dir, host, port):
    channel = PeerChannel(
        Identity.load(Path(data_dir)), bind=(host, int(port)), resolve=lambda _: None, rng=random.Random()
    )
    async def echo(peer, body):
        return body
    channel.serve("echo", echo)
    channel.listen(Nothing())
    async with trio.open_nursery() as nursery:
        await nursery.start(channel.run)
        print(channel.address[1], flush=True)

trio.run(main, *sys.argv[1:])
"""


@asynccontextmanager
async def peer(data_dir: Path, host: str, port: int) -> AsyncIterator[tuple[trio.Process, int]]:
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-c", PEER, str(data_dir), host, str(port)]
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        )
        assert process.stdout is not None
        line = b""
        with trio.fail_after(15):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some()
        try:
            yield process, int(line)
        finally:
            if process.returncode is None:
                process.kill()


@pytest.mark.timeout(40)
async def test_killed_restarted_stopped_and_continued(cluster: Any, recorder: Any, tmp_path: Path) -> None:
    cluster.identity("b").save(tmp_path)
    a, at_a = cluster.channel("a"), recorder()
    a.listen(at_a)
    a.connect("b")
    await cluster.start(a)
    async with peer(tmp_path, "127.0.0.1", 0) as (process, port):
        cluster.addresses["b"] = ("127.0.0.1", port)
        await at_a.until(lambda r: len(r.changes) == 1)
        assert await a.call("b", "echo", 1, timeout_s=5) == 1
        process.kill()
        await at_a.until(lambda r: len(r.changes) == 2, timeout_s=1)
        with pytest.raises(PeerUnreachable):
            await a.call("b", "echo", 1, timeout_s=5)
    async with peer(tmp_path, "127.0.0.1", port) as (process, _):
        await at_a.until(lambda r: len(r.changes) == 3)
        assert await a.call("b", "echo", 2, timeout_s=5) == 2
        process.send_signal(signal.SIGSTOP)
        await at_a.until(lambda r: len(r.changes) == 4, timeout_s=3)
        assert not a.send("b", 1)
        with pytest.raises(PeerTimeout) as caught:
            await a.call("b", "echo", 3, timeout_s=0.3)
        assert caught.value.ambiguous
        process.send_signal(signal.SIGCONT)
        await at_a.until(lambda r: len(r.changes) == 5)
        assert await a.call("b", "echo", 4, timeout_s=5) == 4
    await at_a.until(lambda r: len(r.changes) == 6)
    assert at_a.changes == [("up", "b"), ("down", "b")] * 3
