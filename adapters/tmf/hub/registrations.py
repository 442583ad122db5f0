"""The hub's table: registrations and how far each is, beside entities and journal.

Owns the rows. Every function works within a transaction of the caller's.
"""

from collections.abc import Iterable
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    update,
)

from adapters.tmf.caller import Caller
from adapters.tmf.hub.model import Progress, Registration
from adapters.tmf.refusal import TmfError
from adapters.tmf.store.schema import METADATA
from ledger.core.limits import TMF_HUB_REGISTRATIONS_MAX

__all__ = ["REGISTRATIONS", "Held", "add", "advance", "every", "get", "remove"]
__all__ += ["slowest_position"]

REGISTRATIONS: Final = Table(
    "tmf_hub",
    METADATA,
    Column("id", Text, primary_key=True),
    # What makes two registrations the same, hashed: an index bounds the length of a row.
    Column("same", LargeBinary, nullable=False, unique=True),
    Column("api", Text, nullable=False),
    Column("callback", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("powers", Text, nullable=False),
    Column("is_operator", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("failing_since_ms", BigInteger, nullable=False),
    Column("retry_at_ms", BigInteger, nullable=False),
    Column("told_ms", BigInteger, nullable=False),
)
"""One row for each registration."""


class Held(NamedTuple):
    """A registration as the table has it."""

    registration: Registration
    progress: Progress


def add(connection: Connection, registration: Registration, position: int) -> Held:
    """Keep a registration; it is told what comes after ``position``.

    An ended registration that is the same makes room for the new one.

    Raises:
        TmfError: 409, the same one is there; 429, there are too many.
    """
    same = _same(registration)
    ended = (REGISTRATIONS.c.same == same) & (REGISTRATIONS.c.state == "ended")
    connection.execute(delete(REGISTRATIONS).where(ended))
    known = select(REGISTRATIONS.c.id).where(REGISTRATIONS.c.same == same)
    if (id_ := connection.execute(known).scalar_one_or_none()) is not None:
        message = f"callback and query: registration {id_} is the same"
        raise TmfError(HTTPStatus.CONFLICT, "already-registered", "Already registered", message)
    count = connection.execute(select(func.count()).select_from(REGISTRATIONS)).scalar_one()
    if count >= TMF_HUB_REGISTRATIONS_MAX:
        message = f"this node keeps {TMF_HUB_REGISTRATIONS_MAX} registrations; delete one first"
        status = HTTPStatus.TOO_MANY_REQUESTS
        raise TmfError(status, "too-many-registrations", "Too many registrations", message)
    held = Held(registration, Progress(position))
    connection.execute(REGISTRATIONS.insert().values(same=same, **_columns(held)))
    return held


def every(connection: Connection) -> list[Held]:
    """Give all registrations in the order in which they were made."""
    ordered = select(REGISTRATIONS).order_by(REGISTRATIONS.c.created_ms, REGISTRATIONS.c.id)
    return [_held(row) for row in connection.execute(ordered)]


def get(connection: Connection, id_: str) -> Held | None:
    """Give one registration."""
    row = connection.execute(select(REGISTRATIONS).where(REGISTRATIONS.c.id == id_)).one_or_none()
    return None if row is None else _held(row)


def remove(connection: Connection, id_: str) -> None:
    """Forget a registration."""
    connection.execute(delete(REGISTRATIONS).where(REGISTRATIONS.c.id == id_))


def advance(connection: Connection, progress: Iterable[tuple[str, Progress]]) -> None:
    """Write down how far registrations are; those that were removed stay removed."""
    rows = [{"of": id_, **msgspec.structs.asdict(each)} for id_, each in progress]
    names: dict[str, Any] = {name: bindparam(name) for name in Progress.__struct_fields__}
    changed = update(REGISTRATIONS).where(REGISTRATIONS.c.id == bindparam("of")).values(names)
    if rows:
        connection.execute(changed, rows)


def slowest_position(connection: Connection) -> int | None:
    """Give the position of the registration that is furthest behind; None when none goes on."""
    slowest = select(func.min(REGISTRATIONS.c.position)).where(REGISTRATIONS.c.state != "ended")
    position = connection.execute(slowest).scalar()
    return None if position is None else int(position)


def _columns(held: Held) -> dict[str, object]:
    registration, owner = held.registration, held.registration.owner
    return {
        "id": registration.id,
        "api": registration.api,
        "callback": registration.callback,
        "query": registration.query,
        "organisation": owner.organisation,
        "powers": msgspec.json.encode(sorted(owner.powers)).decode(),
        "is_operator": owner.is_operator,
        "created_ms": registration.created_ms,
        **msgspec.structs.asdict(held.progress),
    }


def _same(registration: Registration) -> bytes:
    """Name what one owner registers only once."""
    owner = registration.owner
    parts = [registration.api, registration.callback, registration.query, owner.organisation]
    return sha256(msgspec.json.encode([*parts, owner.is_operator])).digest()


def _held(row: Row[Any]) -> Held:
    owner = Caller(
        row.organisation,
        msgspec.json.decode(row.powers, type=frozenset[str]),
        row.is_operator,
    )
    registration = Registration(row.id, row.api, row.callback, row.query, owner, row.created_ms)
    names = Progress.__struct_fields__
    return Held(registration, Progress(**{name: getattr(row, name) for name in names}))
