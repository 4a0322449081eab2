"""A directory as an archive and back: every byte, mode, owner and link; and nothing that is not whole is believed."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runtime.volumes.archive import ArchiveError, contents, read_archive, write_archive


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "a/b").mkdir(parents=True)
    (root / "a/random").write_bytes(random.Random(1).randbytes(700_000))
    (root / "a/b/zeros").write_bytes(bytes(300_000))
    (root / "empty").touch()
    (root / "a/b/name with ünicode").write_text("x")
    os.link(root / "a/random", root / "hard")
    (root / "link").symlink_to("/etc/hostname")
    (root / "a/b").chmod(0o2750)
    (root / "empty").chmod(0o4711)
    for name in ("empty", "link"):
        os.utime(root / name, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return root


def packed(root: Path, compression: Any) -> bytes:
    pieces: list[bytes] = []
    write_archive(root, pieces.append, compression)
    return b"".join(pieces)


def shape(root: Path) -> dict[str, Any]:
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        state = path.lstat()
        held: object = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        name = path.relative_to(root).as_posix()
        found[name] = (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid, int(state.st_mtime), held)
    return found


def unpacked(data: bytes, tmp_path: Path) -> Path:
    root = tmp_path / "unpacked"
    root.mkdir()
    read_archive(root, io.BytesIO(data))
    return root


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_all_of_it_comes_back(tree: Path, tmp_path: Path, compression: str) -> None:
    found = unpacked(packed(tree, compression), tmp_path)
    assert shape(found) == shape(tree)
    assert (found / "hard").stat().st_ino == (found / "a/random").stat().st_ino
    assert contents(found) == contents(tree)
    assert contents(tree).size_bytes == 700_000 + 300_000 + 1, "a file of two names counts once"


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_is_cut_off_flipped_or_followed_by_more_is_refused(tree: Path, tmp_path: Path, compression: str) -> None:
    data = packed(tree, compression)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for number, bad in enumerate([data[: len(data) // 2], data[:-1], data[:2], b"", bytes(flipped), data + b"x"]):
        root = tmp_path / str(number)
        root.mkdir()
        with pytest.raises(ArchiveError):
            read_archive(root, io.BytesIO(bad))


def test_what_goes_away_or_becomes_a_link_while_it_is_read_is_left_out(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A race: an app deletes, or swaps for a link out of the volume, what was just listed."""
    listed = os.listdir

    def then_gone(path: str) -> list[str]:
        names = listed(path)
        if path == str(tree):
            (tree / "a/random").unlink()
            (tree / "empty").unlink()
            (tree / "empty").symlink_to("/etc/hostname")
        return names

    monkeypatch.setattr(os, "listdir", then_gone)
    lstat = os.lstat
    regular = lstat(tree / "hard")
    monkeypatch.setattr(os, "lstat", lambda path: regular if str(path).endswith("/empty") else lstat(path))
    data = packed(tree, "zstd")
    monkeypatch.undo()
    found = unpacked(data, tmp_path)
    assert sorted(path.name for path in found.rglob("*")) == ["a", "b", "hard", "link", "name with ünicode", "zeros"]


def test_a_bare_tar_is_refused_for_nothing_would_show_that_it_was_cut_off(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="gzip or zstd"):
        read_archive(tmp_path, io.BytesIO(bytes(10_240)))


def evil(*members: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", tarfile.REGTYPE, "")],
        [("inside/../../outside", tarfile.REGTYPE, "")],
        [("link", tarfile.SYMTYPE, "{out}"), ("link/outside", tarfile.REGTYPE, "")],
        [("link", tarfile.SYMTYPE, ".."), ("link/outside", tarfile.REGTYPE, "")],
        [("hard", tarfile.LNKTYPE, "../secret")],
        [("hard", tarfile.LNKTYPE, "{out}/secret")],
    ],
)
def test_nothing_is_written_or_linked_outside(tmp_path: Path, members: list[Any]) -> None:
    root, out = tmp_path / "root", tmp_path
    root.mkdir()
    (out / "secret").write_text("secret")
    told = [(name, kind, target.format(out=out)) for name, kind, target in members]
    with pytest.raises(ArchiveError):
        read_archive(root, io.BytesIO(evil(*told)))
    assert not (out / "outside").exists()
    assert not (root / "hard").exists()


def test_an_absolute_name_is_taken_as_a_relative_one(tmp_path: Path) -> None:
    read_archive(tmp_path, io.BytesIO(evil(("/etc/inside", tarfile.REGTYPE, ""))))
    assert (tmp_path / "etc/inside").exists()
