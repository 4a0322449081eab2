"""A node's identity at the start of its daemon: the one it has, or a new one by founding or joining."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable

import structlog
import trio

from consensus.model.network import Encryption, Network
from consensus.model.node import NodeFacts
from hivemind.config import DaemonConfig, generated_name
from hivemind.peer.errors import IdentityBroken, IdentityMissing, TokenInvalid
from hivemind.peer.identity import Identity
from hivemind.peer.token import parse_token
from hivemind.startup import first_steps
from hivemind.startup.first_steps import Found, Learn
from hivemind.startup.founding import ADMIN, found_cluster
from hivemind.startup.joining import JoinRefused, join_cluster

log = structlog.get_logger()


class StartupError(Exception):
    """The daemon cannot start; the text is for the user."""


async def obtain_identity(
    config: DaemonConfig,
    facts: NodeFacts,
    *,
    hash_password: Callable[[str], Awaitable[str]],
    announce: Callable[[str], None],
) -> Identity:
    """Loads, founds or joins. What remains to be done afterwards is in `first_steps`.

    Args:
        announce: tells the user the generated admin password, once.

    Raises:
        StartupError: the identity is damaged, another node's, or was refused.
    """
    try:
        identity = await trio.to_thread.run_sync(Identity.load, config.data_dir)
    except IdentityMissing:
        return await _new_identity(config, facts, hash_password=hash_password, announce=announce)
    except IdentityBroken as error:
        raise StartupError(f"{error}. Restore it from a backup, or empty {config.data_dir} and join again") from error
    if config.name is not None and config.name != identity.node_id:
        raise StartupError(
            f"name: expected {identity.node_id!r}, which {config.data_dir} belongs to, got {config.name!r}"
        )
    if not identity.expired(time.time()):
        return identity
    if config.token is None:
        raise StartupError(
            f"the certificate of node {identity.node_id!r} has expired: start it with --join and --token to renew it"
        )
    log.warning("certificate_expired", node=identity.node_id, action="joining again by token")
    return await _join(config, identity.node_id, facts, known=True)


async def _new_identity(
    config: DaemonConfig,
    facts: NodeFacts,
    *,
    hash_password: Callable[[str], Awaitable[str]],
    announce: Callable[[str], None],
) -> Identity:
    node_id = config.name or generated_name(socket.gethostname())
    if config.join:
        return await _join(config, node_id, facts, known=False)
    founding = await found_cluster(
        node_id,
        admin_password=config.admin_password,
        hash_password=hash_password,
        now_s=time.time(),
        network=Network(encryption=config.overlay_encryption or Encryption.OFF),
    )
    await trio.to_thread.run_sync(first_steps.save, config.data_dir, Found(founding.command))
    await trio.to_thread.run_sync(founding.identity.save, config.data_dir)
    log.info("cluster_founded", cluster=founding.identity.cluster_id, node=node_id)
    if config.admin_password is None:
        announce(f"Admin user: {ADMIN}\nAdmin password (shown only now): {founding.admin_password}")
    return founding.identity


async def _join(config: DaemonConfig, node_id: str, facts: NodeFacts, *, known: bool) -> Identity:
    if config.token is None:
        raise StartupError("token: expected a join token (--token or --token-file); `hivemind cluster token` prints it")
    try:
        token = parse_token(config.token)
        identity, admission = await join_cluster(node_id, facts, config.join, token)
    except (TokenInvalid, JoinRefused) as error:
        raise StartupError(str(error)) from error
    if not known:
        steps = Learn(admission.voters, admission.peers)
        await trio.to_thread.run_sync(first_steps.save, config.data_dir, steps)
    await trio.to_thread.run_sync(identity.save, config.data_dir)
    return identity
