"""Bytes: bounds on every field, junk refused cleanly, seals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership import Keyring, NotSealedForUs, VersionMismatch
from membership.codec import (
    DATAGRAM_OVERHEAD_BYTES,
    MIN_PACKET_BYTES,
    decode_exchange,
    decode_packet,
    encode_exchange,
    encode_message,
    encode_packet,
    open_packet,
    packet_overhead_bytes,
    seal_packet,
)
from membership.errors import CodecError
from membership.member import MemberState
from membership.messages import (
    Ack,
    Alive,
    Dead,
    Left,
    MemberRecord,
    Nack,
    Ping,
    PingRequest,
    PushPull,
    Refusal,
    StreamAck,
    StreamPing,
    Suspect,
    Vitals,
)

KEY, OTHER_KEY = b"a" * 32, b"b" * 32
LONGEST_NAME = "n" * 63
EVERY_MESSAGE = (
    Ping(2**32 - 1, LONGEST_NAME),
    PingRequest(1, "b", "fe80::1", 65_535),
    Ack(0),
    Nack(7),
    Alive("a", "10.0.0.1", 1, 2**53 - 1, b"m" * 512),
    Suspect("a", 1, "b"),
    Dead("a", 1, "b"),
    Left("a", 1),
    Vitals("a", 1, 2, b"v" * 256),
)


def test_every_message_comes_back_as_it_was() -> None:
    plain = encode_packet("me", [encode_message(message) for message in EVERY_MESSAGE])
    assert decode_packet(plain).messages == EVERY_MESSAGE


def test_every_exchange_comes_back_as_it_was() -> None:
    record = MemberRecord("a", "10.0.0.1", 1, 3, MemberState.DEAD, b"", 2)
    for body in (PushPull(1, 1, "a", (record,), ()), StreamPing("a", "::1", 1), StreamAck("a"), Refusal("no")):
        assert decode_exchange(encode_exchange(body)) == body


def test_the_largest_message_fits_beside_a_ping_into_the_smallest_packet() -> None:
    largest = encode_message(Alive(LONGEST_NAME, "f" * 45, 65_535, 2**53 - 1, b"m" * 512))
    ping = encode_message(Ping(2**32 - 1, LONGEST_NAME))
    overhead = DATAGRAM_OVERHEAD_BYTES + packet_overhead_bytes(LONGEST_NAME)
    assert overhead + len(ping) + len(largest) <= MIN_PACKET_BYTES


@pytest.mark.parametrize(
    "message",
    [
        Ping(2**32, "a"),
        Ping(-1, "a"),
        Ping(1, ""),
        Ping(1, "n" * 64),
        Ping(1, "Capital"),
        Ping(1, "line\n"),
        Suspect("a", 2**53, "b"),
        Alive("a", "10.0.0.1", 0, 1, b""),
        Alive("a", "10.0.0.1", 65_536, 1, b""),
        Alive("a", "example.org", 1, 1, b""),
        Alive("a", "10.0.0.1", 1, 1, b"m" * 513),
        Vitals("a", 1, 1, b"v" * 257),
    ],
)
def test_a_field_out_of_bounds_is_refused(message: Ping) -> None:
    with pytest.raises(CodecError):
        decode_packet(encode_packet("me", [encode_message(message)]))


@given(st.binary(max_size=2000))
def test_junk_is_refused_cleanly(junk: bytes) -> None:
    """Both before the seal, where anybody can send it, and behind it."""
    with pytest.raises(CodecError):
        open_packet(Keyring([KEY]), junk)
    for decode in (decode_packet, decode_exchange):
        try:
            decode(junk)
        except CodecError:
            continue


@given(st.data())
def test_a_flipped_bit_breaks_the_seal(data: st.DataObject) -> None:
    datagram = bytearray(seal_packet(Keyring([KEY]), encode_packet("me", [])))
    place = data.draw(st.integers(0, len(datagram) * 8 - 1))
    datagram[place // 8] ^= 1 << place % 8
    with pytest.raises(CodecError):
        open_packet(Keyring([KEY]), bytes(datagram))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_packet(b"\x91" * 100_000)


def test_another_clusters_packet_is_refused() -> None:
    with pytest.raises(NotSealedForUs):
        open_packet(Keyring([OTHER_KEY]), seal_packet(Keyring([KEY]), encode_packet("me", [])))


def test_a_later_version_is_named_even_if_it_does_not_decode() -> None:
    from msgspec import msgpack

    for packet in ([2, 3, "me", []], [2, 3, "me", [["a message of the future"]]]):
        with pytest.raises(VersionMismatch, match="2 to 3"):
            decode_packet(msgpack.encode(packet))


def test_fields_that_a_later_version_appends_are_skipped() -> None:
    from msgspec import msgpack

    packet = decode_packet(msgpack.encode([1, 2, "me", [[3, 99, b"", "appended"]], "appended"]))
    assert packet.messages == (Ack(99),)
