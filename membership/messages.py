"""What members say to each other, as frozen values with a bound on every field.

Packets carry `Message`s (SWIM §3 and §4.2, Lifeguard §IV); the stream exchange carries `ExchangeBody`s. They are
encoded as msgpack arrays whose first item is the tag, so that a later version can append fields and be read by
an older one.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from membership.member import Address, Member, MemberState

MAX_META_BYTES = 512
MAX_VITALS_BYTES = 256
MAX_EVENT_BYTES = 512
MAX_KEYS_PER_ANSWER = 64
MAX_EVENTS_PER_EXCHANGE = 1024
MAX_MESSAGES_PER_PACKET = 1024
MAX_RECORDS_PER_EXCHANGE = 65_536

Name: TypeAlias = Annotated[str, Meta(max_length=63, pattern=r"\A[a-z0-9][a-z0-9.-]{0,62}\Z")]
Host: TypeAlias = Annotated[str, Meta(max_length=45, pattern=r"\A[0-9a-fA-F:.]{2,45}\Z")]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Sequence32: TypeAlias = Annotated[int, Meta(ge=0, lt=2**32)]
Incarnation: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53)]
Counter: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53)]
Version: TypeAlias = Annotated[int, Meta(ge=0, le=127)]
MetaBytes: TypeAlias = Annotated[bytes, Meta(max_length=MAX_META_BYTES)]
VitalsBytes: TypeAlias = Annotated[bytes, Meta(max_length=MAX_VITALS_BYTES)]
EventBytes: TypeAlias = Annotated[bytes, Meta(max_length=MAX_EVENT_BYTES)]
CoordinateBytes: TypeAlias = Annotated[bytes, Meta(max_length=64)]
KeyBytes: TypeAlias = Annotated[bytes, Meta(max_length=32)]
Reason: TypeAlias = Annotated[str, Meta(max_length=500)]


class Ping(Struct, frozen=True, array_like=True, tag=1):
    """Are you there? `target` guards against another member having got the address since."""

    sequence: Sequence32
    target: Name


class PingRequest(Struct, frozen=True, array_like=True, tag=2):
    """SWIM's ping-req: probe `target` for me, and nack if it does not answer in time."""

    sequence: Sequence32
    target: Name
    host: Host
    port: Port


class Ack(Struct, frozen=True, array_like=True, tag=3):
    """I am here, at this place of the network (or: the member that you asked me to probe is here)."""

    sequence: Sequence32
    coordinate: CoordinateBytes = b""


class Nack(Struct, frozen=True, array_like=True, tag=4):
    """Lifeguard: I heard you, but the member that you asked me to probe has not answered me."""

    sequence: Sequence32


class Alive(Struct, frozen=True, array_like=True, tag=5):
    """`name` is at this address with this meta. Only the member itself makes a new incarnation of it."""

    name: Name
    host: Host
    port: Port
    incarnation: Incarnation
    meta: MetaBytes

    @property
    def endpoint(self) -> Address:
        """Host and port."""
        return (self.host, self.port)


class Suspect(Struct, frozen=True, array_like=True, tag=6):
    """`accuser` could not reach `name` in this incarnation."""

    name: Name
    incarnation: Incarnation
    accuser: Name


class Dead(Struct, frozen=True, array_like=True, tag=7):
    """SWIM's confirm: nobody refuted the suspicion of `name` in this incarnation."""

    name: Name
    incarnation: Incarnation
    accuser: Name


class Left(Struct, frozen=True, array_like=True, tag=8):
    """`name` said good-bye."""

    name: Name
    incarnation: Incarnation


class Vitals(Struct, frozen=True, array_like=True, tag=9):
    """How `name` is doing, opaque to us. Newer is the greater (epoch, number): the epoch is its incarnation when
    it said so, which goes up over restarts even if its store is lost; the number counts within its process."""

    name: Name
    epoch: Incarnation
    number: Counter
    data: VitalsBytes

    @property
    def version(self) -> tuple[int, int]:
        """Greater is newer."""
        return (self.epoch, self.number)


class UserEvent(Struct, frozen=True, array_like=True, tag=10):
    """A message of the layers above to all members. (author, epoch, number) is used once; the epoch is the author's
    incarnation when its process spoke first."""

    author: Name
    epoch: Incarnation
    number: Counter
    name: Name
    payload: EventBytes


News: TypeAlias = Alive | Suspect | Dead | Left
Message: TypeAlias = Ping | PingRequest | Ack | Nack | Alive | Suspect | Dead | Left | Vitals | UserEvent


class Packet(Struct, frozen=True, array_like=True):
    """One datagram: the versions that the sender speaks, its name, and what it says."""

    lowest_version: Version
    highest_version: Version
    sender: Name
    messages: Annotated[tuple[Message, ...], Meta(max_length=MAX_MESSAGES_PER_PACKET)]


class MemberRecord(Struct, frozen=True, array_like=True):
    """One row of a member table, for push-pull."""

    name: Name
    host: Host
    port: Port
    incarnation: Incarnation
    state: MemberState
    meta: MetaBytes
    meta_incarnation: Incarnation

    @staticmethod
    def of(member: Member) -> MemberRecord:
        """The record that tells of `member`."""
        return MemberRecord(
            member.name,
            member.address,
            member.port,
            member.incarnation,
            member.state,
            member.meta,
            member.meta_incarnation,
        )

    @property
    def endpoint(self) -> Address:
        """Host and port."""
        return (self.host, self.port)


class PushPull(Struct, frozen=True, array_like=True, tag=1):
    """All that the sender knows; the answer is a PushPull too."""

    lowest_version: Version
    highest_version: Version
    sender: Name
    members: Annotated[tuple[MemberRecord, ...], Meta(max_length=MAX_RECORDS_PER_EXCHANGE)]
    vitals: Annotated[tuple[Vitals, ...], Meta(max_length=MAX_RECORDS_PER_EXCHANGE)]
    events: Annotated[tuple[UserEvent, ...], Meta(max_length=MAX_EVENTS_PER_EXCHANGE)] = ()
    key_fingerprint: KeyBytes = b""
    """Of the key that the sender seals with; the driver fills it in, and the generation of the sender's keyring."""
    key_generation: Counter = 0


class StreamPing(Struct, frozen=True, array_like=True, tag=2):
    """The fallback probe: a Ping that does not depend on UDP. The endpoint tells two owners of a name apart."""

    target: Name
    host: Host
    port: Port


class StreamAck(Struct, frozen=True, array_like=True, tag=3):
    """The answer to a StreamPing."""

    name: Name


class Refusal(Struct, frozen=True, array_like=True, tag=4):
    """The answer to an exchange that cannot be served, with the reason."""

    reason: Reason


class KeyOperation(Enum):
    """What may be done with the keyring of a member."""

    INSTALL = "install"
    USE = "use"
    REMOVE = "remove"
    LIST = "list"
    FETCH = "fetch"
    """The keys themselves, for a member that was away while they changed."""


class KeyRequest(Struct, frozen=True, array_like=True, tag=5):
    """Do this with your keyring. The key is empty for LIST and FETCH; USE begins a generation."""

    operation: KeyOperation
    key: KeyBytes
    generation: Counter = 0


class KeyAnswer(Struct, frozen=True, array_like=True, tag=6):
    """The keyring after that: fingerprints, the used one first; for FETCH the keys instead."""

    keys: Annotated[tuple[KeyBytes, ...], Meta(max_length=MAX_KEYS_PER_ANSWER)]
    generation: Counter = 0


ExchangeBody: TypeAlias = PushPull | StreamPing | StreamAck | Refusal | KeyRequest | KeyAnswer
