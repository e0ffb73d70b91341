"""Frames: however a stream is cut, the same messages come out; lengths are judged first."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.errors import RemoteProtocolError
from tallynet.frames import HEADER_BYTES, FrameReader, frame
from tallynet.limits import FRAME_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.data())
def test_any_cutting_of_the_stream_gives_the_same_messages(
    messages: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(frame(message) for message in messages)
    reader, found = FrameReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == messages
    assert reader.waiting_for == 0


def test_one_byte_at_a_time() -> None:
    reader = FrameReader()
    found = [m for byte in frame(b"abc") + frame(b"d") for m in reader.feed(bytes((byte,)))]
    assert found == [b"abc", b"d"]


def test_it_says_how_much_it_waits_for() -> None:
    reader = FrameReader()
    assert reader.waiting_for == 0
    reader.feed(b"\0\0")
    assert reader.waiting_for == HEADER_BYTES
    reader.feed(b"\0\x05ab")
    assert reader.waiting_for == HEADER_BYTES + 5
    assert reader.feed(b"cde\0") == [b"abcde"]
    assert reader.waiting_for == HEADER_BYTES


@pytest.mark.parametrize("limit", [1, HANDSHAKE_FRAME_BYTES_MAX, FRAME_BYTES_MAX])
def test_the_limit_is_exact(limit: int) -> None:
    for size in (limit - 1, limit):
        if size:
            assert FrameReader(limit).feed(size.to_bytes(4, "big") + bytes(size)) == [bytes(size)]
    with pytest.raises(RemoteProtocolError) as caught:
        FrameReader(limit).feed((limit + 1).to_bytes(4, "big"))
    assert caught.value.code == "FRAME_TOO_LARGE"


def test_strangers_have_the_small_limit_until_it_is_raised() -> None:
    large = frame(bytes(HANDSHAKE_FRAME_BYTES_MAX + 1))
    with pytest.raises(RemoteProtocolError):
        FrameReader().feed(large)
    reader = FrameReader()
    reader.raise_limit(FRAME_BYTES_MAX)
    assert len(reader.feed(large)) == 1


def test_an_empty_frame_is_refused_and_the_reader_stays_dead() -> None:
    reader = FrameReader()
    with pytest.raises(RemoteProtocolError) as caught:
        reader.feed(frame(b"a") + bytes(4))
    assert caught.value.code == "FRAME_EMPTY"
    with pytest.raises(RemoteProtocolError):
        reader.feed(frame(b"b"))


def test_a_length_from_the_wire_allocates_nothing() -> None:
    reader = FrameReader(FRAME_BYTES_MAX)
    tracemalloc.start()
    try:
        reader.feed(FRAME_BYTES_MAX.to_bytes(4, "big"))
        reader.feed(b"x")
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, FRAME_BYTES_MAX + 1])
def test_what_no_receiver_takes_is_not_framed(size: int) -> None:
    with pytest.raises(ValueError, match="a frame holds"):
        frame(bytes(size))
