"""The journal on disk: whatever a crash leaves is a prefix with all that was synced; damage is never silent.

Bar 2 of issue 4: last record torn, pages zeroed, flipped bits, truncated and missing files.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.raft.errors import StorageDamaged
from consensus.raft.journal_file import Entry, create_journal, mark_path, open_journal

FIRST = Entry(b"\1", 1, 0)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.binary(max_size=40), min_size=1, max_size=4)),
        st.tuples(st.just("sync"), st.none()),
        st.tuples(st.just("truncate"), st.integers(0, 1000)),
        st.tuples(st.just("rewrite"), st.integers(0, 1000)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=12,
)


def fresh(tmp_path, count=0):
    path = tmp_path / "journal"
    create_journal(path, [FIRST])
    file, _ = open_journal(path)
    for number in range(count):
        file.append([Entry(b"\0" + bytes([number]) * 50, 2 + number, 1)])
        file.sync()
    file.close()
    return path


def read(path):
    file, entries = open_journal(path)
    file.close()
    return entries


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, data=st.data())
def test_a_crash_leaves_a_prefix_with_everything_synced(tmp_path_factory, operations, data):
    """A model of the entries beside the file; then a crash that keeps any number of the unsynced bytes."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    create_journal(path, [FIRST])
    file, entries = open_journal(path)
    synced_count, synced_bytes = 1, file.length_bytes
    for kind, argument in operations:
        match kind:
            case "append":
                batch = [Entry(body, entries[-1].index + 1 + n, 1) for n, body in enumerate(argument)]
                file.append(batch)
                entries += batch
            case "sync":
                file.sync()
            case "truncate":
                count = 1 + argument % len(entries)
                file.truncate(count)
                del entries[count:]
            case "rewrite":
                entries = entries[argument % len(entries) :]
                file.rewrite(entries)
            case "reopen":
                file.close()
                file, found = open_journal(path)
                assert found == entries
        if kind != "append":
            synced_count, synced_bytes = len(entries), file.length_bytes
    length = file.length_bytes
    file.close()
    cut = data.draw(st.integers(synced_bytes, length))
    with open(path, "r+b") as torn:
        torn.truncate(cut)
        if cut < length and data.draw(st.booleans()):
            torn.truncate(length)  # the length was written, the last pages were not
    found = read(path)
    assert found == entries[: len(found)]
    assert len(found) >= synced_count
    assert read(path) == found


def test_torn_tail_with_a_whole_record_after_it_is_cut(tmp_path):
    """Pages of one unsynced batch may reach the disk in any order: nobody was promised any of it."""
    path = fresh(tmp_path, 3)
    file, entries = open_journal(path)
    start = file.length_bytes
    file.append([Entry(b"\0first", 5, 1), Entry(b"\0second", 6, 1)])
    file.close()
    data = bytearray(path.read_bytes())
    data[start + 2] ^= 1
    path.write_bytes(data)
    assert read(path) == entries


@pytest.mark.parametrize("where", ["magic", "length", "checksum", "index", "term", "payload"])
@pytest.mark.parametrize("record", [1, 2])
@pytest.mark.parametrize("with_mark", [True, False])
def test_a_flipped_bit_in_the_middle_is_refused(tmp_path, where, record, with_mark):
    path = fresh(tmp_path, 4)
    offset = {"magic": 0, "length": 4, "checksum": 8, "index": 12, "term": 20, "payload": 40}[where]
    data = bytearray(path.read_bytes())
    first = 20 + 36 + 1
    data[first + (record - 1) * (36 + 51) + offset] ^= 4
    path.write_bytes(data)
    if not with_mark:
        mark_path(path).unlink()
    with pytest.raises(StorageDamaged, match="Way out") as refused:
        read(path)
    assert str(path) in str(refused.value)


def test_damage_in_the_last_synced_record_is_refused(tmp_path):
    path = fresh(tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageDamaged):
        read(path)


@pytest.mark.parametrize("keep", [0, 10, 60, 150])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = fresh(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StorageDamaged):
        read(path)


def test_a_zeroed_page_is_refused(tmp_path):
    path = fresh(tmp_path, 200)
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(StorageDamaged):
        read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(StorageDamaged, match="missing"):
        read(tmp_path / "journal")


def test_a_failed_write_can_be_repeated(tmp_path, monkeypatch):
    """Disk full in the middle of a record: after there is room, the same append makes the journal whole."""
    import consensus.raft.journal_file as module

    path = fresh(tmp_path)
    file, _ = open_journal(path)
    real = module.os.pwrite

    def half(descriptor, data, offset):
        real(descriptor, bytes(data)[: len(data) // 2], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        file.append([Entry(b"\0abc", 2, 1)])
    monkeypatch.setattr(module.os, "pwrite", real)
    file.append([Entry(b"\0abc", 2, 1)])
    file.sync()
    file.close()
    assert read(path) == [FIRST, Entry(b"\0abc", 2, 1)]
