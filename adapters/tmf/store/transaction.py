"""One snapshot, and one transaction that writes.

Owns the only statements that change entities, their leaves and the journal: all three change
together or not at all.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, text, update

from adapters.tmf.entity import Change, Entity, What
from adapters.tmf.query.leaves import leaves
from adapters.tmf.query.model import Condition, Query
from adapters.tmf.store.keys import key_of_leaf
from adapters.tmf.store.paths import KnownPaths, PathNumbers
from adapters.tmf.store.ports import Page
from adapters.tmf.store.schema import CHANGES, ENTITIES, LEAVES
from adapters.tmf.store.search import search
from ledger.core.limits import TMF_ID_CHARS_MAX, TMF_PATH_CHARS_MAX

__all__ = ["SqlReading", "SqlWriting"]

# Built once: building a statement costs more than SQLite takes to run it.
_SELECT: Final = select(ENTITIES).where(
    ENTITIES.c.resource == bindparam("of"), ENTITIES.c.id == bindparam("named")
)
_INSERT: Final = insert(ENTITIES).returning(ENTITIES.c.number)
_UPDATE: Final = update(ENTITIES).where(ENTITIES.c.number == bindparam("entity"))
_DELETE: Final = delete(ENTITIES).where(ENTITIES.c.number == bindparam("entity"))
_INDEX: Final = insert(LEAVES)
_INDEX_ARRAYS: Final = text(
    "INSERT INTO tmf_leaf (entity, path, position, key, tail, is_number) SELECT * FROM unnest("
    "CAST(:entity AS bigint[]), CAST(:path AS bigint[]), CAST(:position AS integer[]),"
    " CAST(:key AS bytea[]), CAST(:tail AS bytea[]), CAST(:is_number AS boolean[]))"
)
_UNINDEX: Final = delete(LEAVES).where(LEAVES.c.entity == bindparam("of"))
_JOURNAL: Final = insert(CHANGES)
_NEWEST: Final = select(func.max(CHANGES.c.number))


class SqlReading:
    """One snapshot.

    Attributes:
        connection: the transaction, for tables of other packages.
        paths: numbers of paths as this transaction sees them.
    """

    def __init__(self, connection: Connection, known: KnownPaths) -> None:
        self.connection = connection
        self.paths = PathNumbers(connection, known)

    def get(self, resource: str, id_: str) -> Entity | None:
        """Give one entity."""
        row = self._row(resource, id_)
        return None if row is None else _entity(row)

    def find(self, resource: str, query: Query, visible: tuple[Condition, ...] = ()) -> Page:
        """Answer a query; only entities that meet all of ``visible`` exist for it."""
        found = search(self.connection, self.paths, resource, query, visible)
        return Page([_entity(row) for row in found.rows], found.total)

    def every(self, resource: str, after_id: str = "", limit: int = 1000) -> Iterator[Entity]:
        """Walk over entities in order of their ids, at most ``limit``."""
        rows = (
            select(ENTITIES)
            .where(ENTITIES.c.resource == resource, ENTITIES.c.id > after_id)
            .order_by(ENTITIES.c.id)
            .limit(limit)
        )
        for row in self.connection.execute(rows):
            yield _entity(row)

    def changes(self, after: int, limit: int) -> list[Change]:
        """Give lines of the journal with numbers above ``after``, in order."""
        rows = select(CHANGES).where(CHANGES.c.number > after).order_by(CHANGES.c.number)
        return [_change(row) for row in self.connection.execute(rows.limit(limit))]

    def last_change(self) -> int:
        """Give the newest number; 0 for none."""
        return self.connection.execute(_NEWEST).scalar_one() or 0

    def history(self, resource: str, id_: str) -> list[Change]:
        """Give all changes of one entity, in order."""
        rows = (
            select(CHANGES)
            .where(CHANGES.c.resource == resource, CHANGES.c.id == id_)
            .order_by(CHANGES.c.number)
        )
        return [_change(row) for row in self.connection.execute(rows)]

    def _row(self, resource: str, id_: str) -> Row[Any] | None:
        if "\0" in id_:  # no entity has such an id, and PostgreSQL takes no such text
            return None
        return self.connection.execute(_SELECT, {"of": resource, "named": id_}).one_or_none()


class SqlWriting(SqlReading):
    """One transaction; an exception undoes all of it.

    Attributes:
        newest: number of the last change that this transaction wrote; 0 for none.
    """

    def __init__(
        self,
        connection: Connection,
        known: KnownPaths,
        now_ms: Callable[[], int],
        new_event_id: Callable[[], str],
    ) -> None:
        super().__init__(connection, known)
        self.newest = 0
        self._now_ms = now_ms
        self._new_event_id = new_event_id

    def put(self, entity: Entity, what: What) -> Change:
        """Store an entity (revision is set here), index its leaves, write the journal.

        Raises:
            ValueError: its id is empty, too long, or holds a null character.
        """
        if not 0 < len(entity.id) <= TMF_ID_CHARS_MAX or "\0" in entity.id:
            raise ValueError(f"an id has 1 to {TMF_ID_CHARS_MAX} characters, none of them null")
        row = self._row(entity.resource, entity.id)
        values = {
            "origin": entity.origin,
            "revision": 1 if row is None else row.revision + 1,
            "changed_ms": entity.changed_ms,
            "body": entity.body,
        }
        if row is None:
            values |= {"resource": entity.resource, "id": entity.id}
            number = self.connection.execute(_INSERT, values).scalar_one()
        else:
            number = row.number
            self.connection.execute(_UPDATE, values | {"entity": number})
            self._unindex(number)
        self._index(number, entity)
        return self._journal(
            Change(
                number=self._next(),
                resource=entity.resource,
                id=entity.id,
                what=what,
                event_id=self._new_event_id(),
                before=None if row is None else row.body,
                after=entity.body,
                origin=entity.origin,
                time_ms=entity.changed_ms,
            )
        )

    def remove(self, resource: str, id_: str) -> Change | None:
        """Delete an entity; None when there is none."""
        row = self._row(resource, id_)
        if row is None:
            return None
        self._unindex(row.number)
        self.connection.execute(_DELETE, {"entity": row.number})
        return self._journal(
            Change(
                number=self._next(),
                resource=resource,
                id=id_,
                what="delete",
                event_id=self._new_event_id(),
                before=row.body,
                after=None,
                origin=row.origin,
                time_ms=self._now_ms(),
            )
        )

    def _unindex(self, number: int) -> None:
        self.connection.execute(_UNINDEX, {"of": number})

    def _index(self, number: int, entity: Entity) -> None:
        found = [leaf for leaf in leaves(entity.document()) if len(leaf.path) <= TMF_PATH_CHARS_MAX]
        numbers = self.paths.add(entity.resource, dict.fromkeys(leaf.path for leaf in found))
        rows = []
        for leaf in found:
            key, tail = key_of_leaf(leaf)
            rows.append(
                {
                    "entity": number,
                    "path": numbers[leaf.path],
                    "position": leaf.position,
                    "key": key,
                    "tail": tail,
                    "is_number": leaf.is_number,
                }
            )
        if self.connection.dialect.name == "postgresql":  # whose driver sends a message a row
            columns = {column.name: [row[column.name] for row in rows] for column in LEAVES.c}
            self.connection.execute(_INDEX_ARRAYS, columns)
        elif rows:
            self.connection.execute(_INDEX, rows)

    def _next(self) -> int:
        """Number the next change: there is one writer, so nothing can fill a gap later."""
        return (self.newest or self.last_change()) + 1

    def _journal(self, change: Change) -> Change:
        self.connection.execute(_JOURNAL, msgspec.structs.asdict(change))
        self.newest = change.number
        return change


def _entity(row: Row[Any]) -> Entity:
    return Entity(row.resource, row.id, row.body, row.origin, row.revision, row.changed_ms)


def _change(row: Row[Any]) -> Change:
    return Change(
        row.number,
        row.resource,
        row.id,
        cast("What", row.what),
        row.event_id,
        row.before,
        row.after,
        row.origin,
        row.time_ms,
    )
