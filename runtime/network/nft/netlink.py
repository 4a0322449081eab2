"""Small questions and changes straight to the kernel's nftables, without the nft command.

Each blocks for a moment: run it in a thread. All raise NftError.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runtime.network.netlink_dump import dump
from runtime.network.netlink_messages import ERROR, NESTED, attributes, error_code, message, messages
from runtime.network.nft.encoding import FAMILIES, number, request, text
from runtime.network.nft.errors import NftError

_NETLINK_NETFILTER = 12
_GET_CHAIN, _GET_GENERATION, _GET_OBJECT = 4, 16, 19
_TABLE, _OBJECT_NAME, _CHAIN_NAME, _KIND, _DATA = 1, 2, 3, 3, 4
_COUNTER, _PACKETS, _GENERATION = 1, 2, 1
_FAMILY_HEADER_BYTES = 4
_READ_BYTES = 256 * 1024
_FAMILY_NAMES = {int(family): name for name, family in FAMILIES.items()}


def change(transaction: bytes) -> None:
    """Makes all of it or nothing."""
    with _kernel() as kernel:
        kernel.send(transaction)
        # It did its work, and answered, before it let us go on.
        kernel.setblocking(False)
        codes = [error_code(body) for data in _waiting(kernel) for kind, body in messages(data) if kind == ERROR]
    if not codes or any(codes):
        why = next((os.strerror(code) for code in codes if code), "it does not say whether it did")
        raise NftError(f"the kernel did not change its rules: {why}")


def generation() -> int:
    """Another one after every change of any rule, whoever made it."""
    with _kernel() as kernel:
        kernel.send(message(*request(_GET_GENERATION)))
        for _, body in messages(kernel.recv(_READ_BYTES)):
            found = dict(attributes(body[_FAMILY_HEADER_BYTES:])).get(_GENERATION)
            if found is not None:
                return int.from_bytes(found)
    raise NftError("the kernel does not tell the generation of its rules")


def chains(table: str) -> frozenset[tuple[str, str]]:
    """Families and names of the chains in the tables of this name."""
    wanted = table.encode() + b"\0"
    found = set()
    for body in _dump(*request(_GET_CHAIN)):
        told = dict(attributes(body[_FAMILY_HEADER_BYTES:]))
        if told.get(_TABLE) == wanted and body[0] in _FAMILY_NAMES:
            found.add((_FAMILY_NAMES[body[0]], _text(told[_CHAIN_NAME])))
    return frozenset(found)


def counters(family: str, table: str) -> dict[str, int]:
    """Packets counted so far, by the counter's name."""
    found = {}
    for body in _dump(*request(_GET_OBJECT, FAMILIES[family], text(_TABLE, table), number(_KIND, _COUNTER))):
        told = {kind & ~NESTED: value for kind, value in attributes(body[_FAMILY_HEADER_BYTES:])}
        if told.get(_TABLE) == table.encode() + b"\0":
            found[_text(told[_OBJECT_NAME])] = int.from_bytes(dict(attributes(told[_DATA]))[_PACKETS])
    return found


@contextmanager
def _kernel() -> Iterator[socket.socket]:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
            yield kernel
    except OSError as error:
        raise NftError(f"the kernel's nftables cannot be asked: {error.strerror}") from error


def _dump(kind: int, body: bytes) -> list[bytes]:
    try:
        return dump(_NETLINK_NETFILTER, kind, body)
    except OSError as error:
        raise NftError(f"the kernel does not tell its rules: {error.strerror}") from error


def _waiting(kernel: socket.socket) -> Iterator[bytes]:
    with suppress(BlockingIOError):
        while True:
            yield kernel.recv(_READ_BYTES)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
