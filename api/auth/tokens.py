"""JWTs (RFC 7519, EdDSA of RFC 8037): valid at every node, since all have the key; revoked ones are replicated."""

from __future__ import annotations

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
    token = jwt.encode(claims, Ed25519PrivateKey.from_private_bytes(key), algorithm=_ALGORITHM)
    return token, float(expires_at_s)


def read(token: str, *, key: bytes, state: State, now_s: float) -> TokenClaims:
    """What `token` says, if it holds.

    Raises:
        AuthenticationFailed: it is not ours, has expired, was revoked, or its user's credentials have changed.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            Ed25519PrivateKey.from_private_bytes(key).public_key(),
            algorithms=[_ALGORITHM],
            # Times are checked below, by the clock that was handed in.
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        raise AuthenticationFailed("the token is not valid") from None
    if not isinstance(claims["exp"], int) or claims["exp"] <= now_s:
        raise AuthenticationFailed("the token has expired; log in again")
    if claims["jti"] in state.revoked_tokens:
        raise AuthenticationFailed("the token was revoked; log in again")
    user = state.users.get(claims["sub"])
    if user is None or user.credentials_version != claims["ver"]:
        raise AuthenticationFailed("the token's user has changed; log in again")
    return TokenClaims(claims["jti"], user.id, float(claims["exp"]))
