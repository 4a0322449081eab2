"""An authenticated client."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.user import Role


class Identity(Struct, frozen=True, kw_only=True):
    """`token_id` and `token_expires_at_s` are set where a JWT was shown."""

    user_id: str
    username: str
    role: Role
    token_id: str | None = None
    token_expires_at_s: float | None = None
