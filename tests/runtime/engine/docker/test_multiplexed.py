"""The stream format of Engine API "Attach to a container", in pieces of any size."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine.docker.multiplexed import FrameError, FrameParser, LineParser, Message

_MESSAGES = st.lists(st.builds(Message, st.integers(0, 2), st.binary(max_size=300)), max_size=20)


def frame(message: Message) -> bytes:
    return bytes([message.stream, 0, 0, 0]) + len(message.data).to_bytes(4, "big") + message.data


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@settings(deadline=None)
@given(_MESSAGES, st.lists(st.integers(0, 10_000), max_size=30))
def test_frames_do_not_depend_on_how_they_arrive(messages: list[Message], cuts: list[int]) -> None:
    parser = FrameParser()
    data = b"".join(frame(message) for message in messages)
    found = [message for piece in pieces(data, cuts) for message in parser.feed(piece)]
    assert found == messages
    assert not parser.pending


@settings(deadline=None)
@given(_MESSAGES.filter(bool), st.data())
def test_a_cut_stream_is_noticed(messages: list[Message], data: st.DataObject) -> None:
    whole = b"".join(frame(message) for message in messages)
    end = data.draw(st.integers(len(whole) - len(frame(messages[-1])) + 1, len(whole) - 1))
    parser = FrameParser()
    assert parser.feed(whole[:end]) == messages[:-1]
    assert parser.pending


@pytest.mark.parametrize(
    "header", [b"\x03\0\0\0\0\0\0\1", b"\1\0\1\0\0\0\0\1", b"\1\0\0\0\xff\xff\xff\xff", b"root@box"]
)
def test_what_is_no_frame_is_refused(header: bytes) -> None:
    with pytest.raises(FrameError):
        FrameParser().feed(header)


@settings(deadline=None)
@given(st.binary(max_size=500).map(lambda data: data.replace(b"a", b"\n")), st.lists(st.integers(0, 600), max_size=30))
def test_lines_do_not_depend_on_how_they_arrive(data: bytes, cuts: list[int]) -> None:
    parser = LineParser()
    found = [line for piece in pieces(data, cuts) for line in parser.feed(piece)]
    *expected, rest = data.split(b"\n")
    assert found == [line.removesuffix(b"\r") for line in expected]
    assert parser.close() == ([rest] if rest else [])


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10))
def test_a_line_without_end_is_bounded(chunks: list[bytes]) -> None:
    chunks = [chunk.replace(b"\n", b"x").replace(b"\r", b"x") for chunk in chunks]
    parser = LineParser(max_bytes=16)
    found = [line for chunk in chunks for line in parser.feed(chunk)]
    found += parser.close()
    assert b"".join(found) == b"".join(chunks)
    assert all(len(line) <= 16 for line in found)
