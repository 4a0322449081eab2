"""The gossip keys of all members, changed at a user's word (`membership.key_distribution` has the rounds)."""

from __future__ import annotations

import secrets

from api import deps
from membership import KEY_BYTES, MAX_KEYS, KeyOperation, KeyReport, Membership, fingerprint

ROUND_TIMEOUT_S = 5.0


class GossipKeys:
    """Implements deps.GossipKeys."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def list(self) -> deps.KeyRound:
        report = await self._membership.change_keys(KeyOperation.LIST, timeout_s=ROUND_TIMEOUT_S)
        return deps.KeyRound(rings=report.rings, failed=report.failed)

    async def install(self, key: bytes) -> str:
        keys = self._membership.keyring.keys
        if key not in keys and len(keys) >= MAX_KEYS:
            raise deps.KeyRoundRefused(f"a keyring holds at most {MAX_KEYS} keys: remove one first")
        await self._round(KeyOperation.INSTALL, key)
        return fingerprint(key)

    async def use(self, fingerprint: str) -> None:
        await self._round(KeyOperation.USE, self._key(fingerprint))

    async def remove(self, fingerprint: str) -> None:
        await self._round(KeyOperation.REMOVE, self._key(fingerprint))

    async def rotate(self) -> str:
        new = secrets.token_bytes(KEY_BYTES)
        old = self._membership.keyring.keys
        await self.install(new)
        await self._round(KeyOperation.USE, new)
        for key in old:
            await self._round(KeyOperation.REMOVE, key)
        return fingerprint(new)

    def _key(self, wanted: str) -> bytes:
        for key in self._membership.keyring.keys:
            if fingerprint(key) == wanted:
                return key
        raise deps.KeyUnknown(f"there is no gossip key {wanted!r} on this node")

    async def _round(self, operation: KeyOperation, key: bytes) -> None:
        report = await self._membership.change_keys(operation, key, timeout_s=ROUND_TIMEOUT_S)
        if not report.complete:
            error = deps.KeyRoundIncomplete if report.begun else deps.KeyRoundRefused
            raise error(_told(operation, key, report))


def _told(operation: KeyOperation, key: bytes, report: KeyReport) -> str:
    failed = "; ".join(f"{name}: {reason}" for name, reason in report.failed.items())
    done = f", done at {', '.join(report.rings)}" if report.rings else ""
    return f"{operation.name.lower()} of gossip key {fingerprint(key)} failed at {failed}{done}"
