"""Who may talk to whom: the checks of both sides of a hello. Pure.

Version ranges: both sides name the lowest and the highest protocol version that they speak;
the highest common one is used (design.md section 5).
"""

from __future__ import annotations

import msgspec

from hivemind.peer.errors import (
    PeerIncompatible,
    PeerRefusal,
    PeerUnreachable,
    PeerUntrusted,
)
from hivemind.peer.messages import Hello, Refused, Welcome
from hivemind.peer.names import CertificateName

MIN_VERSION = 1
MAX_VERSION = 1


class Self(msgspec.Struct, frozen=True):
    """What we say of ourselves."""

    node_id: str
    cluster_id: str
    min_version: int = MIN_VERSION
    max_version: int = MAX_VERSION


def answer_hello(hello: Hello, certificate: CertificateName | None, us: Self) -> Welcome | Refused:
    """The accepting side: a Welcome, or why not.

    ``certificate`` holds the names of the verified client certificate; None: it showed none.
    """
    version = min(hello.max_version, us.max_version)
    if version < max(hello.min_version, us.min_version):
        return Refused(
            "version",
            f"you speak protocol versions {hello.min_version} to {hello.max_version}, "
            f"{us.node_id} speaks {us.min_version} to {us.max_version}",
        )
    welcome = Welcome(version, us.node_id, us.cluster_id)
    if hello.kind == "join":
        return welcome
    if certificate is None:
        return Refused("untrusted", "without a certificate only joining is possible")
    theirs = CertificateName(cluster_id=hello.cluster_id, node_id=hello.node_id)
    problem = _mismatch(certificate, theirs, us.cluster_id)
    return Refused("untrusted", problem) if problem else welcome


def check_welcome(welcome: Welcome, certificate: CertificateName, node_id: str, us: Self) -> None:
    """The dialling side: is this the node that we meant?

    Raises:
        PeerUntrusted: it is another node, or of another cluster.
        PeerIncompatible: it chose a version that we do not speak.
    """
    theirs = CertificateName(cluster_id=welcome.cluster_id, node_id=welcome.node_id)
    problem = _mismatch(certificate, theirs, us.cluster_id)
    if not problem and welcome.node_id != node_id:
        problem = f"the node at its address is {welcome.node_id}"
    if problem:
        raise PeerUntrusted(node_id, problem)
    if not us.min_version <= welcome.version <= us.max_version:
        raise PeerIncompatible(node_id, f"it chose protocol version {welcome.version}, which we do not speak")


def refusal_error(node_id: str, refused: Refused) -> PeerUnreachable | PeerRefusal:
    """The error for what the other side said instead of a Welcome."""
    reason = f"it refused us: {refused.message}"
    match refused.code:
        case "version":
            return PeerIncompatible(node_id, reason)
        case "untrusted":
            return PeerUntrusted(node_id, reason)
        case "unknown_service":
            return PeerRefusal(refused.code, refused.message)
        case _:
            return PeerUnreachable(node_id, reason)


def _mismatch(certificate: CertificateName, said: CertificateName, our_cluster_id: str) -> str:
    if certificate.cluster_id != our_cluster_id:
        return f"the certificate is of cluster {certificate.cluster_id}, not of {our_cluster_id}"
    if said.cluster_id != our_cluster_id:
        return f"the hello is of cluster {said.cluster_id}, not of {our_cluster_id}"
    if certificate.node_id != said.node_id:
        return f"the certificate is for {certificate.node_id}, the hello says {said.node_id}"
    return ""
