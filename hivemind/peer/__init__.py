"""The peer channel and the trust between nodes (design.md sections 3 and 5).

Trust: ``ca``, ``names``, ``token``, ``identity`` (pure but for the identity's file and contexts).
Channel: ``channel`` is the face; ``frames``, ``messages``, ``hello``, ``admission``, ``reception`` are pure;
``connection`` carries messages over ``tls_stream``;
``server`` and ``inbound`` accept, ``client``, ``calls``, ``links``, ``stream`` and ``join`` dial.
"""

from hivemind.peer.channel import PeerChannel
from hivemind.peer.config import PeerConfig
from hivemind.peer.errors import (
    FrameTooLarge,
    PeerError,
    PeerIncompatible,
    PeerRefusal,
    PeerTimeout,
    PeerUnreachable,
    PeerUntrusted,
)
from hivemind.peer.identity import Identity
from hivemind.peer.join import request_join
from hivemind.peer.metrics import PeerMetrics
from hivemind.peer.services import LinkReceiver
from hivemind.peer.stream import PeerStream

__all__ = [
    "FrameTooLarge",
    "Identity",
    "LinkReceiver",
    "PeerChannel",
    "PeerConfig",
    "PeerError",
    "PeerIncompatible",
    "PeerMetrics",
    "PeerRefusal",
    "PeerStream",
    "PeerTimeout",
    "PeerUnreachable",
    "PeerUntrusted",
    "request_join",
]
