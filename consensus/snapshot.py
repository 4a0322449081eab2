"""Snapshots of the state machine as bytes.

A list of (table, chunk): each chunk is a msgpack list of at most 1,000 rows, so that encoding a large state in a
worker thread gives the interpreter back to the loop between chunks. The rows are sorted: one state, one encoding.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from consensus.commands import Part
from consensus.events import History
from consensus.model.access import Group, OwnRole
from consensus.model.alert import Alert
from consensus.model.app import App, AppSpec
from consensus.model.audit import AuditRecord
from consensus.model.cluster import Cluster
from consensus.model.deployment import Deployment
from consensus.model.event import Event
from consensus.model.node import Node, RemovedNode
from consensus.model.origin import OnceRecord
from consensus.model.service import Service
from consensus.model.task import Task
from consensus.model.user import ApiKey, RevokedToken, User
from consensus.model.volume import Volume
from consensus.outcomes import AnyOutcome
from consensus.state import State, with_indexes

SCHEMA = 1
_ROWS_PER_CHUNK = 1000


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
}
_ROW_TYPES: dict[str, type[Any]] = {
    **{name: row for name, (row, _) in _TABLES.items()},
    "cluster": Cluster,
    "specs": _SpecRow,
    "sessions": SessionRecord,
    "parts": Part,
    "events": Event,
}
_DECODERS = {name: msgspec.msgpack.Decoder(types.GenericAlias(list, (row,))) for name, row in _ROW_TYPES.items()}


def encode(image: Image) -> bytes:
    """Called in a worker thread."""
    forgotten = image.history.forgotten
    head = _Head(SCHEMA, image.index, None if forgotten is None else (forgotten.index, forgotten.number))
    chunks = [("head", msgspec.msgpack.encode(head))]
    for table, rows in _rows(image):
        while chunk := list(islice(rows, _ROWS_PER_CHUNK)):
            chunks.append((table, msgspec.msgpack.encode(chunk)))
    return msgspec.msgpack.encode(chunks)


def _rows(image: Image) -> Iterator[tuple[str, Iterator[Any]]]:
    state = image.state
    if state.cluster is not None:
        yield "cluster", iter([state.cluster])
    for table in _TABLES:
        rows: Map[Any, Any] = getattr(state, table)
        yield table, (rows[key] for key in sorted(rows))
    yield "specs", (_SpecRow(*key, state.specs[key]) for key in sorted(state.specs))
    yield "sessions", iter(image.sessions)
    yield "parts", iter(image.parts)
    yield "events", iter(image.history.events)


def decode(data: bytes) -> Image:
    """The reverse of `encode`.

    Raises:
        ValueError: not a snapshot, or one of a newer schema than this version knows.
    """
    chunks = msgspec.msgpack.decode(data, type=list[tuple[str, bytes]])
    if not chunks or chunks[0][0] != "head":
        raise ValueError("not a snapshot: it has no head")
    head = msgspec.msgpack.decode(chunks[0][1], type=_Head)
    if head.schema > SCHEMA:
        raise ValueError(f"the snapshot has schema {head.schema}, this version knows {SCHEMA}: upgrade this node")
    rows: dict[str, list[Any]] = {name: [] for name in _ROW_TYPES}
    for table, chunk in chunks[1:]:
        rows[table] += _DECODERS[table].decode(chunk)
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
