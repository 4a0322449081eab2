"""A volume's backup as a file, in the clear or encrypted here, so that the cluster never has the passphrase.

An encrypted file is: `MAGIC`, the salt of argon2id, the header of libsodium's secretstream (XChaCha20-Poly1305), and
sealed pieces, each with its length before it. The last piece is marked as such, so a file that was cut off is refused.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import trio
from nacl import pwhash, secret, utils
from nacl.bindings import crypto_secretstream as stream
from nacl.exceptions import CryptoError

from hivemind.client import Client

MAGIC = b"hivemind-sealed-1\n"
PIECE_BYTES = 256 * 1024
_LENGTH_BYTES = 4


async def write_backup(client: Client, name: str, file: Path, compression: str, passphrase_file: Path | None) -> int:
    """Writes the whole backup, or no `file`. Returns its size in bytes. Raises what the client raises, OSError."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        with unfinished.open("wb") as out:
            sealer = None if passphrase_file is None else _Sealer(_passphrase(passphrase_file), out)
            async with client.backup_volume(name, compression=compression) as pieces:
                async for piece in pieces:
                    await trio.to_thread.run_sync((sealer or out).write, piece)
            if sealer is not None:
                sealer.finish()
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return size


async def restore_from(client: Client, name: str, file: Path, node: str | None, passphrase_file: Path | None) -> Any:
    """Raises what the client raises, OSError, click.ClickException where the file or the passphrase is not right."""
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            opened.seek(0)
            pieces = iter(lambda: opened.read(PIECE_BYTES), b"")
        elif passphrase_file is None:
            raise click.ClickException(f"{file} is encrypted: expected --passphrase-file")
        else:
            # A damaged file must be found before anything is sent.
            for _ in _opened(opened, _passphrase(passphrase_file), file):
                pass
            opened.seek(len(MAGIC))
            pieces = _opened(opened, _passphrase(passphrase_file), file)
        params = {} if node is None else {"node": node}
        answer = await client.upload(f"/volumes/{name}/restore", _in_turn(pieces), **params)
        return answer.data


async def _in_turn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await trio.to_thread.run_sync(next, pieces, b""):
        yield piece


def _passphrase(file: Path) -> bytes:
    return file.read_bytes().strip()


def _key(passphrase: bytes, salt: bytes) -> bytes:
    return pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE,
        passphrase,
        salt,
        opslimit=pwhash.argon2id.OPSLIMIT_MODERATE,
        memlimit=pwhash.argon2id.MEMLIMIT_MODERATE,
    )


class _Sealer:
    """Writes sealed pieces of `PIECE_BYTES`."""

    def __init__(self, passphrase: bytes, out: BinaryIO) -> None:
        self._out = out
        self._waiting = bytearray()
        self._state = stream.crypto_secretstream_xchacha20poly1305_state()
        salt = utils.random(pwhash.argon2id.SALTBYTES)
        header = stream.crypto_secretstream_xchacha20poly1305_init_push(self._state, _key(passphrase, salt))
        out.write(MAGIC + salt + header)

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) > PIECE_BYTES:
            self._seal(self._waiting[:PIECE_BYTES], stream.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE)
            del self._waiting[:PIECE_BYTES]

    def finish(self) -> None:
        self._seal(self._waiting, stream.crypto_secretstream_xchacha20poly1305_TAG_FINAL)

    def _seal(self, piece: bytearray, tag: int) -> None:
        sealed = stream.crypto_secretstream_xchacha20poly1305_push(self._state, bytes(piece), tag=tag)
        self._out.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)


def _opened(sealed: BinaryIO, passphrase: bytes, file: Path) -> Iterator[bytes]:
    """What was sealed. Raises click.ClickException where the passphrase is wrong, or the file damaged or cut off."""
    salt = sealed.read(pwhash.argon2id.SALTBYTES)
    header = sealed.read(stream.crypto_secretstream_xchacha20poly1305_HEADERBYTES)
    state = stream.crypto_secretstream_xchacha20poly1305_state()
    tag = -1
    try:
        stream.crypto_secretstream_xchacha20poly1305_init_pull(state, header, _key(passphrase, salt))
        while length := sealed.read(_LENGTH_BYTES):
            size = int.from_bytes(length, "big")
            piece, tag = stream.crypto_secretstream_xchacha20poly1305_pull(state, sealed.read(size))
            if piece:
                yield piece
    except (CryptoError, ValueError, TypeError) as error:
        raise click.ClickException(f"{file}: the passphrase is wrong, or the file is damaged") from error
    if tag != stream.crypto_secretstream_xchacha20poly1305_TAG_FINAL:
        raise click.ClickException(f"{file} was cut off: its end is missing")
