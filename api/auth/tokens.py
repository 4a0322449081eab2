"""JWTs (RFC 7519, EdDSA of RFC 8037): valid at every node, since all have the key; revoked ones are replicated.

The header's `kid` names the key, so that keys can rotate: the one before still verifies for a while.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from api.errors import AuthenticationFailed
from consensus.model.user import User
from consensus.state import State

_ALGORITHM = "EdDSA"
_REQUIRED = ["sub", "jti", "iat", "exp", "ver"]


class TokenClaims(Struct, frozen=True):
    token_id: str
    user_id: str
    expires_at_s: float
    credentials_version: int


class _KeyPair(Struct, frozen=True):
    private: Ed25519PrivateKey
    id: str


@lru_cache(maxsize=4)
def _pair(key: bytes) -> _KeyPair:
    private = Ed25519PrivateKey.from_private_bytes(key)
    return _KeyPair(private, hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()[:16])


def issue(user: User, *, key: bytes, token_id: str, now_s: float, lifetime_s: float) -> tuple[str, float]:
    """A new token of `user`, and when it expires (unix time)."""
    expires_at_s = int(now_s + lifetime_s)
    claims = {
        "sub": user.id,
        "jti": token_id,
        "iat": int(now_s),
        "exp": expires_at_s,
        "ver": user.credentials_version,
    }
    pair = _pair(key)
    token = jwt.encode(claims, pair.private, algorithm=_ALGORITHM, headers={"kid": pair.id})
    return token, float(expires_at_s)


def signer(token: str, keys: Sequence[bytes]) -> bytes:
    """Which of `keys` the token says has signed it; the first where it says none of them.

    Raises:
        jwt.InvalidTokenError: it is no token.
    """
    key_id = jwt.get_unverified_header(token).get("kid")
    return next((key for key in keys if _pair(key).id == key_id), keys[0])


def verify(token: str, keys: Sequence[bytes]) -> TokenClaims:
    """What `token` says, if one of `keys` signed it; `check` says whether it still holds.

    Raises:
        AuthenticationFailed: it is not ours.
    """
    try:
        pair = _pair(signer(token, keys))
        claims: dict[str, Any] = jwt.decode(
            token,
            pair.private.public_key(),
            algorithms=[_ALGORITHM],
            # Times are checked by the clock that is handed to `check`.
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        raise AuthenticationFailed("the token is not valid") from None
    if not isinstance(claims["exp"], int) or not isinstance(claims["ver"], int):
        raise AuthenticationFailed("the token is not valid")
    return TokenClaims(str(claims["jti"]), str(claims["sub"]), float(claims["exp"]), claims["ver"])


def check(claims: TokenClaims, *, state: State, now_s: float) -> User:
    """The user whose token this is.

    Raises:
        AuthenticationFailed: it has expired, was revoked, or its user's credentials have changed.
    """
    if claims.expires_at_s <= now_s:
        raise AuthenticationFailed("the token has expired; log in again")
    if claims.token_id in state.revoked_tokens:
        raise AuthenticationFailed("the token was revoked; log in again")
    user = state.users.get(claims.user_id)
    if user is None or user.credentials_version != claims.credentials_version:
        raise AuthenticationFailed("the token's user has changed; log in again")
    return user


def read(token: str, *, keys: Sequence[bytes], state: State, now_s: float) -> TokenClaims:
    """What `token` says, if it holds. Raises AuthenticationFailed."""
    claims = verify(token, keys)
    check(claims, state=state, now_s=now_s)
    return claims
