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
    """`bodies`: one for each client in turn; `{n}` in the path is the client's number."""

    host: str
    port: int
    method: str
    path: str
    clients: int
    seconds: float
    headers: dict[str, str]
    bodies: list[str]
    warm_up_s: float = 0.5


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


def message(load: Load, number: int) -> bytes:
    body = load.bodies[number % len(load.bodies)].encode() if load.bodies else b""
    lines = [f"{load.method} {load.path.replace('{n}', str(number))} HTTP/1.1", f"Host: {load.host}:{load.port}"]
    lines += [f"{name}: {value}" for name, value in load.headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def client(load: Load, number: int, begin_s: float, end_s: float, latencies_s: list[float]) -> int:
    """Answers how many failed."""
    failed = 0
    request = message(load, number)
    reader, writer = await asyncio.open_connection(load.host, load.port, limit=1 << 24)
    try:
        while (sent_s := time.perf_counter()) < end_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lowered = head.lower()
            start = lowered.index(b"content-length:") + 15
            await reader.readexactly(int(lowered[start : lowered.index(b"\r", start)]))
            if sent_s >= begin_s:
                latencies_s.append(time.perf_counter() - sent_s)
                failed += head[9:10] >= b"4"
    finally:
        writer.close()
        await writer.wait_closed()
    return failed


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
