"""What is decided about the cluster itself."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.cluster import Cluster
from consensus.model.user import User


class FoundCluster(Command, frozen=True):
    """The first entry of every cluster."""

    cluster: Cluster
    admin: User


class RotateJoinSecret(Command, frozen=True):
    join_secret_hash: str
    join_secret_sealed: bytes


class RaiseFeatureLevel(Command, frozen=True):
    """All nodes know `level`, so that what needs it may be proposed from now on."""

    level: int


class RotateTokenKey(Command, frozen=True):
    """Tokens are signed with a new key from now on; those of the old one hold until `previous_until_s` (unix time).

    `in_place_of`: nothing is done where another key than this one is in use.
    """

    token_key_sealed: bytes
    previous_until_s: float
    in_place_of: bytes | None = None
