"""Entries: commands on their way through the log, as bytes. Encoded as msgpack maps; new fields get defaults."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from consensus import features
from consensus.commands import AnyCommand
from consensus.model.origin import Origin


class CommandId(Struct, frozen=True):
    """Names one command for all time: the proposer's session, and its number there from 1.

    The state machine answers a number that it has applied with the answer it gave then (Ongaro's thesis, §6.3).
    """

    session: str
    number: int


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command on its way through the log.

    `answered_below`: the proposer needs no answer to a lower number any more. `time_s` is the proposer's wall clock.
    `origin` is set where a user asked for it. `level` is the feature level that applying it needs.
    """

    id: CommandId
    answered_below: int = 1
    time_s: float
    command: AnyCommand
    origin: Origin | None = None
    level: int = 1


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of an encoded Entry that is larger than one log entry may be; the last piece applies it."""

    id: CommandId
    number: int
    of: int
    data: bytes


MAX_ENTRY_BYTES = 128 * 1024
_PART_DATA_BYTES = MAX_ENTRY_BYTES - 1024
_ENTRY, _PART = b"\x01", b"\x02"


class _Level(Struct, frozen=True):
    """What can be read of any version's entry."""

    level: int = 1


_encoder = msgspec.msgpack.Encoder()
_entry_decoder = msgspec.msgpack.Decoder(Entry)
_level_decoder = msgspec.msgpack.Decoder(_Level)
_part_decoder = msgspec.msgpack.Decoder(Part)


def encode(entry: Entry) -> list[bytes]:
    """The log entries that carry `entry`, in the order in which they must be proposed."""
    data = _encoder.encode(entry)
    if len(data) < MAX_ENTRY_BYTES:
        return [_ENTRY + data]
    pieces = [data[i : i + _PART_DATA_BYTES] for i in range(0, len(data), _PART_DATA_BYTES)]
    return [
        _PART + _encoder.encode(Part(id=entry.id, number=n, of=len(pieces), data=piece))
        for n, piece in enumerate(pieces)
    ]


def decode(data: bytes) -> Entry | Part:
    """The reverse of one element of `encode`.

    Raises:
        msgspec.DecodeError: not an entry that this version knows.
    """
    if data[:1] == _ENTRY:
        return decode_entry(memoryview(data)[1:])
    if data[:1] == _PART:
        return _part_decoder.decode(memoryview(data)[1:])
    raise msgspec.DecodeError(f"unknown kind of log entry {data[:1]!r}")


def decode_entry(data: bytes | memoryview) -> Entry:
    """Raises msgspec.DecodeError: not an entry that this version knows."""
    level = _level_decoder.decode(data).level
    if level > features.LEVEL:
        raise msgspec.DecodeError(features.not_known(level, "the entry"))
    return _entry_decoder.decode(data)
