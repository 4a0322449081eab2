"""PySyncObj's import breaks `socket.inet_ntop` for everybody else in the process; ours mends it."""

from __future__ import annotations

import socket

import consensus.raft


def test_addresses_can_be_written_after_the_import() -> None:
    assert consensus.raft.RaftNode
    assert socket.inet_ntop(socket.AF_INET, b"\x0a\xf4\x01\x02") == "10.244.1.2"
    assert socket.inet_ntop(socket.AF_INET6, bytes(15) + b"\x01") == "::1"
