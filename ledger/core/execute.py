"""Applying a block: which of its events the log takes, and the ledger that results.

Owns the step from one ledger to the next. It reads the ledger through ``LedgerView`` and writes
nothing: the result holds everything that a store must add, in one transaction.

Invariants, on which agreement rests:
- The same ledger and the same block give the same result on every node and every version.
- Any block gives a result: what cannot be accepted is refused with a code, never an error. Only
  a broken store (bytes of a named batch missing, a tile too short) raises ``InvariantError``.
- An event id is accepted once in the whole log. Sequences have no gaps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import msgspec

from ledger.core import statemap
from ledger.core.admission import Circumstances, judge
from ledger.core.block import Block, LedgerRoot
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.event import id_of_key
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId, BlockId, EventId, EventKey, Height
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.merkle import EMPTY_ROOT, append, root, scanned_leaf_hashes, with_tiles
from ledger.core.scanning import Scan, code, join_scans, scan_batches
from ledger.core.state import StateView, genesis_changes, genesis_state
from ledger.core.topic_application import refuse_mismatches, rule_changes
from ledger.core.trust.application import carry_out_operations
from ledger.core.trust.membership import end_of_epoch, pending_set_hash
from ledger.core.validators import Validator

__all__ = [
    "Accepted",
    "AcceptedEvents",
    "BlockResult",
    "LedgerView",
    "Refused",
    "execute_block",
    "genesis_result",
]


_NO_SCANS: Final[Mapping[BatchId, Scan]] = MappingProxyType({})


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

    def known_events(self, keys: Sequence[EventKey]) -> AbstractSet[EventKey]:
        """Give those of the events that the log holds."""
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

    sequence: SequenceNumber
    id: EventId
    entry: bytes
    batch_id: BatchId
    offset: int

    @property
    def length(self) -> int:
        """Number of bytes of the entry."""
        return len(self.entry)


class AcceptedEvents:
    """The events that the log took from one block, in order of sequence: columns, not objects.

    Attributes:
        first: sequence number of the first of them.
        batch_ids: the block's batches.
        scan: of those batches; its open entries are the events.
    """

    __slots__ = ("batch_ids", "first", "scan")

    def __init__(self, first: SequenceNumber, batch_ids: Sequence[BatchId], scan: Scan) -> None:
        self.first = first
        self.batch_ids = batch_ids
        self.scan = scan

    def __len__(self) -> int:
        return self.scan.open_count()

    @property
    def entries(self) -> list[bytes]:
        """Their bytes, copied."""
        return self.scan.entries()

    def __iter__(self) -> Iterator[Accepted]:
        rows = zip(self.scan.ids(), self.entries, self.scan.places(), strict=True)
        for sequence, (id_, entry, (batch, offset)) in enumerate(rows, self.first):
            yield Accepted(
                SequenceNumber(sequence), EventId(id_), entry, self.batch_ids[batch], offset
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AcceptedEvents) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # as a list has none


class Refused(NamedTuple):
    """An entry that the log did not take; ``key`` is None when it is no entry at all."""

    key: EventKey | None
    code: RejectCode

    @property
    def id(self) -> EventId | None:
        """The event's id, or None."""
        return None if self.key is None else id_of_key(self.key)


class BlockResult(msgspec.Struct, frozen=True):
    """What one block did to the ledger.

    Attributes:
        block: the block, or None for genesis.
        time_ms: the block's time.
        root: the ledger after it.
        accepted: in order of sequence; refused: in order of the payload.
        tiles: (level, index) -> new whole content of each tile that changed.
        nodes: hash -> encoding of each new node of the state map.
        changes: key -> new value of each key of the state that changed.
        pending: digest of the validator set that waits for its epoch after this block, or None.
        validators: the set that begins with this block, when it ends an epoch.
    """

    height: Height
    block_id: BlockId
    block: Block | None
    time_ms: int
    root: LedgerRoot
    accepted: AcceptedEvents
    refused: list[Refused]
    tiles: dict[tuple[int, int], bytes]
    nodes: dict[bytes, bytes]
    changes: Mapping[bytes, bytes]
    pending: bytes | None = None
    validators: tuple[Validator, ...] | None = None


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
        accepted=AcceptedEvents(SequenceNumber(0), (), scan_batches(())),
        refused=[],
        tiles={},
        nodes=nodes,
        changes=genesis_changes(genesis),
    )


def execute_block(
    view: LedgerView,
    block_id: BlockId,
    block: Block,
    signatures_checked: Callable[[BatchId], bool],
    scans: Mapping[BatchId, Scan] = _NO_SCANS,
) -> BlockResult:
    """Apply the block that follows ``view``.

    Args:
        signatures_checked: says for which batches this node has found ``examine_batch`` true.
            It saves work and decides nothing: the result is the same when it is never true.
        scans: of some valid batches, each by itself (``scan_valid_batch``), as they were read
            before. They save reading again and decide nothing either.

    Raises:
        InvariantError: the block does not follow, the store lacks bytes that it names, or it ends
            the epoch with another set than the state holds.
    """
    before = view.root
    if block.height != before.height + 1:
        raise InvariantError(f"block {block.height} does not follow block {before.height}")
    scan = join_scans([_scan_of(view, batch_id, scans) for batch_id in block.payload])
    judge(
        scan,
        Circumstances(view.chain_id, view.state, block.time_ms),
        view.known_events,
        trusted=bytes(map(signatures_checked, block.payload)),
    )
    changes = carry_out_operations(scan, view.state, block.time_ms)
    validators = None
    if block.next_set_hash is not None:
        validators, change = end_of_epoch(view.state, block.next_set_hash)
        changes |= change
    changes |= refuse_mismatches(scan, view.state, before.log_size)
    accepted = AcceptedEvents(SequenceNumber(before.log_size), block.payload, scan)
    leaves = scanned_leaf_hashes(scan)
    tiles = append(view.read_tile, before.log_size, leaves)
    changes |= rule_changes(scan, view.state, before.log_size, leaves, changes)
    state_root = before.state_root
    nodes: dict[bytes, bytes] = {}
    if changes:
        state_root, nodes = statemap.update(view.read_node, state_root, changes)
    after = before.after_nothing()
    if accepted:
        log_size = before.log_size + len(accepted)
        log_root = root(with_tiles(view.read_tile, tiles), log_size)
        after = msgspec.structs.replace(after, log_size=log_size, log_root=log_root)
    set_hash = before.set_hash if block.next_set_hash is None else block.next_set_hash
    after = msgspec.structs.replace(after, state_root=state_root, set_hash=set_hash)
    return BlockResult(
        height=block.height,
        block_id=block_id,
        block=block,
        time_ms=block.time_ms,
        root=after,
        accepted=accepted,
        refused=_refusals(scan),
        tiles=tiles,
        nodes=nodes,
        changes=changes,
        pending=pending_set_hash(view.state, changes),
        validators=validators,
    )


def _scan_of(view: LedgerView, batch_id: BatchId, scans: Mapping[BatchId, Scan]) -> Scan:
    """Scan a batch, once. What is no batch is empty for everybody: its id is their digest."""
    scan = scans.get(batch_id)
    if scan is not None:
        return scan
    encoded = view.read_batch(batch_id)
    if encoded is None:
        raise InvariantError(f"batch {batch_id.hex()} of a final block is not in the store")
    return scan_batches((encoded,))


def _refusals(scan: Scan) -> list[Refused]:
    rows = ((key, code(number)) for key, number in scan.refused())
    return [
        Refused(None if key is None else EventKey(key), reason)
        for key, reason in rows
        if reason is not None
    ]
