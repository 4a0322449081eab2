"""A stopped node's files, damaged one by one: it comes back complete or refuses with the file and the way out."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from contextlib import suppress

import msgspec
import pytest

from consensus.raft.durable_file import read_sealed, write_sealed
from consensus.raft.errors import StorageDamaged, StorageMisused
from consensus.raft.journal_segments import create_segments, open_segments
from consensus.raft.record import Entry, encode_record
from consensus.raft.segment import segment_numbers
from consensus.raft.snapshot import SnapshotHeader, read_snapshot, write_snapshot
from consensus.raft.storage import create_storage, open_storage
from consensus.raft.voter_set import VoterChange, VoterHistory, change_voters
from consensus.raft.votes import Votes, load_votes, save_votes


def reopen(data_dir):
    storage = open_storage(data_dir, "a")
    storage.close()
    return storage


ENTRIES = [Entry(b"\0%d" % index, index, 1) for index in range(3, 9)]


@pytest.fixture
def data_dir(tmp_path):
    """A snapshot at entry 5, and a log with entries 3 to 8."""
    data_dir = tmp_path / "a"
    create_storage(data_dir, "a", ["a"])
    write_snapshot(data_dir / "snapshot", SnapshotHeader(5, 1, ("a",)), [b"sta", b"te"])
    create_segments(data_dir / "log", ENTRIES)
    return data_dir


def test_the_tail_after_a_snapshot_is_kept(data_dir):
    """Stock (A): a dump newer than the journal's first entry drops the whole journal, acknowledged tail and all."""
    storage = reopen(data_dir)
    assert storage.applied_index == 5
    assert [entry.index for entry in storage.journal[:]] == [3, 4, 5, 6, 7, 8]


def test_a_journal_behind_an_installed_snapshot_begins_anew(data_dir):
    write_snapshot(data_dir / "snapshot", SnapshotHeader(20, 2, ("a", "b")), [b"state"])
    storage = reopen(data_dir)
    assert tuple(storage.journal.last)[1:] == (20, 2)
    assert storage.voters.latest == ("a", "b")
    assert reopen(data_dir).journal.first.index == 20


@pytest.mark.parametrize("name", ["snapshot", "votes", "identity"])
@pytest.mark.parametrize("damage", ["flip_head", "flip_end", "truncate", "empty", "missing"])
def test_damaged_small_files_are_refused(data_dir, name, damage):
    path = data_dir / name
    data = bytearray(path.read_bytes())
    match damage:
        case "flip_head":
            data[3] ^= 1
        case "flip_end":
            data[-1] ^= 1
        case "truncate":
            del data[-2:]
        case "empty":
            data.clear()
    path.write_bytes(data)
    if damage == "missing":
        path.unlink()
    with pytest.raises(StorageDamaged, match="Way out") as refused:
        reopen(data_dir)
    assert str(path) in str(refused.value)


def test_a_snapshot_older_than_the_journal_is_refused(data_dir):
    write_snapshot(data_dir / "snapshot", SnapshotHeader(1, 1, ("a",)), [b"state"])
    with pytest.raises(StorageDamaged, match="ends at entry 1"):
        reopen(data_dir)


def test_used_files_cannot_be_founded_again(data_dir):
    with pytest.raises(StorageMisused):
        create_storage(data_dir, "a", ["a"])
    (data_dir / "identity").unlink()
    with pytest.raises(StorageMisused):
        create_storage(data_dir, "a", ["a"])


def test_an_interrupted_first_start_may_begin_again(tmp_path):
    create_storage(tmp_path / "a", "a", ["a"])
    (tmp_path / "a" / "identity").unlink()
    create_storage(tmp_path / "a", "a", ["a"])
    reopen(tmp_path / "a")


def test_two_processes_and_other_names_are_refused(data_dir):
    storage = open_storage(data_dir, "a")
    with pytest.raises(StorageMisused, match="in use"):
        open_storage(data_dir, "a")
    storage.close()
    with pytest.raises(StorageMisused, match="node a"):
        open_storage(data_dir, "b")
    with pytest.raises(StorageMisused):
        open_storage(data_dir.parent / "nowhere", "a")


def test_votes_and_snapshots_come_back(tmp_path):
    save_votes(tmp_path / "votes", Votes(7, "b"))
    assert load_votes(tmp_path / "votes").votes == Votes(7, "b")
    header = SnapshotHeader(5, 2, ("a", "b"))
    write_snapshot(tmp_path / "snapshot", header, (b"x" * 1000 for _ in range(100)))
    snapshot = read_snapshot(tmp_path / "snapshot")
    assert (snapshot.header, bytes(snapshot.state)) == (header, b"x" * 100_000)


def test_voter_history_follows_the_log():
    history = VoterHistory(1, ["a"])
    history.append(5, ["a", "b"])
    history.append(9, ["b", "a", "c"])
    assert history.at(4) == ("a",)
    assert history.at(8) == ("a", "b")
    history.cut(8)
    assert (history.latest, history.latest_index) == (("a", "b"), 5)
    history.compact(6)
    assert history.at(6) == ("a", "b")


def test_voter_changes():
    assert change_voters(("a",), "add", "b") == VoterChange("add", "b", ("a", "b"))
    assert change_voters(("a",), "add", "a") is None
    assert change_voters(("a",), "rem", "a") is None, "the last voter stays"
    change = VoterChange("rem", "a", ("b",))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(change), type=VoterChange) == change


def one_file_journal(data_dir):
    """The log in the form of earlier versions: one file, with its mark."""
    shutil.rmtree(data_dir / "log")
    generation = struct.pack("<Q", 4)
    content = b"HMJRNAL1" + generation + struct.pack("<I", zlib.crc32(generation))
    for entry in ENTRIES:
        content += encode_record(entry, len(content))
    (data_dir / "journal").write_bytes(content)
    mark = generation + struct.pack("<Q", len(content))
    (data_dir / "journal.mark").write_bytes(mark + struct.pack("<I", zlib.crc32(mark)))


@pytest.mark.parametrize("torn", [b"", b"half a record"])
def test_a_log_in_one_file_becomes_segments(data_dir, torn):
    one_file_journal(data_dir)
    with (data_dir / "journal").open("ab") as file:
        file.write(torn)
    for _ in range(2):
        assert list(reopen(data_dir).journal[:]) == ENTRIES
        assert {path.name for path in data_dir.iterdir()} == {"identity", "votes", "snapshot", "log", "lock"}


@pytest.mark.parametrize("failing", ["rename", "fsync", "fdatasync", "unlink"])
def test_an_interrupted_conversion_goes_on_at_the_next_start(data_dir, monkeypatch, failing):
    """A crash before any of its steps."""
    for step in range(12):
        one_file_journal(data_dir)
        real, left = getattr(os, failing), [step]

        def crash(*arguments, real=real, left=left, **options):
            left[0] -= 1
            if left[0] < 0:
                raise OSError("stopped here")
            return real(*arguments, **options)

        monkeypatch.setattr(os, failing, crash)
        with suppress(OSError):
            reopen(data_dir)
        monkeypatch.setattr(os, failing, real)
        assert list(reopen(data_dir).journal[:]) == ENTRIES
        assert not (data_dir / "journal").exists()


@pytest.mark.parametrize("at", [9, 30, -5])
def test_a_damaged_log_in_one_file_is_refused_and_left_as_it_is(data_dir, at):
    one_file_journal(data_dir)
    content = bytearray((data_dir / "journal").read_bytes())
    content[at] ^= 1
    (data_dir / "journal").write_bytes(content)
    with pytest.raises(StorageDamaged, match="Way out") as refused:
        reopen(data_dir)
    assert str(data_dir / "journal") in str(refused.value)
    assert not (data_dir / "log").exists()


def test_votes_of_earlier_versions_are_read_and_later_ones_by_those(tmp_path):
    class Earlier(msgspec.Struct, array_like=True):
        term: int = 0
        voted_for: str | None = None

    path = tmp_path / "votes"
    write_sealed(path, b"HMVOTES1", [msgspec.msgpack.encode(Earlier(7, "b"))])
    file = load_votes(path)
    assert (file.votes, file.segment) == (Votes(7, "b"), 0)
    file.keep_segment(3)
    file.keep(Votes(8, None))
    assert load_votes(path).segment == 3
    assert msgspec.msgpack.decode(read_sealed(path, b"HMVOTES1"), type=Earlier) == Earlier(8, None)


def test_the_newest_segment_is_known_elsewhere_before_anything_in_it_is_durable(tmp_path):
    """Also while the log is cut back over several segments, and begins anew: a crash at any moment finds it whole."""
    folder, kept = tmp_path / "log", [0]

    def reopen():
        again, entries = open_segments(folder, 1024, kept[0])
        again.close()
        return len(entries)

    def keep(number):
        kept[0] = number
        assert reopen() > 0, "what is kept never tells of more than there is"

    create_segments(folder, [Entry(b"\1", 1, 0)], 1024)
    log, _ = open_segments(folder, 1024)
    log.keep_newest = keep
    log.append([Entry(bytes(300), n, 1) for n in range(2, 20)])
    log.sync()
    assert kept[0] == segment_numbers(folder)[-1] > 3
    log.truncate(4)
    assert kept[0] == segment_numbers(folder)[-1] < 3
    log.restart(Entry(b"\1", 50, 2))
    log.sync()
    assert kept[0] == segment_numbers(folder)[-1]
    log.close()
    assert reopen() == 1
