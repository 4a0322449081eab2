"""The log on disk: whatever a crash leaves is a prefix with all that was synced; damage is never silent.

Bar 2 of issue 4: records torn, pages zeroed, flipped bits, truncated and missing segments.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.raft.errors import StorageDamaged
from consensus.raft.journal_mark import NAME as MARK
from consensus.raft.journal_segments import create_segments, open_segments
from consensus.raft.record import Entry
from consensus.raft.segment import HEADER_BYTES, segment_numbers, segment_path

FIRST = Entry(b"\1", 1, 0)
RECORD_BYTES = 36
SEGMENT_BYTES = HEADER_BYTES + 4 * (RECORD_BYTES + 51)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.binary(max_size=90), min_size=1, max_size=9)),
        st.tuples(st.just("sync"), st.none()),
        st.tuples(st.just("truncate"), st.integers(0, 1000)),
        st.tuples(st.just("drop"), st.integers(0, 1000)),
        st.tuples(st.just("restart"), st.integers(0, 1000)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=14,
)
PER_CASE = [HealthCheck.function_scoped_fixture]


def fresh(tmp_path, count=0):
    """`FIRST` and `count` entries of 51 bytes, each synced; four a segment or so."""
    folder = tmp_path / "log"
    create_segments(folder, [FIRST])
    log, _ = open_segments(folder, SEGMENT_BYTES)
    for number in range(count):
        log.append([Entry(b"\0" + bytes([number % 250]) * 50, 2 + number, 1)])
        log.sync()
    log.close()
    return folder


def read(folder):
    log, entries = open_segments(folder, SEGMENT_BYTES)
    log.close()
    return entries


def edit(path, change):
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A log of several segments."""
    folder = fresh(tmp_path_factory.mktemp("whole"), 30)
    assert len(segment_numbers(folder)) > 5
    return folder


@pytest.fixture
def no_syncs(monkeypatch):
    """A process sees no difference, but for the time that they take."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)


@settings(max_examples=60, deadline=None, suppress_health_check=PER_CASE)
@given(operations=OPERATIONS, data=st.data())
def test_a_crash_leaves_a_prefix_with_everything_synced(no_syncs, tmp_path_factory, operations, data):
    """A model of the entries beside the files; then a crash that keeps any number of the unsynced bytes."""
    folder = tmp_path_factory.mktemp("journal") / "log"
    create_segments(folder, [FIRST])
    log, entries = open_segments(folder, SEGMENT_BYTES)
    synced_index = 1
    for kind, argument in operations:
        first, last = entries[0].index, entries[-1].index
        match kind:
            case "append":
                batch = [Entry(body, last + 1 + n, 1) for n, body in enumerate(argument)]
                log.append(batch)
                entries += batch
            case "sync":
                log.sync()
            case "truncate":
                log.truncate(first + argument % len(entries))
                del entries[1 + argument % len(entries) :]
            case "drop":
                wanted = first + argument % len(entries)
                log.drop(wanted)
                del entries[: log._segments[0].first_index - first]
                assert entries[0].index <= wanted
            case "restart":
                entries = [Entry(b"\1", 1 + argument, 2)]
                log.restart(entries[0])
            case "reopen":
                log.close()
                log, found = open_segments(folder, SEGMENT_BYTES)
                assert found == entries
        if kind not in ("append", "drop"):
            synced_index = entries[-1].index
        assert all(path.stat().st_size <= SEGMENT_BYTES for path in folder.glob("*.segment"))
    tail, synced_bytes = log._segments[-1], log._synced
    synced_index = max(synced_index, tail.first_index - 1)
    log.close()
    path = segment_path(folder, tail.number)
    length = path.stat().st_size
    cut = data.draw(st.integers(synced_bytes, length))
    with path.open("r+b") as torn:
        torn.truncate(cut)
        if cut < length and data.draw(st.booleans()):
            torn.truncate(length)  # the length was written, the last pages were not
    found = read(folder)
    assert found == entries[: len(found)]
    assert found[-1].index >= synced_index
    assert read(folder) == found


@settings(max_examples=120, deadline=None, suppress_health_check=PER_CASE)
@given(number=st.integers(0, 50), kind=st.sampled_from(["flip", "truncate", "zero", "missing"]), data=st.data())
def test_any_damage_to_any_segment_is_refused_or_costs_nothing(no_syncs, whole, tmp_path_factory, number, kind, data):
    """Bar 2 as a property: complete, or refused with the file and the way out; and again so at the next start."""
    folder = tmp_path_factory.mktemp("journal") / "log"
    shutil.copytree(whole, folder)
    entries = read(folder)
    numbers = segment_numbers(folder)
    path = segment_path(folder, numbers[number % len(numbers)])
    size = path.stat().st_size
    at = data.draw(st.integers(0, size - 1))
    match kind:
        case "flip":
            bit = data.draw(st.integers(0, 7))
            edit(path, lambda content: content.__setitem__(at, content[at] ^ (1 << bit)))
        case "truncate":
            edit(path, lambda content: content.__delitem__(slice(at, None)))
        case "zero":
            end = data.draw(st.integers(at + 1, size))
            if not any(path.read_bytes()[at:end]):
                return
            edit(path, lambda content: content.__setitem__(slice(at, end), bytes(end - at)))
        case "missing":
            path.unlink()
    for _ in range(2):
        # Without its first segment the log begins later: `storage` refuses that, unless a snapshot covers it.
        if kind == "missing" and path.name.startswith("00000001"):
            assert read(folder)[0].index > 1
            continue
        with pytest.raises(StorageDamaged, match="Way out") as refused:
            read(folder)
        assert str(folder) in str(refused.value)
        assert f"move {folder.parent} away" in str(refused.value)
    assert len(entries) == 31


def test_what_stays_is_durable_before_anything_is_dropped(tmp_path):
    """Else a crash after the drop would leave a segment whose only records were never synced, and be called damage."""
    folder = fresh(tmp_path)
    log, entries = open_segments(folder, SEGMENT_BYTES)
    batch = [Entry(b"\0" + bytes(89), 2 + number, 1) for number in range(9)]
    log.append(batch)
    log.drop(batch[-1].index)
    tail, synced_bytes = log._segments[-1], log._synced
    log.close()
    os.truncate(segment_path(folder, tail.number), synced_bytes)
    assert read(folder) == [*entries, *batch][tail.first_index - 1 :]


def test_torn_tail_with_a_whole_record_after_it_is_cut(tmp_path):
    """Pages of one unsynced batch may reach the disk in any order: nobody was promised any of it."""
    folder = fresh(tmp_path, 1)
    log, entries = open_segments(folder, 4096)
    start = log.length_bytes
    log.append([Entry(b"\0first", 3, 1), Entry(b"\0second", 4, 1)])
    log.close()
    edit(segment_path(folder, 1), lambda data: data.__setitem__(start + 2, data[start + 2] ^ 1))
    assert read(folder) == entries


@pytest.mark.parametrize("where", ["magic", "length", "checksum", "index", "term", "payload"])
@pytest.mark.parametrize("with_mark", [True, False])
def test_a_flipped_bit_in_the_middle_is_refused_without_the_mark_too(tmp_path, where, with_mark):
    folder = fresh(tmp_path, 10)
    offset = {"magic": 0, "length": 4, "checksum": 8, "index": 12, "term": 20, "payload": 40}[where]
    last = segment_path(folder, segment_numbers(folder)[-1])
    edit(last, lambda data: data.__setitem__(HEADER_BYTES + offset, data[HEADER_BYTES + offset] ^ 4))
    if not with_mark:
        (folder / MARK).unlink()
    with pytest.raises(StorageDamaged, match="Way out") as refused:
        read(folder)
    assert str(last) in str(refused.value)


def test_a_missing_segment_is_named(tmp_path):
    folder = fresh(tmp_path, 30)
    segment_path(folder, 3).unlink()
    with pytest.raises(StorageDamaged, match=r"00000003\.segment: a segment in the middle of the log is missing"):
        read(folder)


def test_a_missing_log_is_refused(tmp_path):
    with pytest.raises(StorageDamaged, match="missing"):
        read(tmp_path / "log")
    folder = fresh(tmp_path)
    segment_path(folder, 1).unlink()
    with pytest.raises(StorageDamaged, match="all segments"):
        read(folder)


def test_whole_segments_go_when_they_are_not_wanted_any_more(tmp_path):
    folder = fresh(tmp_path, 30)
    log, _ = open_segments(folder, SEGMENT_BYTES)
    before = log.count
    log.drop(18)
    log.close()
    assert log.count < before
    entries = read(folder)
    assert entries[0].index <= 18
    assert entries[-1].index == 31
    assert 18 - entries[0].index < 5, "no more than a segment is kept in vain"


def test_a_log_that_began_anew_has_no_need_of_the_segments_before(tmp_path):
    """Stopped before they were removed."""
    folder = fresh(tmp_path, 30)
    old = {number: segment_path(folder, number).read_bytes() for number in segment_numbers(folder)[:3]}
    log, _ = open_segments(folder, SEGMENT_BYTES)
    log.restart(Entry(b"\1", 100, 3))
    log.close()
    for number, content in old.items():
        segment_path(folder, number).write_bytes(content)
    assert [entry.index for entry in read(folder)] == [100]
    assert len(segment_numbers(folder)) == 1


@pytest.mark.parametrize("failing", ["pwrite", "fsync", "fdatasync", "rename"])
@pytest.mark.parametrize("what", ["append", "truncate", "restart", "drop"])
def test_what_failed_can_be_repeated(tmp_path, whole, monkeypatch, failing, what):
    """Disk full in the middle: after there is room, the same again makes the log whole, and so does a new start."""
    import consensus.raft.journal_segments as module

    def work(log):
        match what:
            case "append":
                log.append([Entry(b"\0" + bytes([n]) * 50, n, 1) for n in range(32, 50)])
            case "truncate":
                log.truncate(11)
            case "restart":
                log.restart(Entry(b"\1", 100, 3))
            case "drop":
                log.drop(20)

    for after in range(6):
        folder = shutil.copytree(whole, tmp_path / f"log{after}")
        log, before = open_segments(folder, SEGMENT_BYTES)
        real, left = getattr(module.os, failing), [after]

        def fail(*arguments, real=real, left=left):
            left[0] -= 1
            if left[0] < 0:
                if failing == "pwrite":
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], arguments[2])
                raise OSError(28, "No space left on device")
            return real(*arguments)

        monkeypatch.setattr(module.os, failing, fail)
        with suppress(OSError):
            work(log)
        monkeypatch.setattr(module.os, failing, real)
        shutil.copytree(folder, tmp_path / f"copy{after}")
        survived = read(tmp_path / f"copy{after}")
        assert survived[-1].index == 100 or survived[-1].index >= (11 if what == "truncate" else before[-1].index)
        work(log)
        log.sync()
        log.close()
        expected = {"append": (1, 49), "truncate": (1, 11), "restart": (100, 100)}.get(what)
        found = read(folder)
        if expected is not None:
            assert (found[0].index, found[-1].index) == expected
        assert [entry.index for entry in found] == list(range(found[0].index, found[-1].index + 1))
