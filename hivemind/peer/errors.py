"""What can go wrong between two nodes.

::

    PeerError
    ├── PeerUnreachable        no connection, or it was lost            (temporary)
    │   ├── PeerUntrusted      a certificate or a fingerprint is wrong
    │   └── PeerIncompatible   no protocol version in common
    ├── PeerTimeout            no answer in the time given              (temporary)
    ├── PeerRefusal            the other side understood, and said no: code and message
    ├── FrameTooLarge          what was to be sent is over the frame limit
    └── TrustError             material of our own that is unusable
        ├── TokenInvalid
        ├── CertificateInvalid
        ├── IdentityMissing
        └── IdentityBroken
"""

from __future__ import annotations


class PeerError(Exception):
    """The base of all errors of the peer channel."""


class PeerUnreachable(PeerError):
    """There is no connection to the node, or it was lost.

    ``ambiguous`` is true where the request may have been handled all the same.
    """

    def __init__(self, node_id: str, reason: str, *, ambiguous: bool = False) -> None:
        super().__init__(f"{node_id or 'peer'}: {reason}")
        self.node_id = node_id
        self.reason = reason
        self.ambiguous = ambiguous


class PeerUntrusted(PeerUnreachable):
    """One of the two sides does not accept the other's certificate. Nothing was exchanged."""


class PeerIncompatible(PeerUnreachable):
    """The two sides have no protocol version in common."""


class PeerTimeout(PeerError):
    """No answer within the caller's time. ``ambiguous`` is false only if nothing was sent yet."""

    def __init__(self, node_id: str, service: str, timeout_s: float, *, ambiguous: bool) -> None:
        super().__init__(f"{node_id}: no answer from {service} within {timeout_s:g} s")
        self.node_id = node_id
        self.service = service
        self.ambiguous = ambiguous


class PeerRefusal(PeerError):
    """A handler's clear no; it travels to the caller as it is.

    Codes of the channel itself: ``unknown_service``, ``busy``, ``too_large``, ``internal``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class FrameTooLarge(PeerError):
    """The encoded message is over the frame limit; nothing was sent."""


class TrustError(PeerError):
    """Keys, certificates or tokens of our own that cannot be used."""


class TokenInvalid(TrustError):
    """The join token is not one; the text says what is wrong with it."""


class CertificateInvalid(TrustError):
    """A certificate, a request for one or a key is not what it should be."""


class IdentityMissing(TrustError):
    """The data directory holds no identity: the node has neither founded nor joined."""


class IdentityBroken(TrustError):
    """The identity on disk is there but not whole or not consistent."""
