"""Numbers that the database knows about the node, for Prometheus."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Column, Table, func, select

from adapters.tmf.hub.registrations import REGISTRATIONS
from adapters.tmf.monitoring import Measure
from adapters.tmf.replication.tables import OUTBOX, QUARANTINE, TRACKED
from adapters.tmf.store.database import Store

__all__ = ["MEASURES"]


def _counted(table: Table, by: Callable[[Table], Column[str]]) -> Measure:
    """Count the rows of a table by the values of a column."""
    column = by(table)

    def measure(store: Store) -> Mapping[str, int]:
        with store.read() as reading:
            rows = reading.connection.execute(select(column, func.count()).group_by(column))
            return {str(value): int(count) for value, count in rows}

    return measure


def _journal(store: Store) -> Mapping[str, int]:
    """Give how long the journal is, and how far behind the slowest subscriber is."""
    with store.read() as reading:
        slowest = select(func.min(REGISTRATIONS.c.position)).where(REGISTRATIONS.c.state != "ended")
        newest, position = reading.last_change(), reading.connection.execute(slowest).scalar()
        return {
            "changes": newest,
            "undelivered": newest - (newest if position is None else position),
        }


MEASURES: Final[Mapping[str, tuple[str, Measure]]] = {
    "journal": ("Changes, and how many the slowest subscriber was not told yet", _journal),
    "registrations": (
        "Registrations of the hub, by state",
        _counted(REGISTRATIONS, lambda table: table.c.state),
    ),
    "outbox": (
        "Events on their way to the ledger, by form",
        _counted(OUTBOX, lambda table: table.c.form),
    ),
    "replicas": (
        "Entities that the ledger told of, by how far this node is with them",
        _counted(TRACKED, lambda table: table.c.status),
    ),
    "quarantined": (
        "Events of others that were not followed, by reason",
        _counted(QUARANTINE, lambda table: table.c.code),
    ),
}
"""By the name of the gauge: what it means, and how it is read."""
