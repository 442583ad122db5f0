"""The tables of the chain store: names, keys and values.

Owns the layout of ``chain/``, so that whoever writes and whoever reads cannot
disagree. Numbers in keys are 8 bytes big-endian: the order of keys is that of numbers. Values
are canonical records, or packed where every event has one.

A row costs the writer a search and a page, so one holds many events where it can. A row of the log
has the places of neighbouring entries of one batch. A row of the table of events has events of
neighbouring times and ids: the others' keys and sequences, then the sequence of the last, whose
time and id are the key. A row of an index of topics, publishers or types is a duplicate under the
value: the sequences of a block's events that have it. Each is found by the last that it holds. A
value that is empty or too long for a key is indexed by its digest behind a byte that no UTF-8 text
contains, so that two values never share a key. Ids and subjects, nearly all of them different, are
in the hash index (``ledger.io.hash_index``).

Ids stand once more, behind their events' times: events of one block are of nearly one time, so
that whoever knows it, as the check for duplicates does, looks and writes where others just did.
"""

import struct
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple, Self

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
from ledger.io.batch_files import BatchFiles
from ledger.io.environment import Environment, Table
from ledger.io.errors import lmdb_errors

__all__ = [
    "BATCH_END_KEY",
    "CHECKPOINT_KEY",
    "EVENT_ROW_EVENTS_MAX",
    "FIRST_HELD_KEY",
    "GENESIS_KEY",
    "LOG_ROW_PLACES_MAX",
    "POSTING_NUMBERS_MAX",
    "ChainHead",
    "Evidence",
    "Location",
    "LogRow",
    "Receipt",
    "StoredHead",
    "StoredRefusal",
    "Tables",
    "blocks_codec",
    "certificates_codec",
    "event_numbers",
    "evidence_codec",
    "genesis_codec",
    "heads_codec",
    "index_key",
    "number_key",
    "posting_count",
    "posting_numbers",
    "read_number",
    "refusals_codec",
    "tile_key",
]

_number = struct.Struct(">Q")
_tile = struct.Struct(">BQ")
_log_row = struct.Struct(">Q32s")
_place = struct.Struct(">IH")
_event = struct.Struct(">40xQ")  # behind its key
_BACK_BYTES: Final = 2
_index_digest = derived_digest("index key")
_DIGESTED: Final = b"\xff"

LOG_ROW_PLACES_MAX: Final = 650
"""Entries in one row of the log: they fit one page."""
EVENT_ROW_EVENTS_MAX: Final = 85
"""Events in one row of the table of events: they fit one page."""
POSTING_NUMBERS_MAX: Final = 250
"""Events in one row of an index: a duplicate of LMDB has at most 511 bytes."""
BATCH_END_KEY: Final = b"batch end"
"""Where the next large batch goes; absent before the first one, see ``ledger.io.batch_files``."""
GENESIS_KEY: Final = b"genesis"
CHECKPOINT_KEY: Final = b"checkpoint"
FIRST_HELD_KEY: Final = b"first held"
"""Absent in a store that never forgot anything, see ``ledger.io.chain_pruning``."""


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


class LogRow(NamedTuple):
    """A row of the log: where consecutive entries of one batch are.

    Attributes:
        first, last: their sequences.
        places: offset and length of each, packed.
    """

    first: Sequence
    last: Sequence
    height: Height
    batch_id: BatchId
    places: bytes

    @classmethod
    def read(cls, key: memoryview, value: memoryview) -> Self:
        """Unpack a row. Raises struct.error when it is none."""
        last, (height, batch_id) = read_number(key), _log_row.unpack_from(value)
        places = bytes(value[_log_row.size :])
        count, rest = divmod(len(places), _place.size)
        if rest or not 0 < count <= last + 1:
            msg = "places are cut"
            raise struct.error(msg)
        return cls(
            Sequence(last - count + 1), Sequence(last), Height(height), BatchId(batch_id), places
        )

    def location(self, sequence: Sequence) -> Location:
        """Give where one of the entries is."""
        offset, length = _place.unpack_from(self.places, (sequence - self.first) * _place.size)
        return Location(self.batch_id, offset, length, self.height)


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
        batches: batch id -> encoded batch, or its place in ``batch_files``.
        ordered: batch id -> height of the first block that names it; unordered: id of each stored
            batch that no block names -> the epoch in which it was stored.
        epochs: number -> EpochStart.
        log: last sequence -> LogRow; events: last event key (time, id) -> events.
        refused: event id -> StoredRefusal.
        topics, publishers, types: the indexes; topic_counts: topic -> how many events it has.
        hashes: the hash index.
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
            return environment.lmdb.open_db(name.encode(), create=create, dupsort=True)

        with lmdb_errors(environment.path, "open the tables"):
            self.meta = environment.meta
            self.heads = table("heads")
            self.blocks = table("blocks")
            self.heights = table("heights")
            self.certificates = table("certificates")
            self.batches = table("batches")
            self.batch_files = BatchFiles(environment.path)
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
            self.topic_counts = table("topic_counts")
            self.hashes = table("hashes")
            self.publishers = index("publishers")
            self.types = index("types")


number_key: Callable[[int], bytes] = _number.pack
"""Pack a height or a sequence as a key."""

tile_key: Callable[[int, int], bytes] = _tile.pack
"""Pack the level and the index of a tile as a key."""


def read_number(data: memoryview) -> int:
    """Unpack a number. Raises struct.error when it is none."""
    return int(_number.unpack(data)[0])


def event_numbers(row: memoryview) -> list[int]:
    """Unpack the sequences of a row of the table of events. Raises struct.error when it is none."""
    others = [number for (number,) in _event.iter_unpack(row[: -_number.size])]
    return [*others, read_number(row[-_number.size :])]


def posting_count(row: bytes | memoryview) -> int:
    """Give how many sequences a row of an index holds."""
    return 1 + (len(row) - _number.size) // _BACK_BYTES


def posting_numbers(row: memoryview) -> list[int]:
    """Unpack the sequences of a row of an index, in order. Raises struct.error when it is none."""
    last, *backs = struct.unpack(f">Q{posting_count(row) - 1}H", row)
    return [*(last - back for back in backs), last]


def index_key(value: str) -> bytes:
    """Give the key under which ``value`` is indexed."""
    key = value.encode()
    if 0 < len(key) <= INDEX_KEY_BYTES_MAX:
        return key
    return _DIGESTED + _index_digest(key)
