"""The tables of the usage log, in the access node's database.

A record is kept once, in a segment of compressed records that is never changed; beside it stands
one narrow row to find it by. Numbers of records are those of the log: a block holds a range of
them, so making a block touches no record.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from adapters.tmf.store.schema import METADATA

__all__ = ["BLOCKS", "NAMES", "POSITIONS", "RECORDS", "REFUSED", "SEGMENTS"]

_NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")

SEGMENTS: Final = Table(
    "tmf_usage_segment",
    METADATA,
    Column("first", _NUMBER, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("arrived_ms", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""Records ``first`` to ``last``, compressed; ``bytes`` of their documents before that."""

RECORDS: Final = Table(
    "tmf_usage_record",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("buyer", Integer, nullable=False),
    Column("product", Integer, nullable=False),
    Column("usage_ms", BigInteger, nullable=False),
    Index("tmf_usage_record_key", "key"),
    Index("tmf_usage_record_buyer", "buyer", "number"),
    Index("tmf_usage_record_product", "product", "number"),
)
"""Where records are: ``key`` is a digest of the id, ``digest`` one of the document, 16 bytes each;
``buyer`` and ``product`` are numbers of names."""

NAMES: Final = Table(
    "tmf_usage_name",
    METADATA,
    Column("number", _NUMBER, Identity(), primary_key=True),
    Column("name", LargeBinary, nullable=False),
    UniqueConstraint("name"),
)
"""Buyers and products, as UTF-8."""

BLOCKS: Final = Table(
    "tmf_usage_block",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False, unique=True),
    Column("last", BigInteger, nullable=False, unique=True),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("sequence", BigInteger),
    Column("bundle", LargeBinary, nullable=False),
    Column("fault", Text, nullable=False),
    Index("tmf_usage_block_waiting", "sequence", "number"),
)
"""Blocks. ``entry`` is the signed event, written before it is ever sent; ``sequence`` is null until
the ledger has it for ever, and ``fault`` says why the last attempt failed."""

POSITIONS: Final = Table(
    "tmf_usage_position",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""How far the journal was taken over ("journal")."""

REFUSED: Final = Table(
    "tmf_usage_refused",
    METADATA,
    Column("change", _NUMBER, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
)
"""``usage`` entities that the log does not take, by the change in the journal, and why."""
