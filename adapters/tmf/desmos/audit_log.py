"""The table of audit records: appended in the transaction of what they record, never changed."""

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Row,
    Select,
    Table,
    Text,
    insert,
    select,
)

from adapters.tmf.desmos.audit import AuditRecord, AuditStatus, Trader, chained
from adapters.tmf.resources.moments import spell_time
from adapters.tmf.store.schema import METADATA

__all__ = [
    "AuditLog",
    "AuditedVersion",
    "EntityName",
    "last_record",
    "page_of_records",
    "record_of_link",
]

_TABLE: Final = Table(
    "tmf_desmos_audit",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text, nullable=False) for name in AuditRecord.__struct_fields__),
    Index("tmf_desmos_audit_entity", "entity_id", "number"),
)
_FIELDS: Final = [_TABLE.c[name] for name in AuditRecord.__struct_fields__]


class EntityName(NamedTuple):
    """Which entity: ids are unique within a type alone."""

    id: str
    type: str


class AuditedVersion(NamedTuple):
    """What is to be recorded of one version of one entity; see ``AuditRecord``."""

    entity_id: str
    entity_type: str
    entity_hash: str
    entity_hashlink: str
    data_location: str
    trader: Trader


class AuditLog:
    """Writes records."""

    def __init__(self, now_ms: Callable[[], int], new_id: Callable[[], str]) -> None:
        """Date records by ``now_ms``, Unix time, and name them by ``new_id``, UUIDs."""
        self._now_ms = now_ms
        self._new_id = new_id

    def append(
        self,
        connection: Connection,
        version: AuditedVersion,
        statuses: Collection[AuditStatus],
        process_id: str | None = None,
    ) -> None:
        """Append one record for each status, in one process: a new one, or ``process_id``."""
        process = self._new_id() if process_id is None else process_id
        newest = select(_TABLE.c.number, _TABLE.c.hashlink).order_by(_TABLE.c.number.desc())
        row = connection.execute(newest.limit(1)).one_or_none()
        number, hashlink = (0, None) if row is None else (row.number, row.hashlink)
        created_at = spell_time(self._now_ms())
        for status in statuses:
            bare = AuditRecord(
                id=self._new_id(),
                process_id=process,
                created_at=created_at,
                status=status,
                **version._asdict(),
            )
            record = chained(bare, hashlink)
            number, hashlink = number + 1, record.hashlink
            values = {"number": number, **msgspec.structs.asdict(record)}
            connection.execute(insert(_TABLE).values(values))


def last_record(
    connection: Connection, name: EntityName, trader: Trader, statuses: Collection[AuditStatus]
) -> AuditRecord | None:
    """Give the newest record of an entity with one of the statuses."""
    rows = _newest(name, _TABLE.c.trader == trader, _TABLE.c.status.in_(list(statuses)))
    return _first(connection, rows)


def record_of_link(connection: Connection, name: EntityName, link: str) -> AuditRecord | None:
    """Give the newest record of a version that this node made an event of, by its hashlink."""
    is_made = _TABLE.c.status == AuditStatus.CREATED
    rows = _newest(name, _TABLE.c.entity_hashlink == link, is_made)
    return _first(connection, rows)


def page_of_records(
    connection: Connection, after: int, limit: int
) -> list[tuple[int, AuditRecord]]:
    """Give records with numbers above ``after``, in order; numbers begin with 1 and have no gap."""
    rows = (
        select(_TABLE.c.number, *_FIELDS)
        .where(_TABLE.c.number > after)
        .order_by(_TABLE.c.number)
        .limit(limit)
    )
    return [(row.number, _record(row)) for row in connection.execute(rows)]


def _newest(name: EntityName, *conditions: ColumnElement[bool]) -> Select[Any]:
    at = (_TABLE.c.entity_id == name.id, _TABLE.c.entity_type == name.type)
    return select(*_FIELDS).where(*at, *conditions).order_by(_TABLE.c.number.desc()).limit(1)


def _first(connection: Connection, rows: Select[Any]) -> AuditRecord | None:
    row = connection.execute(rows).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> AuditRecord:
    values = {name: getattr(row, name) for name in AuditRecord.__struct_fields__}
    return msgspec.convert(values, AuditRecord)
