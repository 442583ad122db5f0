"""Condensing: from waiting records to the next block.

Owns when a block is made and how many records it takes. Pure and deterministic: the same records,
secret and block before give the same bytes.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from adapters.tmf.usage.block import UsageBlock, block_hash, encode_block
from adapters.tmf.usage.leaves import Entry, leaf_hashes, secret_commitment
from adapters.tmf.usage.limits import USAGE_BLOCK_AGE_MS, USAGE_BLOCK_BYTES, USAGE_BLOCK_RECORDS
from adapters.tmf.usage.record import UsageRecord, read_body
from adapters.tmf.usage.totals import Totals
from adapters.tmf.usage.tree import Tree
from ledger.core.errors import InvariantError
from ledger.core.limits import EVENT_DATA_BYTES_MAX, HASH_BYTES
from ledger.core.merkle import EMPTY_ROOT

__all__ = ["BlockLimits", "Condensed", "Earlier", "Tip", "Waiting", "condense", "is_due"]


Earlier = Callable[[int], UsageRecord]
"""Gives a record of an earlier block by its number."""

# No total is shorter: reference, unit, amount and count with what frames them.
_TOTAL_BYTES_MIN: Final = 39
_TOTALS_MAX: Final = EVENT_DATA_BYTES_MAX // _TOTAL_BYTES_MIN


class BlockLimits(NamedTuple):
    """A block is made when one of them is reached, whichever comes first."""

    records: int = USAGE_BLOCK_RECORDS
    bytes: int = USAGE_BLOCK_BYTES
    age_ms: int = USAGE_BLOCK_AGE_MS


class Waiting(NamedTuple):
    """The records that no block holds yet.

    Attributes:
        bytes: of their canonical documents.
        since_ms: when the oldest came; 0 when there is none.
    """

    records: int
    bytes: int
    since_ms: int


class Tip(NamedTuple):
    """Where the next block continues the chain of a seller.

    Attributes:
        number: of the newest block; 0 before the first.
        hash: of that block; empty before the first.
        last: the number of its last record; 0 before the first.
    """

    seller: str
    number: int = 0
    hash: bytes = b""
    last: int = 0


class Condensed(NamedTuple):
    """A new block and its encoding."""

    block: UsageBlock
    data: bytes

    @property
    def tip(self) -> Tip:
        """Where the block after it continues."""
        block = self.block
        return Tip(block.seller, block.number, block_hash(self.data), block.last)


def is_due(waiting: Waiting, limits: BlockLimits, now_ms: int) -> bool:
    """Say whether a block is to be made now."""
    return waiting.records > 0 and (
        waiting.records >= limits.records
        or waiting.bytes >= limits.bytes
        or now_ms - waiting.since_ms >= limits.age_ms
    )


def condense(
    tip: Tip,
    entries: Iterable[Entry],
    earlier: Earlier,
    secret: bytes,
    limits: BlockLimits,
) -> Condensed:
    """Make the next block of the first entries, as many as the limits and one event allow.

    Args:
        entries: the waiting records in order, at least one; read no further than needed.
        earlier: gives the records before these that one of them corrects.
        secret: 32 random bytes, for this block alone.
    """
    assert len(secret) == HASH_BYTES
    draft = _Draft(tip.last + 1, earlier)
    size = 0
    for entry in entries:
        draft.add(entry)
        size += len(entry.body)
        is_full = size >= limits.bytes or len(draft.entries) >= limits.records
        if is_full or len(draft.totals.sums) >= _TOTALS_MAX:
            break
    assert draft.entries, "a block holds at least one record"
    while True:
        block = draft.block(tip, secret)
        data = encode_block(block)
        if len(data) <= EVENT_DATA_BYTES_MAX:
            tree = Tree(leaf_hashes(secret, draft.entries))
            block = replace(block, root=tree.root)
            return Condensed(block, encode_block(block))
        if len(draft.entries) == 1:
            raise InvariantError("the totals of one record do not fit a block")
        draft = draft.shortened(len(draft.entries) * EVENT_DATA_BYTES_MAX // len(data))


class _Draft:
    """The records of a block that may still prove too large."""

    def __init__(self, first: int, earlier: Earlier) -> None:
        self.entries: list[Entry] = []
        self.totals = Totals()
        self._records: list[UsageRecord] = []
        self._first = first
        self._earlier = earlier

    def add(self, entry: Entry) -> None:
        """Append and count one record."""
        self._append(entry, read_body(entry.body))

    def shortened(self, count: int) -> "_Draft":
        """Give a draft of fewer records: ``count``, but at least one and less than now."""
        count = min(max(1, count), len(self.entries) - 1)
        shorter = _Draft(self._first, self._earlier)
        for entry, record in zip(self.entries[:count], self._records[:count], strict=True):
            shorter._append(entry, record)
        return shorter

    def block(self, tip: Tip, secret: bytes) -> UsageBlock:
        """Give the block, still with an empty tree's root."""
        moments = [record.usage_ms for record in self._records]
        return UsageBlock(
            version=1,
            seller=tip.seller,
            number=tip.number + 1,
            previous=tip.hash,
            first=self._first,
            count=len(self.entries),
            from_ms=min(moments),
            to_ms=max(moments),
            root=EMPTY_ROOT,
            commitment=secret_commitment(secret),
            totals=self.totals.hidden(secret),
        )

    def _append(self, entry: Entry, record: UsageRecord) -> None:
        self.entries.append(entry)
        self._records.append(record)
        self.totals.add(record, self._corrected(entry.supersedes))

    def _corrected(self, number: int) -> UsageRecord | None:
        """Give the record that is corrected: of this block or of one before."""
        if not number:
            return None
        is_here = number >= self._first
        return self._records[number - self._first] if is_here else self._earlier(number)
