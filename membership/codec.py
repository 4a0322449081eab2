"""Between messages and bytes: msgpack with bounds, sealed with the keyring.

A datagram is one format byte and the sealed packet. The format byte is not secret and lets a later format be told
apart before any key is tried. Whatever does not decode raises a CodecError and has changed nothing.

The exchange's bodies are not sealed: the stream that carries them is encrypted and authenticated already.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from membership.errors import CodecError, VersionMismatch
from membership.keyring import SEAL_BYTES, Keyring
from membership.messages import ExchangeBody, Message, Packet, Version

LOWEST_VERSION = 1
HIGHEST_VERSION = 1
"""The protocol versions that this code speaks."""

FORMAT = b"\x01"
DATAGRAM_OVERHEAD_BYTES = len(FORMAT) + SEAL_BYTES
MAX_EXCHANGE_BYTES = 16 * 1024 * 1024
MIN_PACKET_BYTES = 1024
"""A ping and an Alive with the longest name and meta fit into it."""

_encoder = msgspec.msgpack.Encoder()
_packet_decoder = msgspec.msgpack.Decoder(Packet)
_exchange_decoder = msgspec.msgpack.Decoder(ExchangeBody)


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A Packet whose messages are encoded already."""

    lowest_version: int
    highest_version: int
    sender: str
    messages: list[msgspec.Raw]


class _Versions(msgspec.Struct, frozen=True, array_like=True):
    """The start of a Packet, which every version can read."""

    lowest_version: Version
    highest_version: Version


_versions_decoder = msgspec.msgpack.Decoder(_Versions)


def encode_message(message: Message) -> bytes:
    """One message, to be put into a packet now or later."""
    return _encoder.encode(message)


def packet_overhead_bytes(sender: str) -> int:
    """What a packet needs besides its messages, before it is sealed."""
    return len(_encoder.encode(_Envelope(LOWEST_VERSION, HIGHEST_VERSION, sender, []))) + 2


def encode_packet(sender: str, messages: Sequence[bytes]) -> bytes:
    """A packet of encoded messages, not yet sealed."""
    raw = [msgspec.Raw(message) for message in messages]
    return _encoder.encode(_Envelope(LOWEST_VERSION, HIGHEST_VERSION, sender, raw))


def decode_packet(plain: bytes) -> Packet:
    """The reverse of `encode_packet`. Raises CodecError, VersionMismatch."""
    try:
        packet = _packet_decoder.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _check_versions(plain)
        raise CodecError(f"not a packet: {error}") from error
    check_overlap(packet.lowest_version, packet.highest_version)
    return packet


def _check_versions(plain: bytes) -> None:
    """A packet of a later version may not decode: say that, rather than call it junk."""
    try:
        versions = _versions_decoder.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    check_overlap(versions.lowest_version, versions.highest_version)


def check_overlap(lowest: int, highest: int) -> None:
    """Raise VersionMismatch unless the range and ours have a version in common."""
    if lowest > HIGHEST_VERSION or highest < LOWEST_VERSION:
        raise VersionMismatch(
            f"the sender speaks protocol versions {lowest} to {highest}, we speak {LOWEST_VERSION} to {HIGHEST_VERSION}"
        )


def seal_packet(keyring: Keyring, plain: bytes) -> bytes:
    """The datagram for an encoded packet."""
    return FORMAT + keyring.seal(plain)


def open_packet(keyring: Keyring, datagram: bytes) -> Packet:
    """The packet in a datagram. Raises CodecError, NotSealedForUs, VersionMismatch."""
    if datagram[:1] != FORMAT:
        raise CodecError("not one of our datagrams")
    return decode_packet(keyring.open(datagram[1:]))


def encode_exchange(body: ExchangeBody) -> bytes:
    """The payload of an exchange, or of its answer."""
    return _encoder.encode(body)


def decode_exchange(payload: bytes) -> ExchangeBody:
    """The reverse of `encode_exchange`. Raises CodecError."""
    if len(payload) > MAX_EXCHANGE_BYTES:
        raise CodecError(f"an exchange of {len(payload)} bytes is over the limit of {MAX_EXCHANGE_BYTES}")
    try:
        body: ExchangeBody = _exchange_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(f"not an exchange: {error}") from error
    return body
