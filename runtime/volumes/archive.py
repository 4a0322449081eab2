"""A directory as a compressed tar, and back. Blocking: for worker threads.

The tar is POSIX.1-2001 (pax); names are relative to the directory, owners are numbers. gzip is RFC 1952, zstd RFC
8878; both carry checksums, so that a torn or flipped archive is refused and never half believed.
"""

from __future__ import annotations

import errno
import gzip
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

import zstandard
from msgspec import Struct

Compression = Literal["gzip", "zstd"]
PIECE_BYTES = 256 * 1024
_GZIP_LEVEL = 1
"""Data is often compressed already; level 6 costs three times the time for a few percent."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class ArchiveError(Exception):
    """It is no archive of ours to read, or the directory changed under the writer; the text says which."""


class Contents(Struct, frozen=True):
    """`size_bytes` counts the bytes of regular files; `files` everything but directories."""

    size_bytes: int
    files: int


def contents(root: Path) -> Contents:
    """What lies below `root`; what vanishes meanwhile does not count."""
    size_bytes = files = 0
    seen: set[tuple[int, int]] = set()
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                found = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            files += 1
            inode = found.st_dev, found.st_ino
            if stat.S_ISREG(found.st_mode) and inode not in seen:
                size_bytes += found.st_size
                seen.add(inode)
    return Contents(size_bytes, files)


def write_archive(root: Path, write: Callable[[bytes], None], compression: Compression) -> None:
    """Give the archive of what is below `root` to `write`, piece by piece. What goes away meanwhile is left out.

    Raises:
        ArchiveError: a file shrank while it was read.
        OSError: the disk fails; and what `write` raises.
    """
    sink = cast(BinaryIO, _Sink(write))
    try:
        with (
            _compressor(sink, compression) as packed,
            tarfile.open(fileobj=packed, mode="w|", bufsize=PIECE_BYTES) as tar,
        ):
            _add(tar, str(root), ".")
    except OSError as error:
        if error.errno is None:
            raise ArchiveError(f"a file changed while it was read ({error})") from error
        raise
    sink.flush()


def read_archive(root: Path, read: IO[bytes]) -> Contents:
    """Unpack the archive that `read` gives into the empty directory `root`.

    Raises:
        ArchiveError: it is damaged, cut off, no tar, or has a name that leads out of `root`.
        OSError: the disk is full, or fails.
    """
    try:
        plain = _decompressor(read)
        with tarfile.open(fileobj=plain, mode="r|", bufsize=PIECE_BYTES) as tar:
            tar.extractall(root, members=_checked(tar, str(root)), numeric_owner=True, filter="fully_trusted")
        # The checksum stands at the very end, behind what tarfile reads.
        while plain.read(PIECE_BYTES):
            pass
    except (tarfile.TarError, EOFError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile) as error:
        raise ArchiveError(f"not a whole archive: {error}") from error
    return contents(root)


def _add(tar: tarfile.TarFile, path: str, name: str) -> None:
    """With all below it. tarfile's own `add` gives up where something goes away while it walks."""
    try:
        kind = os.lstat(path).st_mode
        if stat.S_ISREG(kind):
            # Opened first: tarfile remembers what it has told of, for hard links to it.
            with open(path, "rb", opener=_not_followed) as file:
                tar.addfile(_anonymous(tar.gettarinfo(arcname=name, fileobj=file)), file)
            return
        below = sorted(os.listdir(path)) if stat.S_ISDIR(kind) else []
        member = tar.gettarinfo(path, name)
    except FileNotFoundError:
        return
    # There is none for sockets, which are nothing without their process.
    if member is not None:
        tar.addfile(_anonymous(member))
    for each in below:
        _add(tar, f"{path}/{each}", f"{name}/{each}")


def _not_followed(path: str, flags: int) -> int:
    """Whoever writes to the volume may put a link there meanwhile, to what is none of theirs."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "it is a link by now", path) from error
        raise


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """User names belong to the machine that they are from."""
    member.uname = member.gname = ""
    return member


def _checked(tar: tarfile.TarFile, root: str) -> Iterator[tarfile.TarInfo]:
    """tarfile's filter finds names that lead out, by themselves or through a link. The modes stay as they are.

    A symbolic link may point anywhere, as it did before: nothing is written through it.
    """
    for member in tar:
        name = tarfile.tar_filter(member, root).name
        if member.islnk():
            target = os.path.realpath(os.path.join(root, member.linkname))
            if os.path.commonpath([target, os.path.realpath(root)]) != os.path.realpath(root):
                raise tarfile.LinkOutsideDestinationError(member, target)
        yield member.replace(name=name, deep=False)
        if member.issym():
            # It is there by now; tarfile gives links the time at which they were made.
            times_s = member.mtime, member.mtime
            os.utime(os.path.join(root, name), times_s, follow_symlinks=False)


def _compressor(sink: BinaryIO, compression: Compression) -> IO[bytes]:
    if compression == "zstd":
        writer = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(sink, closefd=False)
        return cast(IO[bytes], writer)
    return cast(IO[bytes], gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0))


def _decompressor(read: IO[bytes]) -> IO[bytes]:
    """By its first bytes. A bare tar is not taken: nothing would show that it was cut off. ArchiveError."""
    ahead = _Ahead(read)
    start = ahead.peek(4)
    if start.startswith(_GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=cast(BinaryIO, ahead), mode="rb"))
    if start.startswith(_ZSTD):
        return cast(IO[bytes], _ZstdReader(ahead))
    raise ArchiveError("expected a tar compressed by gzip or zstd")


class _Sink:
    """Gathers small writes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        if len(self._buffer) >= PIECE_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            self._write(data)


class _ZstdReader:
    """One frame, and nothing behind it. zstandard's own reader takes a frame that was cut off for one that ended."""

    def __init__(self, inner: _Ahead) -> None:
        self._inner = inner
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._plain = bytearray()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. EOFError, zstandard.ZstdError."""
        while len(self._plain) < size and not self._frame.eof:
            packed = self._inner.read(PIECE_BYTES)
            if not packed:
                raise EOFError("the zstd frame is cut off")
            self._plain += self._frame.decompress(packed)
        if self._frame.eof and (self._frame.unused_data or self._inner.read(1)):
            raise EOFError("there are bytes behind its end")
        plain = bytes(self._plain[:size])
        del self._plain[:size]
        return plain


class _Ahead:
    """A reader whose first bytes may be looked at."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size and (data := self._inner.read(size - len(self._ahead))):
            self._ahead += data
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead[:size], self._ahead[size:]
            return ahead
        return self._inner.read(size)
