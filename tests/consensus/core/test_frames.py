"""Frames survive any cutting of the stream, and bad lengths end it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.frames import FrameInPieces, FrameSplitter, encode_frame
from ledger.core.errors import DecodeError


@given(st.data(), st.lists(st.binary(min_size=1, max_size=300), max_size=20))
def test_any_chunking_gives_the_same_frames(data: st.DataObject, payloads: list[bytes]) -> None:
    """However the bytes arrive, the frames are those that were sent."""
    stream = b"".join(map(encode_frame, payloads))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=30))
    splitter = FrameSplitter(300)
    got = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        got += splitter.feed(stream[start:end])
    assert got == payloads
    assert splitter.is_empty


@given(st.data(), st.binary(min_size=1, max_size=300), st.binary(max_size=310))
def test_what_stands_behind_a_head_is_given_for_that_head_alone(
    data: st.DataObject, payload: bytes, other: bytes
) -> None:
    """A frame in pieces is what the joined one would be."""
    cuts = data.draw(st.sets(st.integers(1, len(payload)), max_size=10))
    edges = [0, *sorted(cuts | {len(payload)})]
    frame = FrameInPieces(*(payload[a:b] for a, b in itertools.pairwise(edges)))
    assert len(frame) == len(payload)
    assert frame.whole() == payload
    for head in (payload[: data.draw(st.integers(0, len(payload)))], other):
        is_head = payload.startswith(head)
        assert frame.after(head) == (payload[len(head) :] if is_head else None)


@pytest.mark.parametrize("size", [1, 3, 4_095, 4_096, 16_384])
def test_a_large_frame_comes_in_pieces_of_any_size(size: int) -> None:
    """Small pieces are gathered, so that many of them take no more room than their bytes."""
    payload = bytes(range(256)) * 300
    stream = encode_frame(b"a") + encode_frame(payload) + encode_frame(b"b")
    splitter = FrameSplitter(len(payload))
    got = []
    for start in range(0, len(stream), size):
        got += splitter.feed(stream[start : start + size])
        assert len(splitter._pieces) <= 2 * len(payload) // 4_096 + 1
    assert got == [b"a", payload, b"b"]
    assert splitter.is_empty


def test_frames_are_bytes_whatever_they_are_cut_from() -> None:
    """What is kept must not change with the buffer that it came in."""
    splitter = FrameSplitter(10_000)
    stream = bytearray(encode_frame(b"first") + encode_frame(b"x" * 9_000))
    got: list[bytes] = []
    for piece in (stream[:100], stream[100:6_000], stream[6_000:]):
        got += splitter.feed(piece)
        piece[:] = bytes(len(piece))
    assert got == [b"first", b"x" * 9_000]
    assert {type(frame) for frame in got} == {bytes}


def test_pieces_are_left_as_they_came() -> None:
    """Only what came in several pieces is given in pieces."""
    splitter = FrameSplitter(10_000)
    stream = encode_frame(b"first") + encode_frame(b"x" * 9_000)
    assert splitter.feed_pieces(stream[:5_000]) == [b"first"]
    (frame,) = splitter.feed_pieces(stream[5_000:])
    assert isinstance(frame, FrameInPieces)
    assert frame.whole() == b"x" * 9_000


@pytest.mark.parametrize(("size", "is_allowed"), [(0, False), (1, True), (8, True), (9, False)])
def test_length_is_limited(size: int, *, is_allowed: bool) -> None:
    """One byte up to the limit is a frame; none or one more is not, before it has arrived."""
    header = encode_frame(b"x" * size)[:4]
    splitter = FrameSplitter(8)
    if is_allowed:
        assert splitter.feed(header + b"x" * size) == [b"x" * size]
    else:
        with pytest.raises(DecodeError):
            splitter.feed(header)


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_give_frames_or_a_decode_error(chunks: list[bytes]) -> None:
    """Garbage never raises anything else and never makes the splitter hold more than a frame."""
    splitter = FrameSplitter(32)
    try:
        for chunk in chunks:
            splitter.feed(chunk)
            assert sum(map(len, splitter._pieces)) == splitter._held < 32
    except DecodeError:
        pass
