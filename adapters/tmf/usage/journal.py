"""TMF635 ``usage`` entities enter the log: created and changed ones, from the journal of changes.

Owns the position in the journal. It moves in the transaction that writes the records, so each
change is taken once. An entity that the log does not take stays an entity; why, can be read.
"""

from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from adapters.tmf.entity import OWN, Change
from adapters.tmf.store.database import Store
from adapters.tmf.usage.limits import USAGE_TRANSACTION_RECORDS
from adapters.tmf.usage.log import UsageLog
from adapters.tmf.usage.record import RecordCode, RecordRefused, UsageRecord, read_record
from adapters.tmf.usage.schema import POSITIONS, REFUSED

__all__ = ["journal_position", "take_changes", "taken_until"]

_RESOURCE: Final = "usage"
_NAME: Final = "journal"


def take_changes(store: Store, log: UsageLog) -> bool:
    """Take the next changes of the journal; False when there are none left."""
    with store.write() as txn:
        after = taken_until(txn.connection)
        changes = txn.changes(after, USAGE_TRANSACTION_RECORDS)
        if not changes:
            return False
        _take(txn.connection, log, [change for change in changes if _is_usage(change)])
        _move(txn.connection, changes[-1].number)
    return True


def journal_position(store: Store) -> int:
    """Give the number of the last change that was taken."""
    with store.read() as reading:
        return taken_until(reading.connection)


def _is_usage(change: Change) -> bool:
    return change.resource == _RESOURCE and change.origin == OWN and change.after is not None


def _take(connection: Connection, log: UsageLog, changes: list[Change]) -> None:
    records: list[UsageRecord] = []
    sources: list[Change] = []
    for change in changes:
        assert change.after is not None, "deletes are no records"
        try:
            records.append(read_record(change.after, log.seller, change.time_ms))
            sources.append(change)
        except RecordRefused as refused:
            _refuse(connection, change, refused.code, refused.detail)
    for change, outcome in zip(sources, log.append_in(connection, records), strict=True):
        if outcome.code is not None:
            _refuse(connection, change, outcome.code, outcome.detail)


def _refuse(connection: Connection, change: Change, code: RecordCode, detail: str) -> None:
    connection.execute(
        insert(REFUSED).values(
            change=change.number,
            id=change.id,
            code=str(code),
            detail=detail,
            time_ms=change.time_ms,
        )
    )


def taken_until(connection: Connection) -> int:
    """Give the number of the last change that was taken; 0 for none."""
    row = select(func.max(POSITIONS.c.number)).where(POSITIONS.c.name == _NAME)
    return connection.execute(row).scalar_one() or 0


def _move(connection: Connection, number: int) -> None:
    moved = update(POSITIONS).where(POSITIONS.c.name == _NAME).values(number=number)
    if connection.execute(moved).rowcount == 0:
        connection.execute(insert(POSITIONS).values(name=_NAME, number=number))
