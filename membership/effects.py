"""What a member wants done: the answers of `Swim.handle`, performed by the driver or by a simulator."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from membership.member import Address, Member, MemberState
from membership.messages import ExchangeBody, UserEvent, Vitals
from membership.timers import Timer


class Send(Struct, frozen=True):
    """Seal this packet and send it; it may get lost."""

    target: Address
    packet: bytes


class StartTimer(Struct, frozen=True):
    """Hand the timer back after the delay."""

    timer: Timer
    delay_s: float


class JoinExchange(Struct, frozen=True):
    """Token of the push-pull by which we join through `peer`."""

    peer: str


class SyncExchange(Struct, frozen=True):
    """Token of a push-pull on a timer."""

    peer: str


class ProbeExchange(Struct, frozen=True):
    """Token of a fallback probe."""

    sequence: int


ExchangeToken: TypeAlias = JoinExchange | SyncExchange | ProbeExchange


class Exchange(Struct, frozen=True):
    """Ask the member `name` over the stream; hand the answer back with the token."""

    token: ExchangeToken
    name: str
    kind: str
    body: ExchangeBody
    timeout_s: float


class AnswerExchange(Struct, frozen=True):
    """The answer to the ExchangeReceived of this number."""

    number: int
    body: ExchangeBody


class JoinOutcome(Struct, frozen=True):
    """How a join through `peer` went: `error` is None, or why it failed."""

    peer: str
    error: str | None


class LeaveSpread(Struct, frozen=True):
    """Our good-bye has been sent as often as it needs to be."""


class ReserveIncarnations(Struct, frozen=True):
    """Keep on disk that incarnations up to this one may have been used."""

    upto: int


class MemberChanged(Struct, frozen=True):
    """A member is new (`previous` is None), or its state, address or meta changed."""

    member: Member
    previous: MemberState | None


class MemberReaped(Struct, frozen=True):
    """A member that was long dead or left is forgotten."""

    name: str


class MemberConflict(Struct, frozen=True):
    """Somebody claims the name of a member that lives at another address. Nothing was changed."""

    name: str
    believed: Address
    claimed: Address


class VitalsChanged(Struct, frozen=True):
    """A member's vitals are newer."""

    vitals: Vitals


class UserEventHeard(Struct, frozen=True):
    """Somebody, perhaps this member, said something to all."""

    event: UserEvent


Change: TypeAlias = MemberChanged | MemberReaped | MemberConflict | VitalsChanged | UserEventHeard
"""The effects that subscribers of the driver get to see."""

Effect: TypeAlias = (
    Send | StartTimer | Exchange | AnswerExchange | JoinOutcome | LeaveSpread | ReserveIncarnations | Change
)
