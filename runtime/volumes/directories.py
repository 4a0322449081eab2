"""A volume's directory replaced as a whole. Blocking: for worker threads.

What is new is made beside it and takes its place at one stroke (renameat2(2), RENAME_EXCHANGE), so that there is no
moment, and no crash, at which the volume is half of each.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from consensus import durable

T = TypeVar("T")
_PREFIX = ".hivemind-new-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


def replace_contents(directory: Path, fill: Callable[[Path], T]) -> T:
    """Let `fill` make the new contents in an empty directory, and put them in the place of `directory`.

    If it raises, everything is as it was. Raises OSError.
    """
    for left_over in directory.parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(left_over)
    new = directory.parent / f"{_PREFIX}{secrets.token_hex(4)}"
    new.mkdir(mode=0o755)
    try:
        result = fill(new)
        # All of it is on disk before it counts.
        os.sync()
        _take_place(new, directory)
        durable.sync_directory(directory.parent)
    finally:
        shutil.rmtree(new)
    return result


def copy_contents(source: Path, target: Path) -> None:
    """With modes, owners, times, links and extended attributes, into an empty directory. Raises OSError."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_copy_file)
    for folder, _, _ in os.walk(source):
        relative = Path(folder).relative_to(source)
        _keep_owner(Path(folder), target / relative)


def _take_place(new: Path, directory: Path) -> None:
    try:
        _exchange(new, directory)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A directory with a quota of its own takes in no directory from outside of it, only files.
        for old in directory.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        copy_contents(new, directory)


def _exchange(one: Path, other: Path) -> None:
    if _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


def _copy_file(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    _keep_owner(Path(source), Path(target))


def _keep_owner(source: Path, target: Path) -> None:
    found = os.lstat(source)
    os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    if not source.is_symlink():
        # chown takes setuid away.
        target.chmod(found.st_mode & 0o7777)
