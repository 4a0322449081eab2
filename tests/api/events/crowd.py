"""Many WebSocket clients in one process of their own, by raw sockets: cheap, as the machine is shared with the server.

    python -m tests.api.events.crowd ADDRESS PORT TOKEN CLIENTS EVENTS STALLED EVENTS_AFTER STALL_S

The events are alerts with the ids a0, a1, …; each client must get all of them, in order, once. Then `STALLED` clients
stop reading, for `STALL_S` longer than it takes the others to get `EVENTS_AFTER` more. Says in a line of JSON when it
has connected, when all have the first events, when the others have the rest, and how many of the stalled ones were let
go.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import sys
import time

RECEIVE_BYTES = 1 << 18
LET_GO_WITHIN_S = 60.0
TEXT, PING = 0x81, 0x89


class Client:
    """One connection; `got` counts the events that came, each the one that was due."""

    def __init__(self, address: tuple[str, int], token: str, *, receive_buffer_bytes: int | None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.connect(address)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /api/ws?token={token}&types=alert_created HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(1024)
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"no WebSocket: {head!r}")
        self._data = rest
        self.got = 0

    def read(self) -> None:
        """Takes what is there. Raises RuntimeError where it is not what was due, or the end."""
        more = self.socket.recv(RECEIVE_BYTES)
        if not more:
            raise RuntimeError(f"closed after {self.got} events")
        data, at = self._data + more, 0
        while (end := _frame_end(data, at)) is not None:
            if data[at] == TEXT:
                due = b'"id":"a%d"' % self.got
                # The alert's id stands first: decoding a million messages would test the JSON decoder.
                if due not in data[at : at + 100]:
                    raise RuntimeError(f"expected {due!r}, got {data[at : at + 100]!r}")
                self.got += 1
            elif data[at] != PING:
                raise RuntimeError(f"neither a message nor a ping: {data[at : at + 100]!r}")
            at = end
        self._data = data[at:]

    def is_let_go(self, until_s: float) -> bool:
        """Whether it is reset, or reads to its end, before `until_s`."""
        while (left_s := until_s - time.monotonic()) > 0:
            self.socket.settimeout(left_s)
            try:
                if not self.socket.recv(RECEIVE_BYTES):
                    return True
            except ConnectionResetError:
                return True
            except TimeoutError:
                break
        return False


def _frame_end(data: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends (RFC 6455, 5.2); None: it is not all there yet."""
    if len(data) < at + 10:
        short = len(data) >= at + 2 and data[at + 1] <= 125
        end = at + 2 + data[at + 1] if short else len(data) + 1
    elif data[at + 1] <= 125:
        end = at + 2 + data[at + 1]
    elif data[at + 1] == 126:
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    else:
        end = at + 10 + int.from_bytes(data[at + 2 : at + 10], "big")
    return end if end <= len(data) else None


def read_all(clients: list[Client], events: int) -> None:
    """Returns when each has `events` events."""
    with selectors.DefaultSelector() as selector:
        behind = [client for client in clients if client.got < events]
        for client in behind:
            selector.register(client.socket, selectors.EVENT_READ, client)
        left = len(behind)
        while left:
            for key, _ in selector.select():
                key.data.read()
                if key.data.got >= events:
                    selector.unregister(key.data.socket)
                    left -= 1


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


def main(host: str, port: str, token: str, *numbers: str) -> None:
    count, events, stalled, events_after, stall_s = map(int, numbers)
    address = (host, int(port))
    clients = [
        Client(address, token, receive_buffer_bytes=4096 if number < stalled else None) for number in range(count)
    ]
    say(connected=count)
    read_all(clients, events)
    say(events=sum(client.got for client in clients))
    read_all(clients[stalled:], events + events_after)
    say(events=sum(client.got for client in clients))
    time.sleep(stall_s)
    until_s = time.monotonic() + LET_GO_WITHIN_S
    say(let_go=sum(client.is_let_go(until_s) for client in clients[:stalled]))
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
