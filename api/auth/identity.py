"""An authenticated client."""

from __future__ import annotations

from msgspec import Struct

from api.auth.grants import Grant
from api.auth.reach import EVERYWHERE, Reach
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

    def reach(self, need: Need) -> Reach:
        """Where they may do it."""
        reach = EVERYWHERE
        for grant in self.grants:
            reach &= grant.reach(need)
        return reach

    def authorise(self, need: Need) -> Reach:
        """Where they may do it. Raises PermissionDenied, saying what is missing, where that is nowhere."""
        reach = self.reach(need)
        if reach.nowhere:
            raise self._denied(need)
        return reach

    def authorise_in(self, need: Need, namespace: str | None) -> None:
        """Raises PermissionDenied, saying what is missing, where they may not do it to what is in `namespace`."""
        if not self.reach(need).holds(namespace):
            raise self._denied(need, "everywhere" if namespace is None else f"in namespace/{namespace}")

    def _denied(self, need: Need, where: str = "") -> PermissionDenied:
        roles = ", ".join(self.grants[0].roles) if len(self.grants) == 1 else f"{self.role} (of the API key)"
        return PermissionDenied(
            f"this needs permission {' '.join((need.permission, where)).strip()}, which role {need.access.role} has;"
            f" {self.username} has role {roles}"
        )
