"""Founding a cluster: all that is secret is made here, once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from msgspec import Struct
from nacl.secret import SecretBox

from consensus import features
from consensus.commands import FoundCluster
from consensus.model.cluster import Cluster
from consensus.model.network import Network
from consensus.model.user import Role, User
from hivemind.peer.ca import ClusterCA, make_csr, make_key
from hivemind.peer.identity import Identity
from hivemind.peer.token import JoinToken, make_token, secret_hash
from membership import KEY_BYTES, Keyring

ADMIN = "admin"
TOKEN_KEY_BYTES = 32
_JOIN_SECRET_BYTES = 20
_PASSWORD_BYTES = 15


class Founding(Struct, frozen=True):
    """A new cluster's founder. `admin_password` is told only here; the command holds its hash."""

    identity: Identity
    command: FoundCluster
    admin_password: str


async def found_cluster(
    node_id: str,
    *,
    admin_password: str | None,
    hash_password: Callable[[str], Awaitable[str]],
    now_s: float,
    member_key: bytes | None = None,
    network: Network | None = None,
) -> Founding:
    """Makes CA, keys, join secret and admin (with a random password where none is given).

    `member_key` is one that opens what another cluster sealed; by default there is a new one.
    """
    cluster_id = secrets.token_hex(8)
    ca = ClusterCA.make(cluster_id, now_s=now_s)
    key_pem = make_key()
    member_key = member_key or secrets.token_bytes(SecretBox.KEY_SIZE)
    password = admin_password or secrets.token_urlsafe(_PASSWORD_BYTES)
    identity = Identity(
        node_id=node_id,
        cluster_id=cluster_id,
        key_pem=key_pem,
        certificate_pem=ca.sign(make_csr(key_pem, node_id), node_id, now_s=now_s),
        ca_pems=(ca.certificate_pem,),
        member_key=member_key,
        keyring=Keyring([secrets.token_bytes(KEY_BYTES)]).serialise(),
    )
    secret = make_token(ca.fingerprint, secrets.token_bytes(_JOIN_SECRET_BYTES)).secret
    cluster = Cluster(
        id=cluster_id,
        epoch=secrets.token_hex(4),
        created_at_s=now_s,
        ca_certificate_pem=ca.certificate_pem.encode(),
        ca_key_sealed=ca.seal_key(member_key),
        token_key_sealed=seal(secrets.token_bytes(TOKEN_KEY_BYTES), member_key),
        join_secret_hash=secret_hash(secret),
        join_secret_sealed=seal(secret.encode(), member_key),
        feature_level=features.LEVEL,
        network=network or Network(),
    )
    admin = User(
        id=ADMIN, username=ADMIN, password_hash=await hash_password(password), role=Role.ADMIN, created_at_s=now_s
    )
    return Founding(identity, FoundCluster(cluster=cluster, admin=admin), password)


def seal(plain: bytes, member_key: bytes) -> bytes:
    """Encrypts for members' eyes only: fit for the replicated state."""
    return bytes(SecretBox(member_key).encrypt(plain))


def unseal(sealed: bytes, member_key: bytes) -> bytes:
    """The reverse of `seal`. Raises nacl.exceptions.CryptoError with another member key."""
    return SecretBox(member_key).decrypt(sealed)


def join_token(cluster: Cluster, member_key: bytes) -> JoinToken:
    """The token that lets a machine into `cluster` now."""
    ca = ClusterCA.unseal(cluster.ca_certificate_pem.decode(), cluster.ca_key_sealed, member_key)
    return JoinToken(ca.fingerprint, unseal(cluster.join_secret_sealed, member_key).decode())
