"""Asks the kernel for all that it has of one kind (netlink(7), NLM_F_DUMP)."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

from runtime.network.netlink_messages import HEADER, is_torn, messages

_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _STRICT = 270, 12
_READ_BYTES = 256 * 1024
_TRIES = 5


def dump(protocol: int, kind: int, body: bytes) -> list[bytes]:
    """The bodies of its answers to one request. Blocks for a moment: run it in a thread. Raises OSError.

    What changed while it was told is asked for again, a few times: a list that never stands still has to do.
    """
    request = HEADER.pack(HEADER.size + len(body), kind, _REQUEST | _DUMP, 0, 0) + body
    found: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as kernel:
        # So that the kernel leaves out what was not asked for; an older one (before 4.20) tells more.
        with suppress(OSError):
            kernel.setsockopt(_SOL_NETLINK, _STRICT, 1)
        for _ in range(_TRIES):
            kernel.send(request)
            found, torn = _answers(kernel)
            if not torn:
                break
    return found


def _answers(kernel: socket.socket) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    torn = False
    while True:
        data = kernel.recv(_READ_BYTES)
        torn = torn or is_torn(data)
        for kind, body in messages(data):
            if kind == _DONE:
                return found, torn
            if kind == _ERROR and (code := -struct.unpack_from("=i", body)[0]):
                raise OSError(code, os.strerror(code))
            found.append(body)
