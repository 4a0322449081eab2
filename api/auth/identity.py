"""An authenticated client."""

from __future__ import annotations

from msgspec import Struct

from api.auth.grants import Grant
from api.errors import PermissionDenied
from api.route import Access, Need


class Identity(Struct, frozen=True, kw_only=True):
    """`token_id` and `token_expires_at_s` are set where a JWT was shown, `key_id` where it was an API key.

    All of `grants` must allow what is done: an API key can do what both it and its owner may.
    """

    user_id: str
    username: str
    role: str
    grants: tuple[Grant, ...]
    token_id: str | None = None
    token_expires_at_s: float | None = None
    key_id: str | None = None

    @property
    def access(self) -> Access:
        return min(grant.access for grant in self.grants)

    def allows(self, need: Need) -> bool:
        return all(grant.allows(need) for grant in self.grants)

    def authorise(self, need: Need) -> None:
        """Raises PermissionDenied, saying what is missing."""
        if not self.allows(need):
            roles = ", ".join(self.grants[0].roles) if len(self.grants) == 1 else f"{self.role} (of the API key)"
            raise PermissionDenied(
                f"this needs permission {need.permission}, which role {need.access.role} has;"
                f" {self.username} has role {roles}"
            )
