"""Join tokens: ``hm1.<fingerprint of the cluster CA>.<secret>``.

The fingerprint lets the joiner recognise the cluster before it says the secret;
the replicated state keeps only the secret's hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re

import msgspec

from hivemind.peer.errors import TokenInvalid

PREFIX = "hm1"
_FINGERPRINT = re.compile(r"[a-z2-7]{52}")
_SECRET = re.compile(r"[a-z0-9]{16,128}")


class JoinToken(msgspec.Struct, frozen=True):
    """A parsed join token. Its ``repr`` does not show the secret."""

    fingerprint: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}.{self.fingerprint}.{self.secret}"

    def __repr__(self) -> str:
        return f"JoinToken(fingerprint={self.fingerprint!r}, secret=…)"


def make_token(fingerprint: str, secret: bytes) -> JoinToken:
    """A token from the CA's fingerprint and at least 16 random bytes (``secrets.token_bytes(20)``)."""
    if len(secret) < 16:
        raise TokenInvalid("a join secret has at least 16 bytes")
    return JoinToken(fingerprint=fingerprint, secret=secret.hex())


def parse_token(text: str) -> JoinToken:
    """Read a token as a user gave it; white space around it is ignored.

    Raises:
        TokenInvalid: the text says what is wrong; it never repeats the secret.
    """
    parts = text.strip().split(".")
    if not parts[0]:
        raise TokenInvalid("the join token is empty")
    if parts[0] != PREFIX:
        raise TokenInvalid(
            f"the join token does not begin with '{PREFIX}.': it is not from 'hivemind cluster token', "
            "or from another version of it"
        )
    if len(parts) != 3:
        raise TokenInvalid(f"the join token has {len(parts)} parts, expected 3: is it cut off?")
    _, fingerprint, secret = parts
    if _FINGERPRINT.fullmatch(fingerprint) is None:
        raise TokenInvalid("the join token's CA fingerprint is not 52 characters of a-z and 2-7")
    if _SECRET.fullmatch(secret) is None:
        raise TokenInvalid("the join token's secret is not 16 to 128 characters of a-z and 0-9: is it cut off?")
    return JoinToken(fingerprint=fingerprint, secret=secret)


def secret_hash(secret: str) -> str:
    """What the replicated state keeps of a secret: SHA-256 in hex (the secret is random, so no salt)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_matches(secret: str, expected_hash: str) -> bool:
    """Compare in constant time a presented secret with a kept hash."""
    return hmac.compare_digest(secret_hash(secret).encode(), expected_hash.encode())
