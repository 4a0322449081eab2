"""A volume's directory is replaced as a whole, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime.volumes import directories
from runtime.volumes.directories import copy_contents, replace_contents


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    data = tmp_path / "volume/_data"
    data.mkdir(parents=True)
    (data / "old").write_text("old")
    return data


def fill(new: Path) -> str:
    (new / "new").write_text("new")
    (new / "sub").mkdir(mode=0o700)
    return "filled"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_takes_the_place_of_all_that_was_there(volume: Path) -> None:
    assert replace_contents(volume, fill) == "filled"
    assert names(volume) == ["new", "sub"]
    assert names(volume.parent) == ["_data"], "nothing is left beside it"


def test_what_fails_leaves_all_as_it_was(volume: Path) -> None:
    def fail(new: Path) -> None:
        fill(new)
        raise OSError(errno.ENOSPC, "no room")

    with pytest.raises(OSError, match="no room"):
        replace_contents(volume, fail)
    assert (names(volume), names(volume.parent)) == (["old"], ["_data"])


def test_what_a_crash_left_behind_is_cleared(volume: Path) -> None:
    left = volume.parent / ".hivemind-new-dead"
    left.mkdir()
    (left / "half").touch()
    replace_contents(volume, fill)
    assert names(volume.parent) == ["_data"]


def test_a_directory_that_takes_in_no_others_gets_copies(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one with a project quota: rename(2) answers EXDEV."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(directories, "_exchange", refuse)
    replace_contents(volume, fill)
    assert (names(volume), names(volume.parent)) == (["new", "sub"], ["_data"])
    assert (volume / "sub").stat().st_mode & 0o777 == 0o700


def test_copies_keep_modes_links_and_times(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "file").write_text("x")
    (source / "file").chmod(0o4751)
    os.utime(source / "file", (1_600_000_000, 1_600_000_000))
    (source / "link").symlink_to("nowhere")
    source.chmod(0o1777)
    copy_contents(source, target)
    copied = (target / "file").stat()
    assert (copied.st_mode & 0o7777, int(copied.st_mtime)) == (0o4751, 1_600_000_000)
    assert (target / "link").readlink() == Path("nowhere")
    assert target.stat().st_mode & 0o7777 == 0o1777
