"""etcd for a bench: a cluster of local processes, and a gRPC client that costs as little as ours.

The client speaks just as much HTTP/2 as unary calls need: header blocks without a table, no look at what the answers'
headers say (an answer without a message is an error). grpc-gateway's JSON would cost etcd more than the write.
"""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1


class EtcdClient:
    """`async with EtcdClient(host, port) as client: await client.put(key, value)`."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._next = 1
        self._waiting: dict[int, trio.Event] = {}
        self._answered: set[int] = set()
        self._outbox: list[bytes] = []
        self._queued = trio.Event()
        self._head = _header_block(f"{host}:{port}")
        self._nursery_manager = trio.open_nursery()

    async def __aenter__(self) -> Self:
        self._stream = await trio.open_tcp_stream(*self._address)
        settings, window = _frame(_SETTINGS, 0, 0, b""), _frame(_WINDOW, 0, 0, struct.pack(">I", 2**31 - 2**17))
        await self._stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + window)
        self._nursery = await self._nursery_manager.__aenter__()
        self._nursery.start_soon(self._receive)
        self._nursery.start_soon(self._send)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nursery.cancel_scope.cancel()
        await self._nursery_manager.__aexit__(kind, error, trace)
        await trio.aclose_forcefully(self._stream)

    async def put(self, key: bytes, value: bytes) -> None:
        """etcdserverpb.KV/Put. Raises RuntimeError."""
        body = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
        stream, self._next = self._next, self._next + 2
        done = self._waiting[stream] = trio.Event()
        message = b"\0" + struct.pack(">I", len(body)) + body
        frames = _frame(_HEADERS, _END_HEADERS, stream, self._head) + _frame(_DATA, _END_STREAM, stream, message)
        self._post(frames)
        await done.wait()
        if stream not in self._answered:
            raise RuntimeError("etcd refused a write")
        self._answered.discard(stream)

    def _post(self, frames: bytes) -> None:
        self._outbox.append(frames)
        self._queued.set()

    async def _send(self) -> None:
        while True:
            await self._queued.wait()
            self._queued = trio.Event()
            batch = b"".join(self._outbox)
            self._outbox.clear()
            await self._stream.send_all(batch)

    async def _receive(self) -> None:
        buffer = bytearray()
        while True:
            data = await self._stream.receive_some(65536)
            if not data:
                raise RuntimeError("etcd closed the connection")
            buffer += data
            position = 0
            while position + 9 <= len(buffer):
                length = int.from_bytes(buffer[position : position + 3], "big")
                if position + 9 + length > len(buffer):
                    break
                kind, flags = buffer[position + 3], buffer[position + 4]
                stream = int.from_bytes(buffer[position + 5 : position + 9], "big") & 0x7FFFFFFF
                self._handle(kind, flags, stream, bytes(buffer[position + 9 : position + 9 + length]))
                position += 9 + length
            del buffer[:position]

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._post(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _DATA and payload:
            self._answered.add(stream)
        elif kind == _GOAWAY:
            raise RuntimeError(f"etcd says goodbye: {payload[8:]!r}")
        if stream and (kind == _RESET or (kind in (_DATA, _HEADERS) and flags & _END_STREAM)):
            self._waiting.pop(stream).set()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _header_block(authority: str) -> bytes:
    """POST to KV/Put: RFC 7541 static indexes, and literals that enter no table."""

    def literal(start: bytes, text: str) -> bytes:
        return start + bytes([len(text)]) + text.encode()

    te = b"\x00" + literal(b"", "te") + literal(b"", "trailers")
    content_type = literal(b"\x0f\x10", "application/grpc")
    path = literal(b"\x04", "/etcdserverpb.KV/Put")
    return b"\x83\x86" + path + literal(b"\x01", authority) + content_type + te


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class EtcdCluster:
    """Debian's etcd, three processes with TLS between them, as ours have it; clients without, as ours."""

    def __init__(self, folder: Path, addresses: list[str]) -> None:
        self.addresses = addresses
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    @contextmanager
    def running(self) -> Iterator[Self]:
        initial = ",".join(f"e{n}=https://{address}:2380" for n, address in enumerate(self.addresses))
        try:
            for number, address in enumerate(self.addresses):
                log = (self._folder / f"e{number}.log").open("wb")
                self._processes.append(
                    subprocess.Popen(
                        [
                            *("etcd", "--name", f"e{number}", "--data-dir", str(self._folder / f"e{number}")),
                            *("--listen-peer-urls", f"https://{address}:2380", "--peer-auto-tls"),
                            *("--initial-advertise-peer-urls", f"https://{address}:2380"),
                            *("--listen-client-urls", f"http://{address}:2379"),
                            *("--advertise-client-urls", f"http://{address}:2379"),
                            *("--initial-cluster", initial, "--initial-cluster-state", "new"),
                        ],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
                log.close()
            yield self
        finally:
            for process in self._processes:
                process.kill()
                process.wait(10)

    async def leader(self, within_s: float = 20) -> str:
        """The leader's address, by the servers' metrics."""
        with trio.fail_after(within_s):
            while True:
                for address in self.addresses:
                    if b"\netcd_server_is_leader 1\n" in await trio.to_thread.run_sync(_metrics, address):
                        return address
                await trio.sleep(0.1)


def _metrics(address: str) -> bytes:
    try:
        with socket.create_connection((address, 2379), timeout=1) as connection:
            connection.sendall(f"GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            answer = b""
            while data := connection.recv(65536):
                answer += data
            return answer
    except OSError:
        return b""
