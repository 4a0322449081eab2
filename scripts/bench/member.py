"""One member as a process of its own, for `membership.py` beside it: gossip over UDP, exchanges over plain TCP.

`member.py NAME HOST PORT PRESET`. On standard input, `join NAME HOST` lets it join; on standard output it says `ready`,
`alive NAME` and `dead NAME`. The TCP side is as simple as can be: a real node has its peer channel for that.
"""

from __future__ import annotations

import random
import struct
import sys
from functools import partial

import structlog
import trio

from membership import PRESETS, Keyring, MemberChanged, Membership, MemoryIncarnationStore, Peer, UdpTransport

KEY = b"benchmark" + b"k" * 23
_LENGTH = struct.Struct(">I")


async def _read(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        some = await stream.receive_some(count - len(data))
        if not some:
            raise ConnectionError("the stream ended")
        data += some
    return bytes(data)


async def _read_frame(stream: trio.abc.ReceiveStream) -> bytes:
    (length,) = _LENGTH.unpack(await _read(stream, _LENGTH.size))
    return await _read(stream, length)


async def _send_frames(stream: trio.abc.SendStream, *frames: bytes) -> None:
    await stream.send_all(b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames))


class TcpExchange:
    """Question and answer on a connection of its own, as memberlist does it."""

    def __init__(self, own_name: str, port: int) -> None:
        self._own_name = own_name
        self._port = port
        self.hosts: dict[str, str] = {}

    async def exchange(self, name: str, kind: str, payload: bytes, *, timeout_s: float) -> bytes:
        """See `membership.StreamExchange`."""
        with trio.fail_after(timeout_s):
            async with await trio.open_tcp_stream(self.hosts[name], self._port) as stream:
                await _send_frames(stream, self._own_name.encode(), kind.encode(), payload)
                return await _read_frame(stream)


async def _serve(member: Membership, stream: trio.SocketStream) -> None:
    async with stream:
        with trio.move_on_after(10):
            try:
                peer, kind, payload = [await _read_frame(stream) for _ in range(3)]
                await _send_frames(stream, await member.serve_exchange(peer.decode(), kind.decode(), payload))
            except (trio.BrokenResourceError, ConnectionError) as error:
                structlog.get_logger().debug("exchange_broken", reason=str(error))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _report(member: Membership, exchange: TcpExchange, task_status: trio.TaskStatus[None]) -> None:
    async with member.changes() as changes:
        task_status.started()
        async for change in changes:
            if isinstance(change, MemberChanged):
                exchange.hosts[change.member.name] = change.member.address
                if change.previous is not change.member.state:
                    _say(f"{change.member.state.word} {change.member.name}")


async def main(name: str, host: str, port: int, preset: str) -> None:
    """Run until standard input ends."""
    exchange = TcpExchange(name, port)
    async with await UdpTransport.bind((host, port)) as packets, trio.open_nursery() as nursery:
        member = Membership(
            PRESETS[preset](),
            name=name,
            address=(host, port),
            meta=b"",
            keyring=Keyring([KEY]),
            packets=packets,
            exchange=exchange,
            incarnations=MemoryIncarnationStore(),
            rng=random.Random(),
        )
        await nursery.start(partial(_report, member, exchange))
        await nursery.start(member.run)
        await nursery.start(partial(trio.serve_tcp, partial(_serve, member), port, host=host))
        _say("ready")
        lines = trio.lowlevel.FdStream(0)
        async for data in lines:
            for line in data.decode().splitlines():
                _, seed, seed_host = line.split()
                exchange.hosts[seed] = seed_host
                await member.join([Peer(seed, (seed_host, port))])
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
