"""The keys that sign and verify the API's tokens: in the replicated state, sealed; unsealed once each here."""

from __future__ import annotations

import time
from collections.abc import Callable

from consensus.model.cluster import Cluster
from hivemind.startup import founding


class TokenKeys:
    """`cluster` raises Unavailable while this node does not know it yet; so do the methods."""

    def __init__(self, cluster: Callable[[], Cluster], member_key: bytes) -> None:
        self._cluster = cluster
        self._member_key = member_key
        self._unsealed: dict[bytes, bytes] = {}

    def current(self) -> bytes:
        return self._unseal(self._cluster().token_key_sealed)

    def previous(self) -> bytes | None:
        """The key before, as long as tokens that it signed hold."""
        cluster = self._cluster()
        sealed = cluster.previous_token_key_sealed
        if sealed is None or cluster.previous_token_key_until_s <= time.time():
            return None
        return self._unseal(sealed)

    def seal(self, plain: bytes) -> bytes:
        return founding.seal(plain, self._member_key)

    def _unseal(self, sealed: bytes) -> bytes:
        plain = self._unsealed.get(sealed)
        if plain is None:
            if len(self._unsealed) >= 4:
                self._unsealed.clear()
            plain = self._unsealed[sealed] = founding.unseal(sealed, self._member_key)
        return plain
