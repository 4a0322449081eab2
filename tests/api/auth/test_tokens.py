"""JWTs with EdDSA: RFC 7519, RFC 8037."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from immutables import Map

from api.auth import tokens
from api.errors import AuthenticationFailed
from consensus.model.user import Role, User
from consensus.state import State

KEY = bytes(range(32))
USER = User(id="u", username="u", password_hash="", role=Role.VIEWER, created_at_s=0.0)
STATE = State(users=Map({"u": USER}))


def token(key: bytes = KEY) -> str:
    return tokens.issue(USER, key=key, token_id="t1", now_s=1000.0, lifetime_s=60.0)[0]


def read(text: str, now_s: float = 1001.0) -> tokens.TokenClaims:
    return tokens.read(text, keys=[KEY], state=STATE, now_s=now_s)


def test_a_token_is_read_until_it_expires() -> None:
    assert read(token()) == tokens.TokenClaims("t1", "u", 1060.0, 1)
    with pytest.raises(AuthenticationFailed, match="expired"):
        read(token(), now_s=1060.0)


def unsigned() -> str:
    """RFC 8725, 2.1: the "none" algorithm."""
    parts = ({"alg": "none", "typ": "JWT"}, {"sub": "u", "jti": "t", "iat": 1, "exp": 9_999_999_999, "ver": 1})
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


def hmac_signed() -> str:
    claims = {"sub": "u", "jti": "t", "iat": 1, "exp": 9_999_999_999, "ver": 1}
    return jwt.encode(claims, KEY, algorithm="HS256")


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", unsigned(), hmac_signed(), token(bytes(32)), token()[:-4] + "AAAA", token() + "x"]
)
def test_what_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(AuthenticationFailed):
        read(text)


def test_the_key_before_still_verifies_and_no_other() -> None:
    new, old = bytes(32), KEY
    assert tokens.read(token(old), keys=[new, old], state=STATE, now_s=1001.0).token_id == "t1"
    assert tokens.read(token(new), keys=[new, old], state=STATE, now_s=1001.0).token_id == "t1"
    with pytest.raises(AuthenticationFailed):
        tokens.read(token(old), keys=[new], state=STATE, now_s=1001.0)
