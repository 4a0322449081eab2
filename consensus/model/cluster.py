"""The cluster itself: its identity and its trust, agreed once and rotated by commands."""

from __future__ import annotations

from msgspec import Struct

from consensus.model.network import Network


class Cluster(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`*_sealed` values are NaCl boxes under the member key, which is on every member's disk and never here.

    The previous token key still verifies tokens until `previous_token_key_until_s`; the one in use came into use at
    `token_key_since_s` (unix times), or with the cluster where that is 0.
    `feature_level` is what all nodes can apply (consensus/features.py).
    `epoch` changes when a cluster is restored from a backup, so that event ids of another history are known.
    """

    id: str
    epoch: str
    created_at_s: float
    ca_certificate_pem: bytes
    ca_key_sealed: bytes
    token_key_sealed: bytes
    previous_token_key_sealed: bytes | None = None
    previous_token_key_until_s: float = 0.0
    token_key_since_s: float = 0.0
    join_secret_hash: str
    join_secret_sealed: bytes
    feature_level: int = 1
    network: Network = Network()
