"""Applying a block: which of its events the log takes, and the ledger that results.

Owns the step from one ledger to the next. It reads the ledger through ``LedgerView`` and writes
nothing: the result holds everything that a store must add, in one transaction.

Invariants, on which agreement rests:
- The same ledger and the same block give the same result on every node and every version.
- Any block gives a result: what cannot be accepted is refused with a code, never an error. Only
  a broken store (bytes of a named batch missing, a tile too short) raises ``InvariantError``.
- An event id is accepted once in the whole log. Sequences have no gaps.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from ledger.core.admission import check_entry, check_signatures, try_open
from ledger.core.block import Block, LedgerRoot, decode_batch
from ledger.core.errors import DecodeError, InvariantError, RejectCode
from ledger.core.event import Event, OpenEntry
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId, BlockId, EventId, Height, Sequence
from ledger.core.merkle import EMPTY_ROOT, append, leaf_hashes, root, with_tiles
from ledger.core.state import StateView, genesis_state

__all__ = [
    "Accepted",
    "BlockResult",
    "LedgerView",
    "Refused",
    "execute_block",
    "genesis_result",
]


class LedgerView(Protocol):
    """The ledger that a block is applied to."""

    @property
    def root(self) -> LedgerRoot:
        """The ledger after the last applied block."""
        ...

    @property
    def chain_id(self) -> str:
        """The network that events must name."""
        ...

    @property
    def state(self) -> StateView:
        """The state under ``root.state_root``."""
        ...

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of one tile of the log, ``b""`` when there is none."""
        ...

    def read_node(self, node_hash: bytes) -> bytes:
        """Give one node of the state map, ``b""`` when there is none."""
        ...

    def has_event(self, event_id: EventId) -> bool:
        """Say whether the log holds the event."""
        ...

    def read_batch(self, batch_id: BatchId) -> bytes | None:
        """Give the encoded batch, or None when the store does not hold it."""
        ...


class Accepted(NamedTuple):
    """An event that the log took, and where its bytes are.

    Attributes:
        sequence: its ledger sequence number and leaf index.
        offset: where the entry begins inside the encoded batch ``batch_id``.
    """

    sequence: Sequence
    id: EventId
    event: Event
    entry: bytes
    batch_id: BatchId
    offset: int

    @property
    def length(self) -> int:
        """Number of bytes of the entry."""
        return len(self.entry)


class Refused(NamedTuple):
    """An entry that the log did not take; ``id`` is None when it is no entry at all."""

    id: EventId | None
    code: RejectCode


class BlockResult(msgspec.Struct, frozen=True):
    """What one block did to the ledger.

    Attributes:
        block: the block, or None for genesis.
        time_ms: the block's time.
        root: the ledger after it.
        accepted: in order of sequence; refused: in order of the payload.
        tiles: (level, index) -> new whole content of each tile that changed.
        nodes: hash -> encoding of each new node of the state map.
    """

    height: Height
    block_id: BlockId
    block: Block | None
    time_ms: int
    root: LedgerRoot
    accepted: list[Accepted]
    refused: list[Refused]
    tiles: dict[tuple[int, int], bytes]
    nodes: dict[bytes, bytes]


def genesis_result(genesis: Genesis) -> BlockResult:
    """Give the ledger at height 0."""
    state_root, nodes = genesis_state(genesis)
    return BlockResult(
        height=Height(0),
        block_id=genesis.block_id,
        block=None,
        time_ms=genesis.time_ms,
        root=LedgerRoot(
            height=Height(0),
            log_size=0,
            log_root=EMPTY_ROOT,
            state_root=state_root,
            set_hash=genesis.validator_set().hash,
        ),
        accepted=[],
        refused=[],
        tiles={},
        nodes=nodes,
    )


def execute_block(
    view: LedgerView,
    block_id: BlockId,
    block: Block,
    signatures_checked: Callable[[BatchId], bool],
) -> BlockResult:
    """Apply the block that follows ``view``.

    Args:
        signatures_checked: says for which batches this node has found ``examine_batch`` true.
            It saves work and decides nothing: the result is the same when it is never true.

    Raises:
        InvariantError: the block does not follow, or the store lacks bytes that it names.
    """
    before = view.root
    if block.height != before.height + 1:
        raise InvariantError(f"block {block.height} does not follow block {before.height}")
    application = _Application(view, block.time_ms)
    for batch_id in block.payload:
        application.apply_batch(batch_id, is_checked=signatures_checked(batch_id))
    accepted = application.accepted
    tiles = append(view.read_tile, before.log_size, leaf_hashes([item.entry for item in accepted]))
    after = before.after_nothing()
    if accepted:
        log_size = before.log_size + len(accepted)
        log_root = root(with_tiles(view.read_tile, tiles), log_size)
        after = msgspec.structs.replace(after, log_size=log_size, log_root=log_root)
    return BlockResult(
        height=block.height,
        block_id=block_id,
        block=block,
        time_ms=block.time_ms,
        root=after,
        accepted=accepted,
        refused=application.refused,
        tiles=tiles,
        nodes={},
    )


class _Application:
    """One block under way."""

    __slots__ = (
        "_chain_id",
        "_sequence",
        "_state",
        "_taken",
        "_time_ms",
        "_view",
        "accepted",
        "refused",
    )

    def __init__(self, view: LedgerView, time_ms: int) -> None:
        self._view = view
        self._chain_id = view.chain_id
        self._state = view.state
        self._time_ms = time_ms
        self._sequence = view.root.log_size
        self._taken: set[EventId] = set()
        self.accepted: list[Accepted] = []
        self.refused: list[Refused] = []

    def apply_batch(self, batch_id: BatchId, *, is_checked: bool) -> None:
        """Judge a batch's entries in their order and take those that may enter."""
        encoded = self._view.read_batch(batch_id)
        if encoded is None:
            raise InvariantError(f"batch {batch_id.hex()} of a final block is not in the store")
        try:
            entries = decode_batch(encoded).entries
        except DecodeError:
            return  # Its id is the digest of these bytes: it is empty for everybody.
        opened = [try_open(entry) for entry in entries]
        judged = [self._judge(item) for item in opened]
        if not is_checked:
            judged = check_signatures(judged)
        # The entries are the last field: the first begins where all of them still fit.
        offset = len(encoded) - sum(map(_framed_bytes, entries))
        for entry, item, verdict in zip(entries, opened, judged, strict=True):
            start = offset + _framed_bytes(entry) - len(entry)
            offset = start + len(entry)
            if isinstance(verdict, OpenEntry) and verdict.id in self._taken:
                verdict = RejectCode.DUPLICATE  # noqa: PLW2901 - the last rule refuses
            if isinstance(verdict, RejectCode):
                id_ = item.id if isinstance(item, OpenEntry) else None
                self.refused.append(Refused(id_, verdict))
                continue
            self._taken.add(verdict.id)
            self.accepted.append(
                Accepted(
                    Sequence(self._sequence), verdict.id, verdict.event, entry, batch_id, start
                )
            )
            self._sequence += 1

    def _judge(self, item: OpenEntry | RejectCode) -> OpenEntry | RejectCode:
        if isinstance(item, RejectCode):
            return item
        code = check_entry(item, self._chain_id, self._state, self._time_ms)
        if code is None and self._view.has_event(item.id):
            code = RejectCode.DUPLICATE
        return item if code is None else code


def _framed_bytes(entry: bytes) -> int:
    """Give the size of an entry in canonical MessagePack: a header of 2 or 3 bytes, and itself."""
    return len(entry) + (2 if len(entry) < 2**8 else 3)
