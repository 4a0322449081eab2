"""What a machine makes of log entries, told so that two processes can be compared.

As a program it reads them from stdin, one a line, in hex.
"""

from __future__ import annotations

import sys

import msgspec

from consensus.machine import Machine


def replayed(entries: list[bytes]) -> list[str]:
    """Of each entry: the fingerprint after it, and the events that it emitted."""
    machine, told = Machine(), []
    for index, entry in enumerate(entries, 1):
        before = machine.events.newest
        machine.apply(index, entry)
        assert machine.fault is None, machine.fault
        emitted = msgspec.json.encode(machine.events.after(before)).decode()
        told.append(f"{machine.fingerprint.chain.hex()} {emitted}")
    return told


if __name__ == "__main__":
    for line in replayed([bytes.fromhex(line) for line in sys.stdin]):
        print(line)
