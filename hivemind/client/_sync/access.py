# Made from _async by scripts/sync_client.py; change it there.
"""What users call for users, keys, roles, groups and the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from hivemind.client import models
from hivemind.client._sync.operations import SyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.credentials import Token
from hivemind.client.models import Done, Page, Scalar


class SyncAccessMethods(SyncOperations):
    """What users call for users, keys, roles, groups and the audit log."""

    def login(self, username: str, password: str) -> models.Login:
        """From here on this client uses the token."""
        answer = typed(self.post("/auth/login", {"username": username, "password": password}), models.Login)
        self.credentials = Token(answer.token)
        return answer

    def logout(self) -> Done:
        """Revokes the token."""
        return typed(self.post("/auth/logout"), Done)

    def api_keys(self, **query: Scalar) -> Page[models.ApiKey]:
        return self.list_of("/auth/api-keys", "api_keys", models.ApiKey, query)

    def create_api_key(
        self, name: str, *, role: str | None = None, expires_at: str | None = None, expires_in: str | None = None
    ) -> models.ApiKey:
        """The answer's `key` is told this once. At most one of `expires_at` (RFC 3339) and `expires_in` (90d)."""
        body = {"name": name, "role": role, "expires_at": expires_at, "expires_in": expires_in}
        return typed(self.post("/auth/api-keys", body), models.ApiKey)

    def delete_api_key(self, key_id: str) -> Done:
        return typed(self.delete(f"/auth/api-keys/{path_part(key_id)}"), Done)

    def users(self, **query: Scalar) -> Page[models.User]:
        return self.list_of("/users", "users", models.User, query)

    def user(self, user_id: str) -> models.User:
        return typed(self.get(f"/users/{path_part(user_id)}"), models.User)

    def create_user(self, username: str, password: str, *, role: str = "viewer") -> Done:
        body = {"username": username, "password": password, "role": role}
        return typed(self.post("/users", body), Done)

    def delete_user(self, user_id: str) -> Done:
        return typed(self.delete(f"/users/{path_part(user_id)}"), Done)

    def set_password(self, user_id: str, password: str, *, current_password: str | None = None) -> Done:
        """`current_password` is needed for one's own."""
        body = {"password": password, "current_password": current_password}
        return typed(self.put(f"/users/{path_part(user_id)}/password", body), Done)

    def set_role(self, user_id: str, role: str) -> Done:
        return typed(self.put(f"/users/{path_part(user_id)}/role", {"role": role}), Done)

    def rotate_keys(self) -> Done:
        """New keys sign tokens from here on."""
        return typed(self.post("/auth/rotate-keys"), Done)

    def roles(self, **query: Scalar) -> Page[models.Role]:
        """Those that users defined, and the three that are always there."""
        return self.list_of("/roles", "roles", models.Role, query)

    def role(self, name: str) -> models.Role:
        return typed(self.get(f"/roles/{path_part(name)}"), models.Role)

    def create_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        body = {"name": name, "permissions": permissions, "description": description}
        return typed(self.post("/roles", body), Done)

    def update_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        """Replaces what it was."""
        body = {"permissions": permissions, "description": description}
        return typed(self.put(f"/roles/{path_part(name)}", body), Done)

    def delete_role(self, name: str) -> Done:
        return typed(self.delete(f"/roles/{path_part(name)}"), Done)

    def groups(self, **query: Scalar) -> Page[models.Group]:
        return self.list_of("/groups", "groups", models.Group, query)

    def group(self, name: str) -> models.Group:
        return typed(self.get(f"/groups/{path_part(name)}"), models.Group)

    def create_group(self, name: str, *, roles: Sequence[str] = (), members: Sequence[str] = ()) -> Done:
        body = {"name": name, "roles": roles, "members": members}
        return typed(self.post("/groups", body), Done)

    def update_group(self, name: str, roles: Sequence[str], members: Sequence[str]) -> Done:
        """Replaces what it was."""
        return typed(self.put(f"/groups/{path_part(name)}", {"roles": roles, "members": members}), Done)

    def delete_group(self, name: str) -> Done:
        return typed(self.delete(f"/groups/{path_part(name)}"), Done)

    def audit(self, **query: Scalar) -> Page[models.AuditRecord]:
        """Who did, or tried, what. Filters are `user_id`, `action`, `outcome`, and any field."""
        return self.list_of("/audit", "records", models.AuditRecord, query)
