"""What users call for users, keys, roles, groups and the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from hivemind.client import models
from hivemind.client._async.operations import AsyncOperations, path_part
from hivemind.client.answers import typed
from hivemind.client.credentials import Token
from hivemind.client.models import Done, Page, Scalar


class AsyncAccessMethods(AsyncOperations):
    """What users call for users, keys, roles, groups and the audit log."""

    async def login(self, username: str, password: str) -> models.Login:
        """From here on this client uses the token."""
        answer = typed(await self.post("/auth/login", {"username": username, "password": password}), models.Login)
        self.credentials = Token(answer.token)
        return answer

    async def logout(self) -> Done:
        """Revokes the token."""
        return typed(await self.post("/auth/logout"), Done)

    async def api_keys(self, **query: Scalar) -> Page[models.ApiKey]:
        return await self.list_of("/auth/api-keys", "api_keys", models.ApiKey, query)

    async def create_api_key(
        self, name: str, *, role: str | None = None, expires_at: str | None = None, expires_in: str | None = None
    ) -> models.ApiKey:
        """The answer's `key` is told this once. At most one of `expires_at` (RFC 3339) and `expires_in` (90d)."""
        body = {"name": name, "role": role, "expires_at": expires_at, "expires_in": expires_in}
        return typed(await self.post("/auth/api-keys", body), models.ApiKey)

    async def delete_api_key(self, key_id: str) -> Done:
        return typed(await self.delete(f"/auth/api-keys/{path_part(key_id)}"), Done)

    async def users(self, **query: Scalar) -> Page[models.User]:
        return await self.list_of("/users", "users", models.User, query)

    async def user(self, user_id: str) -> models.User:
        return typed(await self.get(f"/users/{path_part(user_id)}"), models.User)

    async def create_user(self, username: str, password: str, *, role: str = "viewer") -> Done:
        body = {"username": username, "password": password, "role": role}
        return typed(await self.post("/users", body), Done)

    async def delete_user(self, user_id: str) -> Done:
        return typed(await self.delete(f"/users/{path_part(user_id)}"), Done)

    async def set_password(self, user_id: str, password: str, *, current_password: str | None = None) -> Done:
        """`current_password` is needed for one's own."""
        body = {"password": password, "current_password": current_password}
        return typed(await self.put(f"/users/{path_part(user_id)}/password", body), Done)

    async def set_role(self, user_id: str, role: str) -> Done:
        return typed(await self.put(f"/users/{path_part(user_id)}/role", {"role": role}), Done)

    async def rotate_keys(self) -> Done:
        """New keys sign tokens from here on."""
        return typed(await self.post("/auth/rotate-keys"), Done)

    async def roles(self, **query: Scalar) -> Page[models.Role]:
        """Those that users defined, and the three that are always there."""
        return await self.list_of("/roles", "roles", models.Role, query)

    async def role(self, name: str) -> models.Role:
        return typed(await self.get(f"/roles/{path_part(name)}"), models.Role)

    async def create_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        body = {"name": name, "permissions": permissions, "description": description}
        return typed(await self.post("/roles", body), Done)

    async def update_role(self, name: str, permissions: Sequence[models.Permission], *, description: str = "") -> Done:
        """Replaces what it was."""
        body = {"permissions": permissions, "description": description}
        return typed(await self.put(f"/roles/{path_part(name)}", body), Done)

    async def delete_role(self, name: str) -> Done:
        return typed(await self.delete(f"/roles/{path_part(name)}"), Done)

    async def groups(self, **query: Scalar) -> Page[models.Group]:
        return await self.list_of("/groups", "groups", models.Group, query)

    async def group(self, name: str) -> models.Group:
        return typed(await self.get(f"/groups/{path_part(name)}"), models.Group)

    async def create_group(self, name: str, *, roles: Sequence[str] = (), members: Sequence[str] = ()) -> Done:
        body = {"name": name, "roles": roles, "members": members}
        return typed(await self.post("/groups", body), Done)

    async def update_group(self, name: str, roles: Sequence[str], members: Sequence[str]) -> Done:
        """Replaces what it was."""
        return typed(await self.put(f"/groups/{path_part(name)}", {"roles": roles, "members": members}), Done)

    async def delete_group(self, name: str) -> Done:
        return typed(await self.delete(f"/groups/{path_part(name)}"), Done)

    async def audit(self, **query: Scalar) -> Page[models.AuditRecord]:
        """Who did, or tried, what. Filters are `user_id`, `action`, `outcome`, and any field."""
        return await self.list_of("/audit", "records", models.AuditRecord, query)
