"""The identity in use, with its TLS contexts; it can be replaced while connections live."""

from __future__ import annotations

from hivemind.peer.errors import PeerUntrusted
from hivemind.peer.hello import Self
from hivemind.peer.identity import Identity


class Trust:
    """Holds what new connections use."""

    def __init__(self, identity: Identity) -> None:
        self._set(identity)

    def use(self, identity: Identity) -> None:
        """Take another certificate or CA set of the same node. Raises PeerUntrusted if it is not."""
        if (identity.node_id, identity.cluster_id) != (self.identity.node_id, self.identity.cluster_id):
            raise PeerUntrusted(identity.node_id, "an identity of another node or cluster cannot be taken over")
        self._set(identity)

    def _set(self, identity: Identity) -> None:
        identity.check()
        self.server_context = identity.server_context()
        self.client_context = identity.client_context()
        self.us = Self(node_id=identity.node_id, cluster_id=identity.cluster_id)
        self.identity = identity
