"""Frames, messages, hello and admission: the pure parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivemind.peer.admission import Admission, LogBudget
from hivemind.peer.config import PeerConfig
from hivemind.peer.errors import FrameTooLarge, PeerIncompatible, PeerUntrusted
from hivemind.peer.frames import FrameDecoder, FrameError, pack_frame
from hivemind.peer.hello import Self, answer_hello, check_welcome
from hivemind.peer.messages import (
    Answer,
    Data,
    Hello,
    Ping,
    Refused,
    Request,
    Welcome,
    decode_payload,
    encode_frame,
)
from hivemind.peer.names import CertificateName

US = Self(node_id="b", cluster_id="alpha")
A = CertificateName(cluster_id="alpha", node_id="a")


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 20))
def test_frames_come_out_as_they_went_in_however_they_are_cut(payloads: list[bytes], size: int) -> None:
    wire = b"".join(pack_frame(payload) for payload in payloads)
    decoder = FrameDecoder(64)
    out: list[bytes] = []
    for start in range(0, len(wire), size):
        out += decoder.feed(wire[start : start + size])
    assert out == payloads
    assert decoder.buffered_bytes == 0


def test_a_length_over_the_limit_is_an_error_before_anything_is_buffered() -> None:
    for wire in (b"\x00\x00\x00\x41", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"):
        with pytest.raises(FrameError, match="allowed are 1 to 64"):
            FrameDecoder(64).feed(wire)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_clean_error(payload: bytes) -> None:
    try:
        decode_payload(payload)
    except FrameError:
        return


@pytest.mark.parametrize(
    "payload", [b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x92\x09\x81\x80\x01"]
)
def test_hostile_msgpack_is_a_clean_error(payload: bytes) -> None:
    with pytest.raises(FrameError):
        decode_payload(payload)


def test_messages_round_trip_and_newer_fields_are_ignored() -> None:
    for message in (
        Request(7, "raft", {"a": [1, b"x", None]}),
        Answer(7, 1.5),
        Ping(),
        Data(b"x"),
        Hello(1, 2, "a", "alpha", "link"),
    ):
        (payload,) = FrameDecoder(1000).feed(encode_frame(message, 1000))
        assert decode_payload(payload) == message
    assert decode_payload(b"\x94\x04\x07\x01\xa3new") == Answer(7, 1)
    with pytest.raises(FrameTooLarge, match="the limit is 100"):
        encode_frame(Data(bytes(200)), 100)


def test_hello_takes_the_highest_common_version() -> None:
    newer = Self(node_id="b", cluster_id="alpha", min_version=2, max_version=4)
    assert answer_hello(Hello(1, 3, "a", "alpha", "rpc"), A, newer) == Welcome(3, "b", "alpha")
    refused = answer_hello(Hello(1, 1, "a", "alpha", "rpc"), A, newer)
    assert refused == Refused("version", "you speak protocol versions 1 to 1, b speaks 2 to 4")


@pytest.mark.parametrize(
    ("hello", "certificate", "problem"),
    [
        (Hello(1, 1, "a", "alpha", "rpc"), None, "without a certificate"),
        (Hello(1, 1, "z", "alpha", "rpc"), A, "the certificate is for a, the hello says z"),
        (Hello(1, 1, "a", "beta", "rpc"), A, "the hello is of cluster beta, not of alpha"),
        (Hello(1, 1, "a", "alpha", "rpc"), CertificateName(cluster_id="beta", node_id="a"), "of cluster beta"),
    ],
)
def test_hello_refuses_who_is_not_what_it_says(hello: Hello, certificate: CertificateName | None, problem: str) -> None:
    refused = answer_hello(hello, certificate, US)
    assert isinstance(refused, Refused)
    assert refused.code == "untrusted"
    assert problem in refused.message


def test_the_dialling_side_checks_too() -> None:
    b = CertificateName(cluster_id="alpha", node_id="b")
    us = Self(node_id="a", cluster_id="alpha")
    check_welcome(Welcome(1, "b", "alpha"), b, "b", us)
    with pytest.raises(PeerUntrusted, match="the node at its address is b"):
        check_welcome(Welcome(1, "b", "alpha"), b, "c", us)
    with pytest.raises(PeerUntrusted, match="the certificate is for b, the hello says c"):
        check_welcome(Welcome(1, "c", "alpha"), b, "c", us)
    with pytest.raises(PeerIncompatible, match="version 9"):
        check_welcome(Welcome(9, "b", "alpha"), b, "b", us)


def test_admission_bounds_strangers_by_address_and_in_all() -> None:
    admission = Admission(PeerConfig(max_handshakes=3, max_handshakes_per_address=2, max_connections_per_address=3))
    assert admission.enter("x") is None
    assert admission.enter("x") is None
    assert admission.enter("x") == "too many handshakes at once from this address"
    admission.known("x")
    assert admission.enter("x") is None
    admission.known("x")
    admission.known("x")
    assert admission.enter("x") == "too many connections from this address"
    for address in "abc":
        assert admission.enter(address) is None
    assert admission.enter("d") == "too many handshakes at once"
    for address in "abc":
        admission.leave(address, was_stranger=True)
    for _ in range(3):
        admission.leave("x", was_stranger=False)
    assert admission.stranger_count == 0
    assert admission.enter("x") is None


def test_log_lines_have_a_budget() -> None:
    budget = LogBudget(burst=2, per_s=1)
    assert [budget.take(0.0) for _ in range(4)] == [True, True, False, False]
    assert budget.suppressed == 2
    assert budget.take(1.0)
    assert not budget.take(1.5)


def test_settings_that_contradict_each_other_are_named() -> None:
    PeerConfig().validate()
    with pytest.raises(ValueError, match="link_silence_s"):
        PeerConfig(ping_interval_s=2).validate()
    with pytest.raises(ValueError, match="rpc_server_idle_s"):
        PeerConfig(rpc_idle_s=200).validate()
