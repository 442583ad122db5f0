"""Reading and writing what the database knows of each entity of the ledger, and of positions."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select

from adapters.tmf.replication.core.model import NONE, Status, Told, Tracked
from adapters.tmf.replication.tables import POSITIONS, QUARANTINE, SETTINGS, TRACKED

__all__ = ["Line", "due", "lines", "move", "page", "position", "quarantine", "release", "save"]
__all__ += ["replicas", "set_setting", "setting"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Tracked).decode


class Line(NamedTuple):
    """One entity of the ledger, and its replica.

    Attributes:
        resource: lowerCamel name; it and ``id`` are empty as long as there never was a replica.
        body_hash: SHA-256 of the replica's canonical bytes; ``NONE`` when there is none.
    """

    tracked: Tracked
    resource: str = ""
    id: str = ""
    body_hash: bytes = NONE

    @property
    def key(self) -> str:
        """The entity's key."""
        return self.tracked.head.key


def position(connection: Connection, name: Literal["journal", "ledger"], start: int) -> int:
    """Give how far something was read; ``start`` when it was not begun."""
    query = select(POSITIONS.c.number).where(POSITIONS.c.name == name)
    found = connection.execute(query).scalar()
    return start if found is None else int(found)


def move(connection: Connection, name: Literal["journal", "ledger"], number: int) -> None:
    """Remember how far something was read."""
    connection.execute(delete(POSITIONS).where(POSITIONS.c.name == name))
    connection.execute(insert(POSITIONS).values(name=name, number=number))


def setting(connection: Connection, name: str) -> bytes | None:
    """Give a setting; None when it was never set."""
    query = select(SETTINGS.c.value).where(SETTINGS.c.name == name)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


def set_setting(connection: Connection, name: str, value: bytes) -> None:
    """Remember a setting."""
    connection.execute(delete(SETTINGS).where(SETTINGS.c.name == name))
    connection.execute(insert(SETTINGS).values(name=name, value=value))


def lines(connection: Connection, keys: Iterable[str]) -> dict[str, Line]:
    """Give what is known of some entities, by their keys."""
    query = select(TRACKED).where(TRACKED.c.key.in_(sorted(set(keys))))
    return {line.key: line for line in map(_line, connection.execute(query))}


def due(connection: Connection, owner: str, now_ms: int, limit: int) -> Iterator[Line]:
    """Give entities of one owner that should be fetched now, those that wait longest first."""
    query = (
        select(TRACKED)
        .where(TRACKED.c.status == Status.WANTED, TRACKED.c.owner == owner)
        .where(TRACKED.c.due_ms <= now_ms)
        .order_by(TRACKED.c.due_ms)
        .limit(limit)
    )
    yield from map(_line, connection.execute(query))


def page(connection: Connection, after: str, limit: int, **equal: object) -> list[Line]:
    """Give entities in order of their keys, from behind one; ``equal`` narrows by columns."""
    query = select(TRACKED).where(TRACKED.c.key > after).order_by(TRACKED.c.key).limit(limit)
    query = query.filter_by(**equal)
    return list(map(_line, connection.execute(query)))


def replicas(connection: Connection, resource: str) -> frozenset[str]:
    """Give the ids of all entities of a resource that were stored because the ledger told so."""
    query = select(TRACKED.c.id).where(TRACKED.c.resource == resource)
    return frozenset(connection.execute(query).scalars())


def save(connection: Connection, changed: Iterable[Line]) -> None:
    """Write what is known of some entities now."""
    rows = [_row(line) for line in changed]
    if rows:
        connection.execute(delete(TRACKED).where(TRACKED.c.key.in_([row["key"] for row in rows])))
        connection.execute(insert(TRACKED), rows)


def quarantine(connection: Connection, told: Told, because: tuple[str, str], now_ms: int) -> None:
    """Put an event into quarantine, because of (code, detail)."""
    connection.execute(delete(QUARANTINE).where(QUARANTINE.c.sequence == told.sequence))
    code, detail = because
    connection.execute(
        insert(QUARANTINE).values(
            sequence=told.sequence,
            key=told.key,
            publisher=told.publisher,
            code=code,
            detail=_plain(detail),
            location=_plain(told.location),
            time_ms=now_ms,
        )
    )


def release(connection: Connection, tracked: Tracked) -> None:
    """Drop what was in quarantine of an entity's owner: a newer state of it is known."""
    head = tracked.head
    connection.execute(
        delete(QUARANTINE).where(
            QUARANTINE.c.key == head.key,
            QUARANTINE.c.publisher == head.publisher,
            QUARANTINE.c.sequence <= head.sequence,
        )
    )


def _plain(text: str) -> str:
    """Give a text of others in a form that every database takes."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _line(row: Row[Any]) -> Line:
    return Line(_decode(row.record), row.resource, row.id, row.body_hash)


def _row(line: Line) -> dict[str, object]:
    tracked = line.tracked
    return {
        "key": line.key,
        "owner": tracked.head.publisher,
        "status": tracked.status.value,
        "due_ms": tracked.due_ms,
        "has_gap": int(tracked.has_gap),
        "resource": line.resource,
        "id": line.id,
        "body_hash": line.body_hash,
        "record": _encode(tracked),
    }
