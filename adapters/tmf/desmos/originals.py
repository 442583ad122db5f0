"""Others' entities as they were sent, where the TM Forum document does not make the same again.

A document says the same as the NGSI-LD that it was read from, but not letter by letter: ``href`` is
this node's, times of a broker are left out, a number may be spelt otherwise. So its hash would be
another than the one that its owner told, and a peer that gets the entity from here would hold
something else. Owns the table of such originals: one counts as long as the document that was made
of it is what the node holds.
"""

from typing import Final, NamedTuple

from sqlalchemy import Column, Connection, LargeBinary, Table, Text, delete, insert, select

from adapters.tmf.entity import OWN, Entity, content_hash
from adapters.tmf.replication.form import Taken
from adapters.tmf.store.ports import Writing
from adapters.tmf.store.schema import METADATA

__all__ = ["Original", "keep_original", "original_of"]

_TABLE: Final = Table(
    "tmf_desmos_original",
    METADATA,
    Column("resource", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("entity_hash", Text, nullable=False),
    Column("entity", LargeBinary, nullable=False),
)
_ENTITY: Final = (_TABLE.c.entity_hash, _TABLE.c.entity)


class Original(NamedTuple):
    """An entity in NGSI-LD as it was sent, and H of it."""

    hash: str
    entity: bytes


def keep_original(txn: Writing, resource: str, id_: str, taken: Taken | None) -> None:
    """Remember how an entity was sent, in the transaction that stored it.

    Args:
        taken: None when the entity ended.
    """
    is_row = (_TABLE.c.resource == resource) & (_TABLE.c.id == id_)
    kept = txn.get(resource, id_) if taken is not None else None
    if taken is not None and (kept is None or kept.document() != taken.document):
        return  # something else is held, as what came with an entity and has an event of its own
    txn.connection.execute(delete(_TABLE).where(is_row))
    if taken is None or kept is None or not taken.original:
        return
    txn.connection.execute(
        insert(_TABLE).values(
            resource=resource,
            id=id_,
            body_hash=content_hash(kept.body),
            entity_hash=taken.hash,
            entity=taken.original,
        )
    )


def original_of(connection: Connection, entity: Entity) -> Original | None:
    """Give how an entity was sent; None when its document makes the same again."""
    if entity.origin == OWN:
        return None
    query = select(*_ENTITY).where(
        _TABLE.c.resource == entity.resource,
        _TABLE.c.id == entity.id,
        _TABLE.c.body_hash == content_hash(entity.body),
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Original(row.entity_hash, bytes(row.entity))
