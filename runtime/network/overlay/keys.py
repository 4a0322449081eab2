"""This node's key of WireGuard: made once, kept in its data folder, gone when the node leaves."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from msgspec import Struct
from nacl.public import PrivateKey

from consensus import durable

FILE = "overlay.key"
_KEY_BYTES = PrivateKey.SIZE


class TunnelKey(Struct, frozen=True):
    """Both in base64, as WireGuard's tools write them. Shown, it does not give the private one away."""

    private: str
    public: str

    def __repr__(self) -> str:
        return f"TunnelKey(public={self.public!r})"

    __str__ = __repr__


def load_or_make(folder: Path) -> TunnelKey:
    """A file that holds no key is replaced. Raises OSError."""
    path = folder / FILE
    try:
        raw = base64.b64decode(path.read_text(), validate=True)
    except (FileNotFoundError, binascii.Error, ValueError):
        raw = b""
    if len(raw) == _KEY_BYTES:
        return _key(raw)
    raw = bytes(PrivateKey.generate())
    durable.write(path, base64.b64encode(raw))
    return _key(raw)


def forget(folder: Path) -> None:
    """The node's next membership gets another key."""
    (folder / FILE).unlink(missing_ok=True)


def _key(raw: bytes) -> TunnelKey:
    public = bytes(PrivateKey(raw).public_key)
    return TunnelKey(base64.b64encode(raw).decode(), base64.b64encode(public).decode())
