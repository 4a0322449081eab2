"""Users and their credentials."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.user import ApiKey, User


class CreateUser(Command, frozen=True):
    user: User


class UpdateUser(Command, frozen=True):
    """Replaces a user's password hash or role; tokens issued before stop being valid."""

    user_id: str
    password_hash: str | None = None
    role: str | None = None


class DeleteUser(Command, frozen=True):
    user_id: str


class CreateApiKey(Command, frozen=True):
    key: ApiKey


class DeleteApiKey(Command, frozen=True):
    key_id: str


class RevokeToken(Command, frozen=True):
    token_id: str
    expires_at_s: float
