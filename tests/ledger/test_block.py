"""Batches, blocks and ledger roots: their limits, their identities, their signatures."""

import msgspec
import pytest

from ledger.core.block import (
    Batch,
    Block,
    LedgerRoot,
    Proposal,
    batch_id,
    block_id,
    block_message,
    decode_batch,
)
from ledger.core.certificate import Ack, TimeoutCertificate, Vote
from ledger.core.codec import Codec, encode
from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.event import open_entry, signature_check
from ledger.core.execute import genesis_result
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    BLOCK_BATCHES_MAX,
    ENTRY_BYTES_MAX,
    INT_MAX,
    VALIDATORS_COUNT_MAX,
)
from ledger.core.signing import verify_many
from tests.ledger.sample_network import (
    DOMAIN,
    GENESIS,
    VALIDATORS,
    batch,
    block_after,
    certificate_of,
    entry,
)

ROOT = genesis_result(GENESIS).root
ID, BLOCK = block_after(ROOT, GENESIS.block_id, [batch([entry()])[0]])
blocks = Codec(Block)


def is_batch(entries: list[bytes], origin: int = 0, number: int = 0) -> bool:
    """Say whether these entries can be decoded as a batch."""
    data = encode((origin, number, entries))
    try:
        batch_ = decode_batch(data)
    except DecodeError:
        return False
    assert batch_ == Batch(NodeIndex(origin), number, tuple(entries))
    return True


def is_block(**changes: object) -> bool:
    """Say whether the block with these changes can be decoded."""
    data = encode(msgspec.structs.replace(BLOCK, **changes))
    try:
        assert encode(blocks.decode(data)) == data
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("count", [0, 1, BATCH_ENTRIES_MAX - 1, BATCH_ENTRIES_MAX])
def test_batch_holds_entries_up_to_its_limit(count: int) -> None:
    """A batch has 1 to BATCH_ENTRIES_MAX entries."""
    assert is_batch([b"e"] * count) == (count > 0)
    assert not is_batch([b"e"] * (BATCH_ENTRIES_MAX + 1))


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_batch_bytes(extra: int) -> None:
    """Several entries have at most BATCH_BYTES_MAX bytes together."""
    pieces = [bytes(60_000)] * (BATCH_BYTES_MAX // 60_000)
    rest = BATCH_BYTES_MAX - sum(map(len, pieces)) + extra
    assert is_batch([*pieces, bytes(rest)]) == (extra <= 0)


@pytest.mark.parametrize("length", [0, 1, ENTRY_BYTES_MAX - 1, ENTRY_BYTES_MAX])
def test_entry_length(length: int) -> None:
    """An entry of a batch has 1 to ENTRY_BYTES_MAX bytes."""
    assert is_batch([bytes(length)]) == (length > 0)
    assert not is_batch([bytes(ENTRY_BYTES_MAX + 1)])


@pytest.mark.parametrize(
    ("origin", "number", "is_valid"),
    [
        (VALIDATORS_COUNT_MAX - 1, 0, True),
        (VALIDATORS_COUNT_MAX, 0, False),
        (-1, 0, False),
        (0, INT_MAX, True),
        (0, INT_MAX + 1, False),
    ],
)
def test_batch_numbers(origin: int, number: int, is_valid: bool) -> None:
    """Origin and number of a batch are in their ranges."""
    assert is_batch([b"e"], origin, number) == is_valid


def test_batch_id_covers_all_of_it() -> None:
    """Batches differ in their id when their origin, number, entries or order differ."""
    ids = {
        batch([entry(1), entry(2)])[0],
        batch([entry(2), entry(1)])[0],
        batch([entry(1)])[0],
        batch([entry(1), entry(2)], number=1)[0],
        batch([entry(1), entry(2)], origin=1)[0],
    }
    assert len(ids) == 5


@pytest.mark.parametrize("count", [0, BLOCK_BATCHES_MAX - 1, BLOCK_BATCHES_MAX])
def test_block_payload(count: int) -> None:
    """A block names up to BLOCK_BATCHES_MAX batches."""
    payload = tuple(BatchId(bytes([i]) * 32) for i in range(BLOCK_BATCHES_MAX + 1))
    assert is_block(payload=payload[:count])
    assert not is_block(payload=payload)


@pytest.mark.parametrize("field", ["epoch", "round", "height", "executed_height", "time_ms"])
def test_block_numbers(field: str) -> None:
    """Numbers of a block are 0 to INT_MAX."""
    assert is_block(**{field: 0})
    assert is_block(**{field: INT_MAX})
    assert not is_block(**{field: INT_MAX + 1})
    assert not is_block(**{field: -1})


@pytest.mark.parametrize("field", ["parent_id", "ledger_root", "next_set_hash"])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_block_digests(field: str, length: int) -> None:
    """Digests of a block have 32 bytes."""
    assert is_block(**{field: bytes(32)})
    assert not is_block(**{field: bytes(length)})


TC = TimeoutCertificate(Epoch(0), Round(1), (), certificate_of(ID, Height(1)))


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": Epoch(1)},
        {"round": Round(2)},
        {"height": Height(2)},
        {"parent_id": BlockId(bytes(32))},
        {"executed_height": Height(1)},
        {"ledger_root": bytes(32)},
        {"next_set_hash": bytes(32)},
        {"qc": certificate_of(ID, Height(1))},
        {"tc": TC},
        {"payload": ()},
        {"time_ms": 0},
        {"author": NodeIndex(0)},
    ],
)
def test_every_field_is_in_the_block_id(change: dict[str, object]) -> None:
    """A change of any field, certificates included, makes another block."""
    assert set(BLOCK.__struct_fields__) >= set(change)
    assert block_id(msgspec.structs.replace(BLOCK, **change)) != ID


@pytest.mark.parametrize("field", LedgerRoot.__struct_fields__)
def test_every_field_is_in_the_root_digest(field: str) -> None:
    """A change of any part of the ledger changes the digest in the header."""
    value = getattr(ROOT, field)
    changed = value + 1 if isinstance(value, int) else bytes(32)
    changed = bytes([1]) * 32 if changed == value else changed
    assert msgspec.structs.replace(ROOT, **{field: changed}).digest != ROOT.digest


def proposal(author: int, signer: int) -> Proposal:
    """Give a proposal that claims an author and was signed by another or the same."""
    block = msgspec.structs.replace(BLOCK, author=NodeIndex(author))
    signature = VALIDATORS[signer].sign(block_message(block_id(block)))
    return Proposal(block, signature, (), ())


def test_author_signs_the_block() -> None:
    """The signature of the author verifies, that of anybody else does not."""
    assert verify_many([proposal(1, 1).check(DOMAIN)]) == [True]
    assert verify_many([proposal(1, 2).check(DOMAIN)]) == [False]


def test_foreign_author_is_refused() -> None:
    """A block of no validator of the set is a peer's fault."""
    with pytest.raises(PeerFault) as caught:
        proposal(4, 0).check(DOMAIN)
    assert caught.value.offence is Offence.BAD_BLOCK


def test_block_of_another_epoch_is_refused() -> None:
    """A block that names another epoch is refused."""
    other = msgspec.structs.replace(BLOCK, epoch=Epoch(1))
    with pytest.raises(PeerFault, match="epoch 1"):
        Proposal(other, bytes(64), (), ()).check(DOMAIN)


def test_kinds_of_content_never_share_a_digest() -> None:
    """The same bytes have another digest as a batch than as a block, root or genesis."""
    data = encode(BLOCK)
    assert bytes(batch_id(data)) != bytes(ID)
    assert GENESIS.block_id != GENESIS.hash


def test_no_signature_of_a_block_serves_elsewhere() -> None:
    """The messages of blocks, votes, acknowledgements and events differ for one digest."""
    messages = [
        block_message(ID),
        Vote.make(DOMAIN, Round(1), ID, None, VALIDATORS[0]).check(DOMAIN)[1],
        Ack.make(DOMAIN, BatchId(ID), VALIDATORS[0]).check(DOMAIN)[1],
        signature_check(open_entry(entry()))[1],
    ]
    kinds = [message.removeprefix(b"concordat/v1/").split(b"\0")[0] for message in messages]
    assert kinds == [b"block", b"vote", b"ack", b"event"]


def test_version_1_is_pinned() -> None:
    """A known batch, block and root have the bytes and ids that version 1 fixed."""
    sample = encode(Batch(NodeIndex(2), 300, (b"one", b"two")))
    assert sample == b"\x93\x02\xcd\x01\x2c\x92\xc4\x03one\xc4\x03two"
    assert len(encode(BLOCK)) == 159
    assert [bytes(digest).hex() for digest in (batch_id(sample), ID, ROOT.digest)] == [
        "b5a7a055b4f38740f3ef5765f2a06ee63a9eeee4f1dcaaff52ddf1fa7bfbc609",
        "9cee94d446c6c31c998d7a00ef9b66788b52113a9dec73d579cac064618636b1",
        "b72abd3a574386f0444d9f73d5f4c13ea83b26843cbd40e852c52f8e1906d636",
    ]
