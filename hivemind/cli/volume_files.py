"""A volume's backup as a file, in the clear or encrypted here, so that the cluster never has the passphrase."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import trio

from consensus.durable import private_file
from hivemind.client import Client
from runtime.volumes.sealing import MAGIC, PIECE_BYTES, SealBroken, Sealer, opened


async def write_backup(client: Client, name: str, file: Path, compression: str, passphrase_file: Path | None) -> int:
    """Writes the whole backup, or no `file`. Returns its size in bytes. Raises what the client raises, OSError."""
    sealer = None if passphrase_file is None else Sealer(_passphrase(passphrase_file))
    with private_file(file) as out:

        def write(piece: bytes) -> None:
            out.write(piece if sealer is None else sealer.seal(piece))

        async with client.backup_volume(name, compression=compression) as pieces:
            async for piece in pieces:
                await trio.to_thread.run_sync(write, piece)
        if sealer is not None:
            out.write(sealer.finish())
        return out.tell()


async def restore_from(client: Client, name: str, file: Path, node: str | None, passphrase_file: Path | None) -> Any:
    """Raises what the client raises, OSError, click.ClickException where the file or the passphrase is not right."""
    with file.open("rb") as source:
        if source.read(len(MAGIC)) != MAGIC:
            source.seek(0)
            pieces = iter(lambda: source.read(PIECE_BYTES), b"")
        elif passphrase_file is None:
            raise click.ClickException(f"{file} is encrypted: expected --passphrase-file")
        else:
            # A damaged file must be found before anything is sent.
            for _ in _opened(source, passphrase_file, file):
                pass
            source.seek(len(MAGIC))
            pieces = _opened(source, passphrase_file, file)
        params = {} if node is None else {"node": node}
        answer = await client.upload(f"/volumes/{name}/restore", _in_turn(pieces), **params)
        return answer.data


async def _in_turn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await trio.to_thread.run_sync(next, pieces, b""):
        yield piece


def _passphrase(file: Path) -> bytes:
    return file.read_bytes().strip()


def _opened(source: BinaryIO, passphrase_file: Path, file: Path) -> Iterator[bytes]:
    try:
        yield from opened(source, _passphrase(passphrase_file))
    except SealBroken as error:
        raise click.ClickException(f"{file}: {error}") from error
