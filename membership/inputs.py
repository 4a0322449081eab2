"""What happens to a member: the inputs of `Swim.handle`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from membership.effects import ExchangeToken
from membership.member import Address
from membership.messages import ExchangeBody, Packet
from membership.timers import Timer


class Peer(Struct, frozen=True):
    """A member to join through."""

    name: str
    address: Address


class Start(Struct, frozen=True):
    """Begin to probe and gossip. First input, once."""


class PacketReceived(Struct, frozen=True):
    """A packet that was sealed with a key of ours arrived from this address."""

    source: Address
    packet: Packet


class TimerFired(Struct, frozen=True):
    """The delay of a StartTimer is over."""

    timer: Timer


class Join(Struct, frozen=True):
    """Push-pull with each of these; a JoinOutcome follows for each."""

    peers: Sequence[Peer]


class Contact(Struct, frozen=True):
    """A layer above has just spoken with a member: one that is believed dead is asked at once."""

    name: str


class Leave(Struct, frozen=True):
    """Tell the others good-bye; a LeaveSpread follows."""


class SetMeta(Struct, frozen=True):
    """Announce new meta under a new incarnation."""

    meta: bytes


class SetVitals(Struct, frozen=True):
    """Announce new vitals."""

    data: bytes


class SayEvent(Struct, frozen=True):
    """Tell all members something."""

    name: str
    payload: bytes


class ExchangeReceived(Struct, frozen=True):
    """Another member asks something over the stream; an AnswerExchange follows, with the same number."""

    number: int
    peer: str
    body: ExchangeBody


class ExchangeAnswered(Struct, frozen=True):
    """The answer to an Exchange effect."""

    token: ExchangeToken
    body: ExchangeBody


class ExchangeFailed(Struct, frozen=True):
    """An Exchange effect came to nothing."""

    token: ExchangeToken
    reason: str


Input: TypeAlias = (
    Start
    | PacketReceived
    | TimerFired
    | Join
    | Contact
    | Leave
    | SetMeta
    | SetVitals
    | SayEvent
    | ExchangeReceived
    | ExchangeAnswered
    | ExchangeFailed
)
