"""The canonical encoding: one encoding for each value, and DecodeError for everything else."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from ledger.core.block import Batch, Proposal
from ledger.core.certificate import (
    Ack,
    BatchCertificate,
    Timeout,
    TimeoutCertificate,
    Vote,
)
from ledger.core.codec import Codec, Hash32, Record, Signature64, UInt, encode
from ledger.core.errors import DecodeError
from ledger.core.event import SignedEvent, open_entry
from ledger.core.execute import genesis_result
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.limits import INT_MAX
from tests.ledger.sample_network import (
    DOMAIN,
    GENESIS,
    VALIDATORS,
    batch,
    block_after,
    certificate_of,
    entry,
)


class Sample(Record, frozen=True):
    """One field of each shape that the formats use."""

    number: UInt
    digest: Hash32
    text: Annotated[str, Meta(max_length=5)]
    rows: Annotated[tuple[tuple[UInt, Signature64], ...], Meta(max_length=2)]
    other: Hash32 | None


class Number(Record, frozen=True):
    """A number alone."""

    value: UInt


SAMPLE = Sample(7, bytes(32), "abc", ((1, bytes(64)),), None)
SAMPLE_BYTES = encode(SAMPLE)
samples = Codec(Sample)
numbers = Codec(Number)

CERTIFICATE = certificate_of(BlockId(bytes(32)), Height(1))
BLOCK = block_after(genesis_result(GENESIS).root, GENESIS.block_id, [batch([entry()])[0]])[1]
TIMEOUT = Timeout.make(DOMAIN, Round(3), CERTIFICATE, None, VALIDATORS[0])
VALUES: list[Record] = [
    SAMPLE,
    SignedEvent(open_entry(entry()).event, entry()[-64:]),
    Batch(NodeIndex(0), 1, (entry(),)),
    BLOCK,
    Proposal(BLOCK, bytes(64), (BatchCertificate(Epoch(0), batch([entry()])[0], ()),), (b"x",)),
    CERTIFICATE,
    Vote.make(DOMAIN, Round(1), BlockId(bytes(32)), None, VALIDATORS[0]),
    TIMEOUT,
    TimeoutCertificate(Epoch(0), Round(3), (), CERTIFICATE),
    Ack.make(DOMAIN, batch([entry()])[0], VALIDATORS[2]),
    GENESIS,
]
every_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


def accepts(codec: Codec[Record], data: bytes) -> bool:
    """Say whether ``data`` is decoded; what is decoded must be encoded to the same bytes."""
    try:
        value = codec.decode(data)
    except DecodeError:
        return False
    assert encode(value) == data
    return True


@every_value
def test_round_trip(value: Record) -> None:
    """Decoding what was encoded gives the value back."""
    codec = Codec(type(value))
    assert codec.decode(encode(value)) == value
    assert codec.encode(value) == encode(value)


@every_value
@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_value_or_decode_error(value: Record, data: bytes) -> None:
    """No bytes raise anything but DecodeError."""
    accepts(Codec(type(value)), data)


@every_value
def test_every_cut_is_refused(value: Record) -> None:
    """No beginning of an encoding is an encoding, and nothing may follow one."""
    codec, data = Codec(type(value)), encode(value)
    assert not any(accepts(codec, data[:length]) for length in range(len(data)))
    assert not accepts(codec, data + b"\0")
    assert not accepts(codec, data + data)


@every_value
@given(data=st.data())
def test_changed_bytes_give_another_value_or_decode_error(
    value: Record, data: st.DataObject
) -> None:
    """An encoding with some bytes replaced is refused or is the encoding of another value."""
    codec, encoded = Codec(type(value)), encode(value)
    start = data.draw(st.integers(0, len(encoded) - 1))
    replacement = data.draw(st.binary(max_size=6))
    length = data.draw(st.integers(0, 6))
    changed = encoded[:start] + replacement + encoded[start + length :]
    if accepts(codec, changed) and changed != encoded:
        assert codec.decode(changed) != value


@pytest.mark.parametrize(
    "data",
    [
        b"\xcc\x07",
        b"\xcd\x00\x07",
        b"\xce\x00\x00\x00\x07",
        b"\xcf" + bytes(7) + b"\x07",
        b"\xd0\x07",
        b"\xd1\x00\x07",
        b"\xd2\x00\x00\x00\x07",
        b"\xd3" + bytes(7) + b"\x07",
        b"\xca\x40\xe0\x00\x00",
        b"\xcb\x40\x1c" + bytes(6),
        b"\xa17",
        b"\xc4\x01\x07",
        b"\xc0",
        b"\xc3",
        b"\x91\x07",
    ],
)
def test_integer_has_one_encoding(data: bytes) -> None:
    """Longer forms of 7, floats, text and anything else are no encoding of 7."""
    assert numbers.decode(b"\x91\x07") == Number(7)
    with pytest.raises(DecodeError):
        numbers.decode(b"\x91" + data)


def test_structure_has_one_encoding() -> None:
    """Longer length headers and maps are refused at every place of a value."""
    places = {
        "array": (b"\x95", (b"\xdc\x00\x05", b"\xdd\x00\x00\x00\x05", b"\x85")),
        "digest": (b"\xc4\x20", (b"\xc5\x00\x20", b"\xc6\x00\x00\x00\x20", b"\xd9\x20")),
        "text": (b"\xa3abc", (b"\xd9\x03abc", b"\xda\x00\x03abc", b"\xc4\x03abc")),
        "rows": (b"\x91\x92", (b"\xdc\x00\x01\x92", b"\x91\xdc\x00\x02", b"\x81\x92")),
    }
    for right, wrong_forms in places.values():
        assert SAMPLE_BYTES.count(right) == 1
        for wrong in wrong_forms:
            with pytest.raises(DecodeError):
                samples.decode(SAMPLE_BYTES.replace(right, wrong))


@pytest.mark.parametrize("length", [31, 32, 33])
def test_digest_length(length: int) -> None:
    """A digest has 32 bytes, neither fewer nor more."""
    assert accepts(Codec(Sample), encode((7, bytes(length), "abc", (), None))) == (length == 32)


@pytest.mark.parametrize("length", [63, 64, 65])
def test_signature_length(length: int) -> None:
    """A signature has 64 bytes, neither fewer nor more."""
    data = encode((7, bytes(32), "abc", ((1, bytes(length)),), None))
    assert accepts(Codec(Sample), data) == (length == 64)


@pytest.mark.parametrize(
    ("number", "is_valid"),
    [(-1, False), (0, True), (INT_MAX - 1, True), (INT_MAX, True), (INT_MAX + 1, False)],
)
def test_integer_range(number: int, is_valid: bool) -> None:
    """Integers are 0 to INT_MAX."""
    assert accepts(Codec(Sample), encode((number, bytes(32), "", (), None))) == is_valid


@pytest.mark.parametrize("count", [4, 6])
def test_positions_are_fixed(count: int) -> None:
    """A record with a position too few or too many is refused."""
    fields = (7, bytes(32), "abc", (), None, None)[:count]
    assert not accepts(Codec(Sample), encode(fields))


@pytest.mark.parametrize("text", [b"\xa2\xff\xfe", b"\xa3\xed\xa0\x80", b"\xa2\xc0\x80"])
def test_text_is_utf8(text: bytes) -> None:
    """Text that is not UTF-8, or holds a surrogate or an overlong form, is refused."""
    data = SAMPLE_BYTES.replace(b"\xa3abc", text)
    assert not accepts(Codec(Sample), data)


@every_value
@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 100_000,
        b"\x81" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xc1",
        b"",
    ],
)
def test_hostile_headers_are_refused(value: Record, data: bytes) -> None:
    """Deep nesting and announced sizes that never come cost nothing and are refused."""
    codec, encoded = Codec(type(value)), encode(value)
    assert not accepts(codec, data)
    for place in range(1, min(len(encoded), 120)):
        accepts(codec, encoded[:place] + data[:2_000])
