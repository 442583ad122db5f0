"""The tables of replication, in the access node's database.

All that a restart must not forget is here; the replicas themselves are entities of the store.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from adapters.tmf.store.schema import METADATA

__all__ = ["OUTBOX", "POSITIONS", "PUBLISHED", "QUARANTINE", "SETTINGS", "TRACKED", "VERSIONS"]

POSITIONS: Final = Table(
    "tmf_replication_position",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""How far the journal was taken over ("journal") and the ledger was read ("ledger")."""

SETTINGS: Final = Table(
    "tmf_replication_setting",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""The secret that salts follow from, and the selection that entities were judged by."""

PUBLISHED: Final = Table(
    "tmf_replication_published",
    METADATA,
    Column("resource", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("tmf_replication_published_subject", "resource", "subject"),
)
"""Own entities that were published in native form, and the hash that was told last."""

VERSIONS: Final = Table(
    "tmf_replication_version",
    METADATA,
    Column("resource", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("superseded_ms", BigInteger, index=True),
)
"""What peers may fetch: the newest published version, and those before it for a while."""

OUTBOX: Final = Table(
    "tmf_replication_outbox",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("form", Text, primary_key=True),
    Column("entry", LargeBinary, nullable=False),
)
"""Signed events on their way to the ledger, by the number of the change in the journal.

They are signed once, so none is published twice."""

TRACKED: Final = Table(
    "tmf_replication_tracked",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("has_gap", BigInteger, nullable=False),
    Column("resource", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("tmf_replication_tracked_due", "status", "owner", "due_ms"),
    Index("tmf_replication_tracked_entity", "resource", "id"),
)
"""Every entity of the ledger. ``record`` is the encoded ``Tracked``; ``resource`` and ``id`` name
the replica, once there is one, and ``body_hash`` is that of its canonical bytes."""

QUARANTINE: Final = Table(
    "tmf_replication_quarantine",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False, index=True),
    Column("publisher", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
)
"""Events that were not followed, by their sequence, and why."""
