"""The keys that packets are sealed with: several are accepted, one is used.

To rotate without losing a packet: install the new key on every member, then use it on every member, then remove
the old one on every member. Between any two of these steps each member can open what every other one seals. A ring
counts its rotations (`generation`), so that of two members that seal differently it is clear whose ring is newer.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from membership.errors import KeyringError, NotSealedForUs

KEY_BYTES = SecretBox.KEY_SIZE
SEAL_BYTES = SecretBox.NONCE_SIZE + SecretBox.MACBYTES
MAX_KEYS = 8


class _Kept(msgspec.Struct, frozen=True):
    keys: tuple[bytes, ...]
    generation: int = 0


class Keyring:
    """32-byte NaCl SecretBox keys, the one in use first."""

    def __init__(self, keys: Sequence[bytes], generation: int = 0) -> None:
        """`keys[0]` seals; all open. Raises KeyringError without keys or on one that is not 32 bytes."""
        self._boxes: dict[bytes, SecretBox] = {}
        self.replace(keys, generation)

    def replace(self, keys: Sequence[bytes], generation: int) -> None:
        """Become another ring. Raises as `Keyring`; then it stays as it was."""
        if not keys:
            raise KeyringError("a keyring needs at least one key")
        before, self._boxes = self._boxes, {}
        try:
            for key in keys:
                self.install(key)
        except KeyringError:
            self._boxes = before
            raise
        self._used = keys[0]
        self._generation = generation

    @property
    def generation(self) -> int:
        """How often the used key changed in this cluster, as far as this member knows."""
        return self._generation

    @property
    def used(self) -> bytes:
        """The key that seals."""
        return self._used

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All keys, the used one first."""
        return (self._used, *(key for key in self._boxes if key != self._used))

    def install(self, key: bytes) -> None:
        """Accept packets sealed with `key`. Installing a key twice changes nothing."""
        if len(key) != KEY_BYTES:
            raise KeyringError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        if key not in self._boxes and len(self._boxes) >= MAX_KEYS:
            raise KeyringError(f"a keyring holds at most {MAX_KEYS} keys: remove one first")
        self._boxes.setdefault(key, SecretBox(key))

    def use(self, key: bytes, generation: int = 0) -> None:
        """Seal with `key`, which must have been installed, in this generation or the later one that it is in."""
        if key not in self._boxes:
            raise KeyringError("install the key before using it")
        self._used = key
        self._generation = max(self._generation, generation)

    def remove(self, key: bytes) -> None:
        """Accept `key` no longer. The key in use cannot be removed."""
        if key == self._used:
            raise KeyringError("the key in use cannot be removed: use another one first")
        if self._boxes.pop(key, None) is None:
            raise KeyringError("the key is not in the keyring")

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and authenticate with the used key, under a fresh random nonce."""
        return bytes(self._boxes[self._used].encrypt(plain))

    def open(self, sealed: bytes) -> bytes:
        """Decrypt with whichever key fits. Raises NotSealedForUs."""
        if len(sealed) > SEAL_BYTES:
            for key in self.keys:
                try:
                    return self._boxes[key].decrypt(sealed)
                except CryptoError:
                    continue
        raise NotSealedForUs("no key of the keyring opens the packet")

    def serialise(self) -> bytes:
        """The keyring as bytes, to be kept where only this node reads it."""
        return msgspec.msgpack.encode(_Kept(self.keys, self._generation))

    @staticmethod
    def deserialise(data: bytes) -> Keyring:
        """The reverse of `serialise`. Raises KeyringError."""
        try:
            kept = msgspec.msgpack.decode(data, type=_Kept | tuple[bytes, ...])
        except msgspec.MsgspecError as error:
            raise KeyringError(f"not a keyring: {error}") from error
        return Keyring(kept.keys, kept.generation) if isinstance(kept, _Kept) else Keyring(kept)
