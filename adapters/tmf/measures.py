"""Numbers that the database knows about the node, for Prometheus."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Column, Table, func, select

from adapters.tmf.hub.registrations import REGISTRATIONS, slowest_position
from adapters.tmf.monitoring import Measure
from adapters.tmf.replication.tables import OUTBOX, QUARANTINE, TRACKED
from adapters.tmf.store.database import Store
from adapters.tmf.store.schema import CHANGES

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
    """Give the changes so far, those that are kept, and how far the slowest subscriber is."""
    with store.read() as reading:
        oldest = reading.connection.execute(select(func.min(CHANGES.c.number))).scalar()
        newest, position = reading.last_change(), slowest_position(reading.connection)
        return {
            "changes": newest,
            "kept": 0 if oldest is None else newest - oldest + 1,
            "undelivered": newest - (newest if position is None else position),
        }


MEASURES: Final[Mapping[str, tuple[str, Measure]]] = {
    "journal": (
        "Changes so far, how many are kept, and how many the slowest subscriber was not told yet",
        _journal,
    ),
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
