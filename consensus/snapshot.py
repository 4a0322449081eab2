"""Snapshots of the state machine as bytes.

Pieces, one after the other: `length (4) | msgpack of (table, msgpack of a list of rows)`. They are small, so that who
encodes a large state in a worker thread gives the interpreter back to the loop between them. The rows are in an order
of their own keys: one state, one encoding. The fingerprint in the head is compared with the rows themselves, when they
are written and when they are read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec
from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from consensus import features
from consensus.entry import Part
from consensus.events import History
from consensus.fingerprint import HASH_BYTES, Fingerprint, add, encode_row, row_hash
from consensus.model.access import Group, OwnRole
from consensus.model.alert import Alert
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.audit import AuditRecord
from consensus.model.backup import BackupSchedule
from consensus.model.cluster import Cluster
from consensus.model.deployment import Deployment
from consensus.model.event import Event
from consensus.model.job import Job
from consensus.model.move import Move
from consensus.model.network_policy import NetworkPolicy
from consensus.model.node import Node, RemovedNode
from consensus.model.origin import OnceRecord
from consensus.model.priority import PriorityClass
from consensus.model.run import Run
from consensus.model.service import Service
from consensus.model.setting import Setting
from consensus.model.task import Task
from consensus.model.user import ApiKey, RevokedToken, User
from consensus.model.volume import Volume
from consensus.outcomes import AnyOutcome
from consensus.state import State, with_indexes

K = TypeVar("K")
SCHEMA = 3
_ROWS_PER_PIECE = 50
"""About 0.1 ms for tasks, 1 ms for large specs; more would be felt by the loop."""
_LENGTH = struct.Struct("<I")
_BUCKETS = 1024


class StateDamaged(ValueError):
    """The rows are not those that the fingerprint tells of."""


class SessionRecord(Struct, frozen=True):
    """What is remembered of a proposer, so that its retries are answered instead of applied again."""

    session: str
    last_used_s: float
    answered_below: int
    answers: dict[int, AnyOutcome]


class Image(Struct, frozen=True, kw_only=True):
    """Everything that a snapshot holds: frozen, so that it may be encoded in another thread."""

    index: int
    fingerprint: Fingerprint
    state: State
    sessions: list[SessionRecord]
    parts: list[Part]
    history: History


class _Head(Struct, frozen=True):
    schema: int
    index: int
    forgotten: tuple[int, int] | None
    rows: bytes | None = None
    chain: bytes = b""
    level: int = 1


class _SpecRow(Struct, frozen=True, array_like=True):
    app: str
    revision: int
    spec: AppSpec


_TABLES: dict[str, tuple[type[Any], str]] = {
    "nodes": (Node, "id"),
    "removed_nodes": (RemovedNode, "id"),
    "apps": (App, "name"),
    "tasks": (Task, "id"),
    "services": (Service, "name"),
    "volumes": (Volume, "name"),
    "users": (User, "id"),
    "api_keys": (ApiKey, "id"),
    "revoked_tokens": (RevokedToken, "id"),
    "roles": (OwnRole, "name"),
    "groups": (Group, "name"),
    "alerts": (Alert, "id"),
    "audit": (AuditRecord, "number"),
    "once": (OnceRecord, "key"),
    "deployments": (Deployment, "id"),
    "priority_classes": (PriorityClass, "name"),
    "network_policies": (NetworkPolicy, "name"),
    "settings": (Setting, "key"),
    "jobs": (Job, "name"),
    "runs": (Run, "id"),
    "moves": (Move, "task_id"),
    "backup_schedules": (BackupSchedule, "name"),
}
KEYED_TABLES = (*_TABLES, "specs")
_ROW_TYPES: dict[str, type[Any]] = {
    **{name: row for name, (row, _) in _TABLES.items()},
    "cluster": Cluster,
    "specs": _SpecRow,
    "sessions": SessionRecord,
    "parts": Part,
    "events": Event,
}
_FINGERPRINTED = frozenset({"cluster", *KEYED_TABLES})
_piece_decoder = msgspec.msgpack.Decoder(tuple[str, memoryview])
_raw_rows_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_DECODERS = {name: msgspec.msgpack.Decoder(row) for name, row in _ROW_TYPES.items()}
_ARRAY = struct.Struct(">BH")
_ARRAY_16 = 0xDC
"""msgpack's mark of an array whose length takes two bytes."""


def encode(image: Image) -> Iterator[bytes]:
    """The pieces, made one by one in a worker thread. Raises StateDamaged after the last one."""
    forgotten, expected = image.history.forgotten, image.fingerprint
    head = _Head(
        SCHEMA,
        image.index,
        None if forgotten is None else (forgotten.index, forgotten.number),
        expected.rows.to_bytes(HASH_BYTES, "little"),
        expected.chain,
        image.state.feature_level,
    )
    yield _piece("head", msgspec.msgpack.encode(head))
    found = 0
    for table, rows in _rows(image):
        while chunk := list(islice(rows, _ROWS_PER_PIECE)):
            if table in _FINGERPRINTED:
                for row in chunk:
                    found = add(found, row_hash(table, row))
            yield _piece(table, b"".join((_ARRAY.pack(_ARRAY_16, len(chunk)), *chunk)))
    if found != expected.rows:
        raise StateDamaged(f"the state at index {image.index} is not what its entries made of it")


def _piece(table: str, rows: bytes) -> bytes:
    body = msgspec.msgpack.encode((table, rows))
    return _LENGTH.pack(len(body)) + body


def _pieces(data: bytes | memoryview) -> Iterator[tuple[str, memoryview]]:
    view, at = memoryview(data), 0
    while at < len(view):
        try:
            (length,) = _LENGTH.unpack_from(view, at)
        except struct.error as error:
            raise ValueError("not a snapshot: it is cut off") from error
        at += _LENGTH.size
        if at + length > len(view):
            raise ValueError("not a snapshot: it is cut off")
        yield _piece_decoder.decode(view[at : at + length])
        at += length


def _in_order(keys: Iterable[K]) -> Iterator[K]:
    """The same order everywhere, without sorting them all at once: that would hold the loop for 0.2 s at 300,000."""
    buckets: dict[int, list[K]] = {}
    for key in keys:
        buckets.setdefault(zlib.crc32(str(key).encode()) % _BUCKETS, []).append(key)
    for number in sorted(buckets):
        yield from sorted(buckets[number])  # type: ignore[type-var]


def _rows(image: Image) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each table's rows, encoded."""
    state = image.state
    if state.cluster is not None:
        yield "cluster", iter([encode_row("cluster", "", state.cluster)])
    for table in KEYED_TABLES:
        yield table, _encoded(table, getattr(state, table))
    yield "sessions", map(msgspec.msgpack.encode, image.sessions)
    yield "parts", map(msgspec.msgpack.encode, image.parts)
    yield "events", map(msgspec.msgpack.encode, image.history.events)


def _encoded(table: str, rows: Map[Any, Any]) -> Iterator[bytes]:
    return (encode_row(table, key, rows[key]) for key in _in_order(rows))


def decode_row(table: str, data: bytes | memoryview | msgspec.Raw) -> Any:
    """The reverse of `encode_row`; a spec as (app, revision, spec). Raises msgspec.DecodeError."""
    return _DECODERS[table].decode(data)


def decode(data: bytes | memoryview) -> Image:
    """The reverse of `encode`.

    Raises:
        ValueError: not a snapshot, or one of a newer schema than this version knows.
        StateDamaged: its rows are not those that its fingerprint tells of.
    """
    pieces = _pieces(data)
    table, body = next(pieces, ("", memoryview(b"")))
    if table != "head":
        raise ValueError("not a snapshot: it has no head")
    head = msgspec.msgpack.decode(body, type=_Head)
    if head.schema > SCHEMA:
        raise ValueError(f"the snapshot has schema {head.schema}, this version knows {SCHEMA}: upgrade this node")
    if head.level > features.LEVEL:
        raise ValueError(features.not_known(head.level, "the snapshot"))
    rows: dict[str, list[Any]] = {name: [] for name in _ROW_TYPES}
    found = 0
    for table, body in pieces:
        if table not in rows:
            raise ValueError(f"the snapshot has a table {table!r}, which this version does not know: upgrade this node")
        for raw in _raw_rows_decoder.decode(body):
            if table in _FINGERPRINTED:
                found = add(found, row_hash(table, raw))
            rows[table].append(decode_row(table, raw))
    if head.rows is not None and found != int.from_bytes(head.rows, "little"):
        raise StateDamaged(f"the rows of the snapshot at index {head.index} do not match its fingerprint")
    tables = {table: Map((getattr(row, key), row) for row in rows[table]) for table, (_, key) in _TABLES.items()}
    state = replace(
        State(),
        cluster=rows["cluster"][0] if rows["cluster"] else None,
        specs=Map(((row.app, row.revision), row.spec) for row in rows["specs"]),
        **tables,
    )
    return Image(
        index=head.index,
        fingerprint=Fingerprint(found, head.chain),
        state=with_indexes(state),
        sessions=rows["sessions"],
        parts=rows["parts"],
        history=History.of(rows["events"], head.forgotten),
    )
