"""A row's version: the same for the same row, however it came to be, and another for another."""

from __future__ import annotations

from msgspec import Struct

from consensus.digest import digest


class Row(Struct, frozen=True):
    by_port: dict[int, int]
    by_name: dict[str, int]


def test_the_order_of_keys_does_not_count() -> None:
    assert digest(Row({80: 1, 443: 2}, {"a": 1, "b": 2})) == digest(Row({443: 2, 80: 1}, {"b": 2, "a": 1}))


def test_a_mapping_by_port_counts() -> None:
    """A container that runs has one: its port map."""
    assert digest(Row({80: 1}, {})) != digest(Row({80: 2}, {})) != digest(Row({}, {}))
