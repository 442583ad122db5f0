"""Event streams are read by the rules of WHATWG HTML 9.2.6, however they are cut into chunks."""

from itertools import pairwise

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import PeerFault
from ledger.core.limits import CLIENT_STREAM_LINE_BYTES_MAX
from pubsub.client.sse import Block, BlockReader

LINES = st.lists(
    st.sampled_from(
        [
            *("", "", "data: a", "data:b", "data", "data:  c", "id: 7", "id", "id: 8", ": hello"),
            *("x: y", "retry: 250", "retry: soon", "event: e", "data: \u00e9\u2028", "id: \0"),
        ]
    ),
    max_size=20,
)


def blocks_of(text: bytes, cuts: list[int]) -> list[Block]:
    """Read ``text`` cut at these places."""
    reader = BlockReader()
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [block for start, end in pairwise(places) for block in reader.feed(text[start:end])]


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 999)), st.booleans())
def test_cuts_change_nothing(lines: list[str], end: str, cuts: list[int], bom: bool) -> None:
    """A stream gives the same blocks whole, in any pieces, and byte by byte."""
    text = ("\ufeff" * bom + end.join(lines) + end).encode()
    whole = blocks_of(text, [])
    assert blocks_of(text, cuts) == whole
    assert blocks_of(text, list(range(len(text)))) == whole


@given(LINES)
def test_blocks_are_those_of_another_reader(lines: list[str]) -> None:
    """The data, in order, is what httpx-sse reads from the same stream."""
    text = ("\n".join(lines) + "\n\n").encode()
    headers = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, content=text)
    theirs = [event.data for event in EventSource(response).iter_sse()]
    ours = [block.data or b"" for block in blocks_of(text, [])]
    assert [data for data in ours if data] == [data.encode() for data in theirs if data]


def test_fields_of_one_block() -> None:
    """A block has its data lines joined, its last id and its retry; comments are nothing."""
    text = (
        b": hi\n\nretry: 1000\nid: 3\n\nid: 4\nid: 5\ndata: a\ndata:b\n\ndata\n\n:x\nevent: e\n\n"
    )
    assert blocks_of(text, []) == [
        Block(b"3", None, 1000),
        Block(b"5", b"a\nb", None),
        Block(None, b"", None),
    ]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_lines_have_a_limit(extra: int) -> None:
    """A line that does not end is refused when it exceeds the limit, not before."""
    line = b"x" * (CLIENT_STREAM_LINE_BYTES_MAX + extra)
    if extra <= 0:
        assert blocks_of(line, [7]) == []
        return
    with pytest.raises(PeerFault):
        blocks_of(line, [7])


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_blocks_have_a_limit(extra: int) -> None:
    """Many data lines of one block are refused when together they exceed the limit."""
    half = CLIENT_STREAM_LINE_BYTES_MAX // 2
    text = b"data:" + b"x" * half + b"\ndata:" + b"y" * (half + extra) + b"\n\n"
    if extra <= 0:
        assert len(blocks_of(text, [half])) == 1
        return
    with pytest.raises(PeerFault):
        blocks_of(text, [half])


def test_a_huge_retry_is_ignored() -> None:
    """A retry of more than a day is no instruction to follow."""
    assert blocks_of(b"retry: 99999999999\ndata: x\n\n", []) == [Block(None, b"x", None)]
