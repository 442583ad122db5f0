"""The usage block: what goes on the ledger of many usage records.

Owns its form (docs/adapters/usage.md) and how it stands in an event. A block says how many records
there are, when they were used, what they sum up to, and commits to each of them; it tells no
product, no party but the seller, and no record. Blocks of a seller are a chain: their numbers, the
numbers of their records and the hashes leave no room for one that is left out.
"""

from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final, Literal

from msgspec import Meta

from adapters.tmf.usage.limits import (
    USAGE_AMOUNT_DIGITS_MAX,
    USAGE_BLOCK_RECORDS_MAX,
    USAGE_NAME_CHARS_MAX,
)
from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.errors import DecodeError, ProofError
from ledger.core.event import Did, Event
from ledger.core.limits import EVENT_DATA_BYTES_MAX

__all__ = [
    "BLOCK_CONTENT_TYPE",
    "BLOCK_TYPE",
    "Total",
    "UsageBlock",
    "block_hash",
    "block_subject",
    "decode_block",
    "encode_block",
    "open_block",
]

BLOCK_TYPE: Final = "usage-block"
BLOCK_CONTENT_TYPE: Final = "application/vnd.concordat.usage-block"

# Sums of the most records of the largest amounts have a few digits more.
_AMOUNT_CHARS_MAX: Final = 2 * USAGE_AMOUNT_DIGITS_MAX + 10


class Total(Record, frozen=True):
    """The sum of one metric of one product of one buyer, in one unit.

    Attributes:
        reference: says whose and of what to those who hold its opening, and nothing to others.
        unit: as the records state it; empty when they state none.
        amount: exact decimal; below zero when corrections outweigh.
        records: how many records of the block count here; those that are only taken back do not.
    """

    reference: Hash32
    unit: Annotated[str, Meta(max_length=USAGE_NAME_CHARS_MAX)]
    amount: Annotated[str, Meta(min_length=1, max_length=_AMOUNT_CHARS_MAX)]
    records: UInt


class UsageBlock(Record, frozen=True):
    """One block.

    Attributes:
        version: format of this array, of the leaves and of the totals.
        seller: DID of the member whose records these are.
        number: from 1, without gaps.
        previous: hash of the block before; empty for the first.
        first: number of the first record, from 1: the number after the last of the block before.
        count: how many records; the others have the numbers that follow.
        from_ms, to_ms: the earliest and the latest ``usageDate``, ms since 1970 UTC. Windows of
            blocks may overlap: a record that comes late is in a later block.
        root: Merkle root (RFC 6962) of the records' leaves, in the order of their numbers.
        commitment: to the secret that all salts of the block are derived from.
        totals: by ascending reference.
    """

    version: Literal[1]
    seller: Did
    number: Annotated[int, Meta(ge=1, le=2**53)]
    previous: Annotated[bytes, Meta(max_length=32)]
    first: Annotated[int, Meta(ge=1, le=2**53)]
    count: Annotated[int, Meta(ge=1, le=USAGE_BLOCK_RECORDS_MAX)]
    from_ms: UInt
    to_ms: UInt
    root: Hash32
    commitment: Hash32
    totals: tuple[Total, ...]

    def __post_init__(self) -> None:
        """Refuse what no log of usage gives."""
        references = [total.reference for total in self.totals]
        if len(self.previous) != (0 if self.number == 1 else 32):
            raise ValueError("the first block alone has no block before it")
        if (self.number == 1) != (self.first == 1):
            raise ValueError("record 1 is in block 1")
        if self.from_ms > self.to_ms:
            raise ValueError("the window ends before it begins")
        if any(left >= right for left, right in pairwise(references)):
            raise ValueError("totals are not in the order of their references")

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.first + self.count - 1


_codec = Codec(UsageBlock)


def encode_block(block: UsageBlock) -> bytes:
    """Encode a block canonically; the inverse of :func:`decode_block`."""
    return _codec.encode(block)


def decode_block(data: bytes) -> UsageBlock:
    """Decode a block.

    Raises:
        DecodeError: not the canonical encoding of a block, or too long for an event.
    """
    if len(data) > EVENT_DATA_BYTES_MAX:
        raise DecodeError(f"a block may have {EVENT_DATA_BYTES_MAX} bytes, not {len(data)}")
    return _codec.decode(data)


def block_hash(data: bytes) -> bytes:
    """Give the hash of an encoded block, by which the next one names it."""
    return sha256(data).digest()


def block_subject(seller: str) -> str:
    """Name the chain of a seller's blocks: the subject of all their events."""
    return f"usage-log:{seller}"


def open_block(event: Event) -> UsageBlock:
    """Read the block in an event of the ledger.

    Raises:
        ProofError: the event is no usage block that its publisher may speak of.
    """
    if (event.type, event.content_type) != (BLOCK_TYPE, BLOCK_CONTENT_TYPE):
        raise ProofError("the event is no usage block")
    try:
        block = decode_block(event.data)
    except DecodeError as error:
        raise ProofError(f"the event holds no usage block: {error}") from None
    if event.publisher != block.seller or event.subject != block_subject(block.seller):
        raise ProofError(f"{event.publisher} cannot publish the usage of {block.seller}")
    if event.entity_hash != block_hash(event.data) or event.previous_hash != block.previous:
        raise ProofError("the event names other hashes than its block")
    return block
