"""Archives encrypted by a passphrase, piece by piece.

What is sealed is: `MAGIC`, the salt of argon2id, the header of libsodium's secretstream (XChaCha20-Poly1305), and
sealed pieces, each with its length before it. The last piece is marked as such, so what was cut off is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from nacl import pwhash, secret, utils
from nacl.bindings import crypto_secretstream as stream
from nacl.exceptions import CryptoError

MAGIC = b"hivemind-sealed-1\n"
PIECE_BYTES = 256 * 1024
OPERATIONS, MEMORY_BYTES = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
"""Of argon2id; they are part of the format."""
_LENGTH_BYTES = 4
_MOST_BYTES = PIECE_BYTES + stream.crypto_secretstream_xchacha20poly1305_ABYTES
_SALT_BYTES = pwhash.argon2id.SALTBYTES
_HEADER_BYTES = stream.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_FINAL = stream.crypto_secretstream_xchacha20poly1305_TAG_FINAL


class SealBroken(Exception):
    """The passphrase is wrong, or what was sealed is damaged or cut off; the text says which."""


def _key(passphrase: bytes, salt: bytes) -> bytes:
    return pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE,
        passphrase,
        salt,
        opslimit=OPERATIONS,
        memlimit=MEMORY_BYTES,
    )


class Sealer:
    """Takes plain bytes and gives sealed ones. Making one takes about a second and 256 MiB, as its opening does."""

    def __init__(self, passphrase: bytes) -> None:
        self._waiting = bytearray()
        self._state = stream.crypto_secretstream_xchacha20poly1305_state()
        salt = utils.random(_SALT_BYTES)
        header = stream.crypto_secretstream_xchacha20poly1305_init_push(self._state, _key(passphrase, salt))
        self._out = bytearray(MAGIC + salt + header)

    def seal(self, data: bytes) -> bytes:
        """What can be given out after `data` has come."""
        self._waiting += data
        while len(self._waiting) > PIECE_BYTES:
            self._push(bytes(self._waiting[:PIECE_BYTES]), stream.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE)
            del self._waiting[:PIECE_BYTES]
        return self._given()

    def finish(self) -> bytes:
        """The rest, with the end."""
        self._push(bytes(self._waiting), _FINAL)
        return self._given()

    def _push(self, piece: bytes, tag: int) -> None:
        sealed = stream.crypto_secretstream_xchacha20poly1305_push(self._state, piece, tag=tag)
        self._out += len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed

    def _given(self) -> bytes:
        out, self._out = bytes(self._out), bytearray()
        return out


def opened(sealed: IO[bytes], passphrase: bytes) -> Iterator[bytes]:
    """The plain pieces of what `sealed` gives behind its MAGIC. Raises SealBroken."""
    salt, header = _exactly(sealed, _SALT_BYTES), _exactly(sealed, _HEADER_BYTES)
    state = stream.crypto_secretstream_xchacha20poly1305_state()
    tag = -1
    try:
        stream.crypto_secretstream_xchacha20poly1305_init_pull(state, header, _key(passphrase, salt))
        while length := _exactly(sealed, _LENGTH_BYTES):
            size = int.from_bytes(length, "big")
            if size > _MOST_BYTES:
                raise CryptoError(f"a piece of {size} bytes")
            piece, tag = stream.crypto_secretstream_xchacha20poly1305_pull(state, _exactly(sealed, size))
            if piece:
                yield piece
    except (CryptoError, ValueError, TypeError) as error:
        raise SealBroken("the passphrase is wrong, or it is damaged") from error
    if tag != _FINAL:
        raise SealBroken("it was cut off: its end is missing")


def _exactly(source: IO[bytes], size: int) -> bytes:
    """Less only at the end."""
    data = b""
    while len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data
