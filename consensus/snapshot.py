"""Snapshots of the state machine as bytes.

Pieces, one after the other: `length (4) | msgpack of (table, msgpack of a list of rows)`. They are small, so that who
encodes a large state in a worker thread gives the interpreter back to the loop between them. The rows are in an order
of their own keys: one state, one encoding.
"""

from __future__ import annotations

import struct
import types
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec
from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from consensus.entry import Part
from consensus.events import History
from consensus.model.access import Group, OwnRole
from consensus.model.alert import Alert
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.audit import AuditRecord
from consensus.model.cluster import Cluster
from consensus.model.deployment import Deployment
from consensus.model.event import Event
from consensus.model.node import Node, RemovedNode
from consensus.model.origin import OnceRecord
from consensus.model.priority import PriorityClass
from consensus.model.service import Service
from consensus.model.setting import Setting
from consensus.model.task import Task
from consensus.model.user import ApiKey, RevokedToken, User
from consensus.model.volume import Volume
from consensus.outcomes import AnyOutcome
from consensus.state import State, with_indexes

K = TypeVar("K")
SCHEMA = 2
_ROWS_PER_PIECE = 50
"""About 0.1 ms for tasks, 1 ms for large specs; more would be felt by the loop."""
_LENGTH = struct.Struct("<I")
_BUCKETS = 1024


class SessionRecord(Struct, frozen=True):
    """What is remembered of a proposer, so that its retries are answered instead of applied again."""

    session: str
    last_used_s: float
    answered_below: int
    answers: dict[int, AnyOutcome]


class Image(Struct, frozen=True, kw_only=True):
    """Everything that a snapshot holds: frozen, so that it may be encoded in another thread."""

    index: int
    state: State
    sessions: list[SessionRecord]
    parts: list[Part]
    history: History


class _Head(Struct, frozen=True):
    schema: int
    index: int
    forgotten: tuple[int, int] | None


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
    "settings": (Setting, "key"),
}
_ROW_TYPES: dict[str, type[Any]] = {
    **{name: row for name, (row, _) in _TABLES.items()},
    "cluster": Cluster,
    "specs": _SpecRow,
    "sessions": SessionRecord,
    "parts": Part,
    "events": Event,
}
_piece_decoder = msgspec.msgpack.Decoder(tuple[str, memoryview])
_DECODERS = {name: msgspec.msgpack.Decoder(types.GenericAlias(list, (row,))) for name, row in _ROW_TYPES.items()}


def encode(image: Image) -> Iterator[bytes]:
    """The pieces, made one by one in a worker thread."""
    forgotten = image.history.forgotten
    head = _Head(SCHEMA, image.index, None if forgotten is None else (forgotten.index, forgotten.number))
    yield _piece("head", msgspec.msgpack.encode(head))
    for table, rows in _rows(image):
        while chunk := list(islice(rows, _ROWS_PER_PIECE)):
            yield _piece(table, msgspec.msgpack.encode(chunk))


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


def _rows(image: Image) -> Iterator[tuple[str, Iterator[Any]]]:
    state = image.state
    if state.cluster is not None:
        yield "cluster", iter([state.cluster])
    for table in _TABLES:
        rows: Map[Any, Any] = getattr(state, table)
        yield table, (rows[key] for key in _in_order(rows))
    yield "specs", (_SpecRow(*key, state.specs[key]) for key in _in_order(state.specs))
    yield "sessions", iter(image.sessions)
    yield "parts", iter(image.parts)
    yield "events", iter(image.history.events)


def decode(data: bytes | memoryview) -> Image:
    """The reverse of `encode`.

    Raises:
        ValueError: not a snapshot, or one of a newer schema than this version knows.
    """
    pieces = _pieces(data)
    table, body = next(pieces, ("", memoryview(b"")))
    if table != "head":
        raise ValueError("not a snapshot: it has no head")
    head = msgspec.msgpack.decode(body, type=_Head)
    if head.schema > SCHEMA:
        raise ValueError(f"the snapshot has schema {head.schema}, this version knows {SCHEMA}: upgrade this node")
    rows: dict[str, list[Any]] = {name: [] for name in _ROW_TYPES}
    for table, body in pieces:
        rows[table] += _DECODERS[table].decode(body)
    tables = {table: Map((getattr(row, key), row) for row in rows[table]) for table, (_, key) in _TABLES.items()}
    state = replace(
        State(),
        cluster=rows["cluster"][0] if rows["cluster"] else None,
        specs=Map(((row.app, row.revision), row.spec) for row in rows["specs"]),
        **tables,
    )
    return Image(
        index=head.index,
        state=with_indexes(state),
        sessions=rows["sessions"],
        parts=rows["parts"],
        history=History.of(rows["events"], head.forgotten),
    )
