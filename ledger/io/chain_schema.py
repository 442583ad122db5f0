"""The tables of the chain store: names, keys and values.

Owns the layout of ``chain/``, so that whoever writes and whoever reads cannot
disagree. Numbers in keys are 8 bytes big-endian: the order of keys is that of numbers. Values
are canonical records, or packed where every event has one.

An index is a table with sorted duplicates: key = the indexed value, duplicates = the sequences
that have it. A value that is empty or too long for a key is indexed by its digest behind a byte
that no UTF-8 text contains, so that two values never share a key.
"""

import struct
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from ledger.core.block import Block, LedgerRoot
from ledger.core.certificate import (
    BlockIdField,
    EpochField,
    HeightField,
    IndexField,
    QuorumCertificate,
)
from ledger.core.codec import Codec, Record, UInt
from ledger.core.errors import RejectCode
from ledger.core.genesis import Genesis
from ledger.core.hashing import derived_digest
from ledger.core.ids import BatchId, BlockId, Height, Sequence
from ledger.core.limits import INDEX_KEY_BYTES_MAX
from ledger.io.environment import Environment, Table
from ledger.io.errors import lmdb_errors

__all__ = [
    "CHECKPOINT_KEY",
    "GENESIS_KEY",
    "ChainHead",
    "Evidence",
    "Location",
    "Receipt",
    "StoredHead",
    "StoredRefusal",
    "Tables",
    "blocks_codec",
    "certificates_codec",
    "evidence_codec",
    "genesis_codec",
    "heads_codec",
    "index_key",
    "number_key",
    "read_number",
    "refusals_codec",
    "tile_key",
    "unpack_location",
]

_number = struct.Struct(">Q")
_tile = struct.Struct(">BQ")
_location = struct.Struct(">32sIIQ")
_index_digest = derived_digest("index key")
_DIGESTED: Final = b"\xff"

GENESIS_KEY: Final = b"genesis"
CHECKPOINT_KEY: Final = b"checkpoint"


class ChainHead(NamedTuple):
    """Where the chain ends."""

    height: Height
    block_id: BlockId
    time_ms: int
    log_size: int


class Location(NamedTuple):
    """Where the bytes of an accepted event are, and which block took it."""

    batch_id: BatchId
    offset: int
    length: int
    height: Height


class Receipt(NamedTuple):
    """What became of an event: it has either a sequence or a code.

    Attributes:
        height: the block that decided.
        sequence: the event's place in the log when it was accepted.
        code: why the event was refused the last time; an accepted event has none, ever.
    """

    height: Height
    sequence: Sequence | None
    code: RejectCode | None


class StoredHead(Record, frozen=True):
    """The block at one height, and the ledger after it."""

    block_id: BlockIdField
    time_ms: UInt
    root: LedgerRoot


class StoredRefusal(Record, frozen=True):
    """Why and where an event was refused."""

    code: RejectCode
    height: HeightField


class Evidence(Record, frozen=True):
    """Two contradictory signed statements of one validator, for people to judge.

    ``offender`` is its index in the validator set of ``epoch``.
    """

    offender: IndexField
    kind: Annotated[str, Meta(max_length=64)]
    first: bytes
    second: bytes
    epoch: EpochField


heads_codec = Codec(StoredHead)
refusals_codec = Codec(StoredRefusal)
evidence_codec = Codec(Evidence)
genesis_codec = Codec(Genesis)
blocks_codec = Codec(Block)
certificates_codec = Codec(QuorumCertificate)


class Tables:
    """The open tables of one chain environment.

    Attributes:
        heads: height -> StoredHead, genesis included; blocks: height -> Block.
        heights: block id -> height.
        certificates: height -> the certificate that commits exactly that block.
        batches: batch id -> encoded batch; ordered: batch id -> height of the first block that
            names it; unordered: id of each stored batch that no block names -> the epoch in which
            it was stored.
        epochs: number -> EpochStart.
        log: sequence -> Location; events: event id -> sequence.
        refused: event id -> StoredRefusal.
        topics, subjects, publishers, types: the indexes.
        tiles: level, index -> hashes; nodes: hash -> node of the state map.
        flat: key of the state -> its newest value, in the order of the keys.
        evidence: digest -> Evidence.
    """

    def __init__(self, environment: Environment, *, create: bool) -> None:
        """Open every table, or make them.

        Raises:
            StorageError: a table is missing.
        """

        def table(name: str) -> Table:
            return environment.lmdb.open_db(name.encode(), create=create)

        def index(name: str) -> Table:
            return environment.lmdb.open_db(
                name.encode(), create=create, dupsort=True, dupfixed=True
            )

        with lmdb_errors(environment.path, "open the tables"):
            self.meta = environment.meta
            self.heads = table("heads")
            self.blocks = table("blocks")
            self.heights = table("heights")
            self.certificates = table("certificates")
            self.batches = table("batches")
            self.ordered = table("ordered")
            self.unordered = table("unordered")
            self.epochs = table("epochs")
            self.log = table("log")
            self.events = table("events")
            self.refused = table("refused")
            self.tiles = table("tiles")
            self.nodes = table("nodes")
            self.flat = table("flat")
            self.evidence = table("evidence")
            self.topics = index("topics")
            self.subjects = index("subjects")
            self.publishers = index("publishers")
            self.types = index("types")


number_key: Callable[[int], bytes] = _number.pack
"""Pack a height or a sequence as a key."""

tile_key: Callable[[int, int], bytes] = _tile.pack
"""Pack the level and the index of a tile as a key."""


def read_number(data: memoryview) -> int:
    """Unpack a number. Raises struct.error when it is none."""
    return int(_number.unpack(data)[0])


def unpack_location(data: memoryview) -> Location:
    """Unpack a location. Raises struct.error when it is none."""
    batch_id, offset, length, height = _location.unpack(data)
    return Location(BatchId(batch_id), offset, length, Height(height))


def index_key(value: str) -> bytes:
    """Give the key under which ``value`` is indexed."""
    key = value.encode()
    if 0 < len(key) <= INDEX_KEY_BYTES_MAX:
        return key
    return _DIGESTED + _index_digest(key)
