"""Transactions of a few small changes as the kernel reads them (linux/netfilter/nf_tables.h, nfnetlink.h). Pure.

The nft command first asks the kernel for all its chains and sets, which with thousands of services takes longer than
the change itself. An endpoint that comes or goes is a few kinds of commands, and those are spoken here; what is
not known here is left to nft.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from runtime.network.netlink_messages import ACKNOWLEDGE, attribute, message, nested
from runtime.network.nft.ruleset import Command, Expression

_SUBSYSTEM = 10
_MAX_BYTES = 64 * 1024
"""Of one transaction; greater ones are rare, and nft knows how to send them."""

FAMILIES = {"ip": 2, "ip6": 10}
"""AF_INET and AF_INET6."""
_ANY_FAMILY = 0
_FAMILY_HEADER = struct.Struct("!BBH")
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_CREATE, _APPEND = 0x400, 0x800
_NEW_CHAIN, _DELETE_CHAIN, _NEW_RULE, _DELETE_RULE = 3, 5, 6, 8
_NEW_SET, _NEW_ELEMENTS, _DELETE_ELEMENTS = 9, 12, 14
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_PROTOCOL_OF_PACKET = 16
_FIRST, _SECOND, _SECOND_WORD = 1, 2, 9
"""Registers: of 16 bytes, the next, and the first's second word."""
_INTEGER, _ADDRESS_AND_PORT = 4, 7 << 6 | 13
_ANONYMOUS_CONSTANT_MAP = 1 | 2 | 8
_HOST_ORDER = bytes([0, 4, 1, 0, 0, 0])
"""How nft remembers that the map's keys are numbers of this machine."""
_MAP = "__map%d"
"""The kernel puts a number of its own there; until then it is known by ours."""
_PORT_GIVEN = 2
_GOTO = -4
_NETWORK_HEADER, _SOURCE_AT, _ADDRESS_BYTES = 1, 12, 4
_TARGET = 1


class _Unknown(Exception):
    """It is left to nft."""


def transaction(commands: Sequence[Command]) -> bytes | None:
    """All of them as one batch, whose last change is acknowledged; None: nft must do it."""
    numbers = count(1)
    try:
        changes = [message for command in commands for message in _messages(command, numbers)]
    except (_Unknown, KeyError, TypeError, ValueError):
        return None
    if not changes:
        return None
    last_kind, last_flags, last_body = changes[-1]
    changes[-1] = last_kind, last_flags | ACKNOWLEDGE, last_body
    framed = [(_BATCH_BEGIN, 0, _batch_head()), *changes, (_BATCH_END, 0, _batch_head())]
    packed = b"".join(message(kind, body, flags, number) for number, (kind, flags, body) in enumerate(framed, start=1))
    return packed if len(packed) <= _MAX_BYTES else None


_Change = tuple[int, int, bytes]
"""Kind, flags, body."""


def request(kind: int, family: int = _ANY_FAMILY, *attributes: bytes) -> tuple[int, bytes]:
    """Kind and body of a message to nftables."""
    return _SUBSYSTEM << 8 | kind, _FAMILY_HEADER.pack(family, 0, 0) + b"".join(attributes)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value & 0xFFFFFFFF))


def _batch_head() -> bytes:
    return _FAMILY_HEADER.pack(_ANY_FAMILY, 0, _SUBSYSTEM)


def _messages(command: Command, numbers: Iterator[int]) -> Iterator[_Change]:
    ((verb, what),) = command.items()
    ((kind, fields),) = what.items()
    family, table = FAMILIES[fields["family"]], text(1, fields["table"])
    match verb, kind:
        case "add", "chain" if fields.keys() == {"family", "table", "name"}:
            yield _change(_NEW_CHAIN, _CREATE, family, table, text(3, fields["name"]))
        case "delete", "chain":
            yield _change(_DELETE_CHAIN, 0, family, table, text(3, fields["name"]))
        case "flush", "chain":
            yield _change(_DELETE_RULE, 0, family, table, text(2, fields["name"]))
        case "add", "rule":
            yield from _rule(family, table, fields["chain"], fields["expr"], numbers)
        case (("add" | "delete"), "element"):
            which = (_NEW_ELEMENTS, _CREATE) if verb == "add" else (_DELETE_ELEMENTS, 0)
            elements = nested(3, *(_element(each) for each in fields["elem"]))
            yield _change(*which, family, table, text(2, fields["name"]), elements)
        case _:
            raise _Unknown


def _change(kind: int, flags: int, family: int, *attributes: bytes) -> _Change:
    kind, body = request(kind, family, *attributes)
    return kind, flags, body


def _element(element: Any) -> bytes:
    """A key, or a key and the chain it leads to."""
    if isinstance(element, list):
        key, verdict = element
        code = number(1, _GOTO), text(2, verdict["goto"]["target"])
        return nested(1, nested(1, attribute(1, _key(key))), nested(2, nested(2, *code)))
    return nested(1, nested(1, attribute(1, _key(element))))


def _key(key: Any) -> bytes:
    if isinstance(key, str):
        return _value(key)
    return b"".join(_padded(_value(part)) for part in key["concat"])


def _value(part: str | int) -> bytes:
    """An address, the name of a protocol, or a port."""
    if isinstance(part, int):
        return struct.pack("!H", part)
    return bytes([_PROTOCOLS[part]]) if part in _PROTOCOLS else ipaddress.ip_address(part).packed


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


# -- rules


def _rule(
    family: int, table: bytes, chain: str, expressions: Sequence[Expression], numbers: Iterator[int]
) -> Iterator[_Change]:
    """What a front's chain has: a match of the protocol, and another target. A map of its own comes first."""
    made: list[bytes] = []
    for expression in expressions:
        ((name, fields),) = expression.items()
        if name == "match":
            made += _protocol_match(fields)
        elif name == "dnat" and fields["family"] == "ip" and family == FAMILIES["ip"]:
            chosen = fields["addr"]
            if isinstance(chosen, str):
                made += _fixed_target(chosen, fields["port"])
                continue
            map_number = next(numbers)
            targets = chosen["map"]["data"]["set"]
            yield from _target_map(family, table, map_number, targets)
            made += _chosen_target(chosen["map"]["key"], map_number)
        else:
            raise _Unknown
    rule = nested(4, *made)
    yield _change(_NEW_RULE, _CREATE | _APPEND, family, table, text(2, chain), rule)


def _expression(name: str, *fields: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *fields))


def _protocol_match(fields: Mapping[str, Any]) -> list[bytes]:
    if fields["op"] != "==" or fields["left"] != {"meta": {"key": "l4proto"}}:
        raise _Unknown
    protocol = bytes([_PROTOCOLS[fields["right"]]])
    return [
        _expression("meta", number(2, _PROTOCOL_OF_PACKET), number(1, _FIRST)),
        _expression("cmp", number(1, _FIRST), number(2, 0), nested(3, attribute(1, protocol))),
    ]


def _immediate(register: int, value: bytes) -> bytes:
    return _expression("immediate", number(1, register), nested(2, attribute(1, value)))


def _nat(port_register: int, *more: bytes) -> bytes:
    given = number(1, _TARGET), number(2, FAMILIES["ip"]), number(3, _FIRST), number(5, port_register)
    return _expression("nat", *given, *more)


def _fixed_target(address: str, port: int) -> list[bytes]:
    values = _immediate(_FIRST, _value(address)), _immediate(_SECOND, _value(port))
    return [*values, _nat(_SECOND, number(7, _PORT_GIVEN))]


def _target_map(family: int, table: bytes, map_number: int, targets: Sequence[Any]) -> Iterator[_Change]:
    name = text(2, _MAP)
    yield _change(
        _NEW_SET,
        _CREATE,
        family,
        table,
        name,
        number(3, _ANONYMOUS_CONSTANT_MAP),
        number(4, _INTEGER),
        number(5, 4),
        number(6, _ADDRESS_AND_PORT),
        number(7, 8),
        number(10, map_number),
        nested(9, number(1, len(targets))),
        attribute(13, _HOST_ORDER),
    )
    elements = nested(3, *(_target(turn, target) for turn, target in targets))
    yield _change(_NEW_ELEMENTS, _CREATE, family, table, name, number(4, map_number), elements)


def _target(turn: int, target: Any) -> bytes:
    key = nested(1, attribute(1, struct.pack("=I", turn)))
    return nested(1, key, nested(2, attribute(1, _key(target))))


def _chosen_target(key: Expression, map_number: int) -> list[bytes]:
    lookup = text(1, _MAP), number(4, map_number), number(2, _FIRST), number(3, _FIRST)
    return [*_turn(key), _expression("lookup", *lookup), _nat(_SECOND_WORD)]


def _turn(key: Expression) -> list[bytes]:
    """The number of this connection's turn, in the first register."""
    ((name, fields),) = key.items()
    if name == "numgen" and fields["offset"] == 0:
        kind = {"inc": 0, "random": 1}[fields["mode"]]
        return [_expression("numgen", number(1, _FIRST), number(2, fields["mod"]), number(3, kind), number(4, 0))]
    if name == "jhash" and fields["expr"] == {"payload": {"protocol": "ip", "field": "saddr"}}:
        where = number(1, _SECOND), number(2, _NETWORK_HEADER), number(3, _SOURCE_AT), number(4, _ADDRESS_BYTES)
        how = number(3, _ADDRESS_BYTES), number(4, fields["mod"]), number(5, fields["seed"]), number(6, 0)
        hashed = number(1, _SECOND), number(2, _FIRST), *how, number(7, 0)
        return [_expression("payload", *where), _expression("hash", *hashed)]
    raise _Unknown
