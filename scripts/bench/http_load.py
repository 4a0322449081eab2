"""Clients that each send the next request when the answer to the last is there. A process of its own.

    python http_load.py < REQUEST-AS-JSON > RESULT-AS-JSON

Cheap on purpose, as it shares the machine with what it measures: raw HTTP/1.1 over kept connections.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
from msgspec import Struct


class Load(Struct, frozen=True):
    """`bodies`: one for each client in turn; `{n}` in a path is the client's number.

    `host` is an address, or the path of a unix socket. With `version_path` each request is preceded by a GET of it,
    and `{version}` in the path is the `Version.Index` that was answered: both together count as one.
    """

    host: str
    port: int
    method: str
    path: str
    clients: int
    seconds: float
    headers: dict[str, str]
    bodies: list[str]
    warm_up_s: float = 0.5
    version_path: str = ""


class Measured(Struct, frozen=True):
    """Latencies in milliseconds; `failed` counts answers of 400 and more."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds


def message(load: Load, method: str, path: str, body: bytes) -> bytes:
    host = "localhost" if load.host.startswith("/") else f"{load.host}:{load.port}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in load.headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def client(load: Load, number: int, begin_s: float, end_s: float, latencies_s: list[float]) -> int:
    """Answers how many failed."""
    failed = 0
    path, body = load.path.replace("{n}", str(number)), b""
    if load.bodies:
        body = load.bodies[number % len(load.bodies)].encode()
    request = message(load, load.method, path, body)
    looked_up = message(load, "GET", load.version_path.replace("{n}", str(number)), b"")
    if load.host.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(load.host, limit=1 << 24)
    else:
        reader, writer = await asyncio.open_connection(load.host, load.port, limit=1 << 24)
    try:
        while (sent_s := time.perf_counter()) < end_s:
            if load.version_path:
                writer.write(looked_up)
                version = msgspec.json.decode((await answer(reader))[1])["Version"]["Index"]
                request = message(load, load.method, path.replace("{version}", str(version)), body)
            writer.write(request)
            status, _ = await answer(reader)
            if sent_s >= begin_s:
                latencies_s.append(time.perf_counter() - sent_s)
                failed += status >= b"4"
    finally:
        writer.close()
        await writer.wait_closed()
    return failed


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The first digit of the status, and the body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    start = lowered.find(b"content-length:") + 15
    if start >= 15:
        return head[9:10], await reader.readexactly(int(lowered[start : lowered.index(b"\r", start)]))
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return head[9:10], b"".join(pieces)


async def run(load: Load) -> Measured:
    begin_s = time.perf_counter() + load.warm_up_s
    latencies_s: list[float] = []
    each = [client(load, number, begin_s, begin_s + load.seconds, latencies_s) for number in range(load.clients)]
    failed = sum(await asyncio.gather(*each))
    latencies_s.sort()
    if not latencies_s:
        raise RuntimeError(f"no answer within {load.seconds} s")
    return Measured(
        requests=len(latencies_s),
        failed=failed,
        seconds=load.seconds,
        p50_ms=1000 * latencies_s[len(latencies_s) // 2],
        p99_ms=1000 * latencies_s[min(len(latencies_s) - 1, len(latencies_s) * 99 // 100)],
    )


if __name__ == "__main__":
    measured = asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(measured))
