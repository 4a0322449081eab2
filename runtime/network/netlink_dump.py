"""Asks the kernel for all that it has of one kind (netlink(7), NLM_F_DUMP)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from runtime.network.netlink_messages import DONE, DUMP, ERROR, TORN, error_code, flagged_messages, message

_SOL_NETLINK, _STRICT = 270, 12
_READ_BYTES = 256 * 1024
_TRIES = 5


def dump(protocol: int, kind: int, body: bytes) -> list[bytes]:
    """The bodies of its answers to one request. Blocks for a moment: run it in a thread. Raises OSError.

    What changed while it was told is asked for again, a few times: a list that never stands still has to do.
    """
    request = message(kind, body, DUMP)
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
        for kind, flags, body in flagged_messages(kernel.recv(_READ_BYTES)):
            torn = torn or bool(flags & TORN)
            if kind == DONE:
                return found, torn
            if kind == ERROR and (code := error_code(body)):
                raise OSError(code, os.strerror(code))
            found.append(body)
