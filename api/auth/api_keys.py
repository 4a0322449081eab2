"""API keys: ``hmk_<id>_<secret>``. Only a SHA-256 of the secret is kept: it has 256 random bits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from api.errors import AuthenticationFailed
from consensus.model.user import ApiKey
from consensus.state import State

PREFIX = "hmk_"


def mint(seed: bytes | None = None) -> tuple[str, str, str]:
    """A new key's id, the whole key to show once, and the hash to keep.

    The same key for the same secret `seed` of 32 bytes: so a request that is tried again is answered the same.
    """
    source = secrets.token_bytes(32) if seed is None else seed
    key_id = hashlib.sha256(b"id" + source).hexdigest()[:12]
    secret = base64.urlsafe_b64encode(hashlib.sha256(b"secret" + source).digest()).decode().rstrip("=")
    return key_id, f"{PREFIX}{key_id}_{secret}", secret_hash(secret)


def secret_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def read(text: str, *, state: State, now_s: float) -> ApiKey:
    """The key that `text` shows.

    Raises:
        AuthenticationFailed: there is none such, or it has expired.
    """
    key_id, _, secret = text.removeprefix(PREFIX).partition("_")
    key = state.api_keys.get(key_id)
    if key is None or not hmac.compare_digest(secret_hash(secret), key.secret_hash):
        raise AuthenticationFailed("the API key is not valid")
    if key.expires_at_s is not None and key.expires_at_s <= now_s:
        raise AuthenticationFailed("the API key has expired")
    return key
