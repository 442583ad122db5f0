"""Blocks against a recomputation that shares nothing with them but the written format."""

import hashlib
import hmac
import json
from collections import defaultdict
from decimal import Context, Decimal
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.tmf.entity import canonical
from adapters.tmf.usage.block import decode_block, encode_block, open_block
from adapters.tmf.usage.condensing import BlockLimits, Tip, Waiting, is_due
from adapters.tmf.usage.leaves import Entry
from adapters.tmf.usage.limits import USAGE_MEASURES_MAX
from ledger.core.errors import DecodeError, ProofError
from ledger.core.limits import EVENT_DATA_BYTES_MAX
from tests.adapters.tmf.usage.usage_world import (
    BUYER,
    OTHER,
    SECRET,
    SELLER,
    Sealed,
    counted,
    entry,
    event_of,
    party,
    seal,
    usage,
)

EXACT = Context(prec=200)


def naive_root(leaves: list[bytes]) -> bytes:
    """Hash a tree as RFC 6962, 2.1 defines it."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = naive_root(leaves[:split]), naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def derived(kind: str, data: bytes) -> bytes:
    """Hash as docs/adapters/usage.md names it."""
    return blake3(data, derive_key_context=f"concordat v1 {kind}").digest()


def naive_leaf(secret: bytes, index: int, sealed: Entry) -> bytes:
    """Hash one leaf from the words of the format."""
    salt = derived("usage record salt", secret + index.to_bytes(8, "big"))
    prefix = b"\x00concordat usage record v1\n"
    document = canonical(json.loads(sealed.body))
    supersedes = sealed.supersedes.to_bytes(8, "big")
    return hashlib.sha256(prefix + salt + supersedes + document).digest()


def naive_totals(
    entries: list[Entry], first: int, earlier: dict[int, Entry]
) -> dict[tuple[str, ...], tuple[Decimal, int]]:
    """Sum with decimal fractions, from the documents."""
    numbered = earlier | {first + index: entry for index, entry in enumerate(entries)}
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    records: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for index, sealed in enumerate(entries):
        for key, amount in naive_counts(sealed):
            sums[key] = EXACT.add(sums[key], amount)
            records[key].add(index)
        if sealed.supersedes:
            for key, amount in naive_counts(numbered[sealed.supersedes]):
                sums[key] = EXACT.subtract(sums[key], amount)
    return {key: (amount, len(records[key])) for key, amount in sums.items()}


def naive_counts(sealed: Entry) -> list[tuple[tuple[str, ...], Decimal]]:
    """Give what one document counts."""
    document: dict[str, Any] = json.loads(sealed.body, parse_float=Decimal)
    parties = {one["role"]: one["name"] for one in document["relatedParty"]}
    product = document["ratedProductUsage"][0]["productRef"]["id"]
    found = [
        ((parties["Buyer"], product, one["name"], one["value"]["units"]), one["value"]["amount"])
        for one in document.get("usageCharacteristic", [])
    ]
    return [(key, Decimal(amount)) for key, amount in found] or [
        ((parties["Buyer"], product, "", ""), Decimal(0))
    ]


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Entry], int]:
    """Give the records of a log, some of them corrections, and where the second block begins."""
    amounts = st.one_of(
        st.integers(-(10**6), 10**6), st.floats(-1e9, 1e9).filter(lambda x: abs(x) > 1e-9 or x == 0)
    )
    entries: list[Entry] = []
    newest: dict[str, int] = {}
    for number in range(1, draw(st.integers(2, 12)) + 1):
        id_ = f"u{draw(st.integers(0, 6))}"
        measured = [
            {
                "name": draw(st.sampled_from(["storage", "traffic"])),
                "value": {
                    "amount": draw(amounts),
                    "units": draw(st.sampled_from(["GB", "TB", ""])),
                },
            }
            for _ in range(draw(st.integers(0, 3)))
        ]
        buyer = BUYER if id_ < "u4" else OTHER
        document = usage(
            id_,
            usageCharacteristic=measured,
            relatedParty=[party(SELLER, "Seller"), party(buyer, "Buyer")],
            ratedProductUsage=[{"productRef": {"id": draw(st.sampled_from(["p", "q"]))}}],
        )
        entries.append(entry(document, newest.get(id_, 0)))
        newest[id_] = number
    return entries, draw(st.integers(1, len(entries) - 1))


@settings(max_examples=60)
@given(logs())
def test_blocks_are_what_the_format_says(log: tuple[list[Entry], int]) -> None:
    """Root, references and totals of two blocks equal a naive recomputation."""
    entries, cut = log
    numbered = dict(enumerate(entries, start=1))
    first = seal(entries[:cut])
    second = seal(entries[cut:], first.made.tip, numbered)
    assert second.made.block.previous == hashlib.sha256(first.made.data).digest()
    for sealed, start in ((first, 1), (second, cut + 1)):
        block = sealed.made.block
        assert (block.first, block.count) == (start, len(sealed.entries))
        leaves = [naive_leaf(SECRET, i, one) for i, one in enumerate(sealed.entries)]
        assert block.root == naive_root(leaves)
        assert block.commitment == derived("usage secret commitment", SECRET)
        expected = {}
        for key, sums in naive_totals(list(sealed.entries), start, numbered).items():
            encoded = msgspec.msgpack.encode(key)
            salt = derived("usage total salt", SECRET + encoded)
            reference = derived("usage total reference", salt + encoded)
            expected[reference] = (key[3], *sums)
        found = {
            total.reference: (total.unit, Decimal(total.amount), total.records)
            for total in block.totals
        }
        assert found == expected


def test_totals_do_not_round() -> None:
    """A tenth ten times is one; the smallest and the largest amounts meet without a loss."""
    tenths = [entry(usage(f"u{i}", **counted(0.1))) for i in range(10)]
    (total,) = seal(tenths).made.block.totals
    assert (total.amount, total.records) == ("1", 10)
    wide = [entry(usage("a", **counted(1e29))), entry(usage("b", **counted(1e-30)))]
    (total,) = seal(wide).made.block.totals
    assert total.amount == "1" + "0" * 29 + "." + "0" * 29 + "1"


def test_a_correction_is_an_adjustment() -> None:
    """The sum over both blocks is that of the newest versions; the old product loses its part."""
    old = entry(usage("u", **counted(5)))
    first = seal([old])
    new = usage("u", ratedProductUsage=[{"productRef": {"id": "urn:product:2"}}], **counted(7))
    second = seal([entry(new, supersedes=1)], first.made.tip, {1: old})
    amounts = sorted((total.amount, total.records) for total in second.made.block.totals)
    assert amounts == [("-5", 0), ("7", 1)]


def test_the_block_hides_what_it_sums_up() -> None:
    """No name of a product, buyer or metric is in the bytes; another secret changes all hashes."""
    sealed = seal([entry(usage("u"))])
    for name in ("urn:product", BUYER, "storage"):
        assert name.encode() not in sealed.made.data
    block = sealed.made.block
    assert len({block.root, block.commitment, block.totals[0].reference}) == 3
    unsalted = hashlib.sha256(b"\x00" + sealed.entries[0].body).digest()
    assert not hmac.compare_digest(block.root, unsalted)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (BlockLimits(3, 10**9, 0), 3),
        (BlockLimits(100, 1, 0), 1),
        (BlockLimits(5, 10**9, 0), 4),
        (BlockLimits(4, 10**9, 0), 4),
    ],
)
def test_a_block_ends_at_its_limits(limits: BlockLimits, expected: int) -> None:
    """The record that reaches the number or the bytes is the last."""
    entries = [entry(usage(f"u{i}")) for i in range(4)]
    assert seal(entries, limits=limits).made.block.count == expected


def test_bytes_are_counted() -> None:
    """Two records' bytes let two records in, one byte less too, one byte more three."""
    entries = [entry(usage(f"u{i}")) for i in range(4)]
    size = len(entries[0].body)
    sizes = [2 * size - 1, 2 * size, 2 * size + 1]
    counts = [seal(entries, limits=BlockLimits(9, n, 0)).made.block.count for n in sizes]
    assert counts == [2, 2, 3]


def test_totals_that_do_not_fit_split_the_block() -> None:
    """Blocks fill one event each, lose nothing, and go on where the last one ended."""
    entries = [
        entry(usage(f"u{i}", ratedProductUsage=[{"productRef": {"id": f"p{i}"}}]))
        for i in range(1_500)
    ]
    tip, blocks = Tip(SELLER), []
    while tip.last < len(entries):
        sealed = seal(entries[tip.last :], tip)
        assert len(sealed.made.data) <= EVENT_DATA_BYTES_MAX
        blocks.append(sealed.made.block)
        tip = sealed.made.tip
    assert sum(block.count for block in blocks) == len(entries)
    assert len(blocks) == 2
    assert max(block.count for block in blocks) > 750


def test_one_record_always_fits() -> None:
    """The most and longest measures, corrected by as many others, are one block of one event."""

    def document(side: str) -> dict[str, Any]:
        measures = [
            {
                "name": f"{side}{i:02}".ljust(64, "m"),
                "value": {"amount": 1.2345678901234567e-14, "units": "\U0001f600" * 64},
            }
            for i in range(USAGE_MEASURES_MAX)
        ]
        return usage("u", usageCharacteristic=measures)

    old = entry(document("a"))
    sealed = seal([entry(document("b"), supersedes=1)], Tip(SELLER, 1, bytes(32), 1), {1: old})
    assert len(sealed.made.block.totals) == 2 * USAGE_MEASURES_MAX


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (Waiting(0, 0, 0), False),
        (Waiting(9, 99, 501), False),
        (Waiting(10, 0, 1_000), True),
        (Waiting(1, 100, 1_000), True),
        (Waiting(1, 1, 500), True),
        (Waiting(1, 1, 501), False),
    ],
)
def test_a_block_is_due_by_what_comes_first(waiting: Waiting, expected: bool) -> None:
    """Count, bytes or age; nothing is never due."""
    assert is_due(waiting, BlockLimits(10, 100, 500), 1_000) is expected


def _sealed() -> Sealed:
    return seal([entry(usage("a")), entry(usage("b", **counted(2, "traffic")))])


def test_blocks_round_trip_and_bound() -> None:
    """Encoding is canonical; what is too long or no block is a DecodeError."""
    made = _sealed().made
    assert decode_block(made.data) == made.block
    assert encode_block(made.block) == made.data
    for data in (b"", made.data + b"\0", made.data[:-1], bytes(EVENT_DATA_BYTES_MAX + 1)):
        with pytest.raises(DecodeError):
            decode_block(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"number": 2},
        {"previous": bytes(32)},
        {"previous": b"x"},
        {"first": 2},
        {"count": 0},
        {"from_ms": 1_789_984_800_001},
        {"version": 2},
    ],
)
def test_a_block_that_no_log_gives_is_refused(changes: dict[str, Any]) -> None:
    """Numbers, hashes and windows that contradict each other never leave the decoder."""
    fields = msgspec.structs.asdict(_sealed().made.block) | changes
    with pytest.raises(DecodeError):
        decode_block(msgspec.msgpack.encode(list(fields.values())))


def test_totals_stand_in_order() -> None:
    """Totals twice or out of order are refused: a block has one form."""
    block = _sealed().made.block
    for totals in (block.totals[::-1], block.totals[:1] * 2):
        fields = [*msgspec.structs.asdict(block).values()]
        with pytest.raises(DecodeError):
            decode_block(msgspec.msgpack.encode([*fields[:-1], totals]))


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "usage"},
        {"content_type": "application/json"},
        {"data": b"nonsense"},
        {"publisher": OTHER},
        {"subject": "usage-log:" + OTHER},
        {"entity_hash": bytes(32)},
        {"previous_hash": bytes(32)},
    ],
)
def test_an_event_speaks_for_its_publisher_alone(changes: dict[str, Any]) -> None:
    """An event with another type, publisher, subject or hash holds no block."""
    event = event_of(_sealed().made)
    assert open_block(event) == _sealed().made.block
    with pytest.raises(ProofError):
        open_block(replace(event, **changes))


def test_the_same_input_gives_the_same_block() -> None:
    """Condensing is deterministic: what is repeated after a crash is the same."""
    entries = [entry(usage(f"u{i}")) for i in range(5)]
    assert seal(entries).made == seal(entries).made
