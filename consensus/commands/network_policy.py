"""Network policies."""

from __future__ import annotations

from consensus.commands.base import Command
from consensus.model.network_policy import NetworkPolicy


class CreateNetworkPolicy(Command, frozen=True):
    policy: NetworkPolicy


class UpdateNetworkPolicy(Command, frozen=True):
    """Replaces all of it."""

    policy: NetworkPolicy


class DeleteNetworkPolicy(Command, frozen=True):
    name: str
