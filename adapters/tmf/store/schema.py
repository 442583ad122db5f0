"""The tables of the access node's database, and the version of their form.

Owns entities, their leaves, the numbers of paths, and the journal. Other packages define their own
tables on ``METADATA`` before the store is opened.

Leaves are kept as bytes that both databases order in the same way, whatever their locale
(``keys.py``).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["CHANGES", "ENTITIES", "FORM", "LEAVES", "METADATA", "PATHS", "VERSION"]

VERSION: Final = 1

METADATA: Final = MetaData()

# SQLite numbers rows by themselves only in a column of exactly the type INTEGER.
_NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")
_NAME: Final = Text().with_variant(Text(collation="C"), "postgresql")

FORM: Final = Table(
    "tmf_form",
    METADATA,
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
)
"""One row: the version of the tables' form."""

ENTITIES: Final = Table(
    "tmf_entity",
    METADATA,
    Column("number", _NUMBER, Identity(), primary_key=True),
    Column("resource", _NAME, nullable=False),
    Column("id", _NAME, nullable=False),
    Column("origin", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("resource", "id"),
    Index("tmf_entity_order", "resource", "number"),
)
"""Entities; ``number`` is the order of their creation."""

PATHS: Final = Table(
    "tmf_path",
    METADATA,
    Column("number", _NUMBER, Identity(), primary_key=True),
    Column("resource", _NAME, nullable=False),
    Column("path", LargeBinary, nullable=False),
    UniqueConstraint("resource", "path"),
)
"""A number for every path that a leaf of a resource ever had."""

LEAVES: Final = Table(
    "tmf_leaf",
    METADATA,
    Column("entity", BigInteger, primary_key=True, autoincrement=False),
    Column("path", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
    Column("tail", LargeBinary, nullable=False),
    Column("is_number", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""The index: all leaves of all entities, as ``adapters.tmf.query.leaves`` gives them."""

# The entity stands in it, so that a filter is answered from the index alone.
Index("tmf_leaf_key", LEAVES.c.path, LEAVES.c.key, LEAVES.c.entity)
Index(
    "tmf_leaf_repeated",
    LEAVES.c.path,
    sqlite_where=LEAVES.c.position > 0,
    postgresql_where=LEAVES.c.position > 0,
)

CHANGES: Final = Table(
    "tmf_change",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("resource", _NAME, nullable=False),
    Column("id", _NAME, nullable=False),
    Column("what", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("before", LargeBinary),
    Column("after", LargeBinary),
    Column("origin", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Index("tmf_change_entity", "resource", "id", "number"),
)
"""The journal."""
