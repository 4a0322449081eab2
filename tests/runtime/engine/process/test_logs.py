"""Reading the shim's numbered files."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.engine.base import LogLine
from runtime.engine.process.logs import LogReader, parse_record


def record(number: int) -> bytes:
    return b"%d.000000 o line %d\n" % (number, number)


def texts(lines: list[LogLine]) -> list[int]:
    return [int(line.timestamp_s) for line in lines]


@pytest.mark.parametrize("junk", [b"", b"x", b"1.0", b"1.0 z text", b"one o text"])
def test_half_records_are_skipped(junk: bytes) -> None:
    assert parse_record(junk) is None


def test_a_record() -> None:
    assert parse_record(b"1.5 e a b  c ") == LogLine("stderr", 1.5, b"a b  c ")
    assert parse_record(b"1.5 o ") == LogLine("stdout", 1.5, b"")


def test_reads_on_over_rotations(tmp_path: Path) -> None:
    """The reader sees a file begun, added to, finished and removed under its hands."""
    reader = LogReader(tmp_path)
    assert reader.read() == []
    first, second, fourth = (tmp_path / f"{number:08}.log" for number in (1, 2, 4))
    first.write_bytes(record(1) + record(2)[:8])
    assert texts(reader.read()) == [1]
    assert reader.read() == []
    first.write_bytes(record(1) + record(2))
    assert texts(reader.read()) == [2]
    second.write_bytes(record(3))
    assert texts(reader.read()) == [3]
    first.unlink()
    second.unlink()
    fourth.write_bytes(record(9))
    assert texts(reader.read()) == [9]
    assert reader.read() == []
