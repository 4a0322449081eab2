"""A replica's fingerprint: equal on two nodes where both applied the same entries to the same effect.

It costs what an entry wrote, never what the state holds: the rows are summed as a multiset of hashes, so that a written
row takes its old hash's place (MSet-Add-Hash: Clarke et al., "Incremental Multiset Hash Functions", 2003), and the
chain goes over each entry's bytes, its answer and the sum after it. So the chain differs for good once anything
differed, and the sum can be checked against the rows themselves: a snapshot's, when it is written and when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from consensus.outcomes import AnyOutcome
from consensus.state import State

HASH_BYTES = 16
_MODULUS = 1 << (8 * HASH_BYTES)
_encoder = msgspec.msgpack.Encoder()


class Fingerprint(Struct, frozen=True):
    """`rows` is the sum of the hashes of all rows of the state; `chain` the hash over the entries, in order."""

    rows: int = 0
    chain: bytes = b""

    def after(self, index: int, data: bytes, outcome: AnyOutcome | None, rows: int) -> Fingerprint:
        """Of the replica that applied the entry `data`, answered by `outcome` (None: the first parts of one)."""
        told = (self.chain, index, outcome, rows.to_bytes(HASH_BYTES, "little"))
        chain = hashlib.blake2b(_encoder.encode(told), digest_size=HASH_BYTES)
        chain.update(data)
        return Fingerprint(rows, chain.digest())


def encode_row(table: str, key: Any, row: Struct) -> bytes:
    """A row as snapshots hold it; a spec does not know the revision that it belongs to."""
    return _encoder.encode((*key, row)) if table == "specs" else _encoder.encode(row)


def row_hash(table: str, encoded: bytes | memoryview) -> int:
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=HASH_BYTES, person=table.encode()).digest(), "little")


def add(rows: int, row: int) -> int:
    """The sum with one hash more."""
    return (rows + row) % _MODULUS


def rows_after(rows: int, before: State, after: State, written: Iterable[tuple[str, Any]]) -> int:
    """The sum for `after`, where that of `before` is `rows` and nothing but the rows `written` may differ."""
    for table, key in written:
        old, new = row_of(before, table, key), row_of(after, table, key)
        if old is new:
            continue
        if old is not None:
            rows -= row_hash(table, encode_row(table, key, old))
        if new is not None:
            rows += row_hash(table, encode_row(table, key, new))
    return rows % _MODULUS


def rows_of(state: State, tables: Iterable[str]) -> int:
    """The sum made anew from all rows of `tables`: slow, for a state that no entries made."""
    cluster = [] if state.cluster is None else [encode_row("cluster", "", state.cluster)]
    total = sum(row_hash("cluster", row) for row in cluster)
    for table in tables:
        total += sum(row_hash(table, encode_row(table, key, row)) for key, row in getattr(state, table).items())
    return total % _MODULUS


def row_of(state: State, table: str, key: Any) -> Struct | None:
    """None: there is no such row."""
    row: Struct | None = state.cluster if table == "cluster" else getattr(state, table).get(key)
    return row
