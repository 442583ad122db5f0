"""What the other packages may ask of the database.

``Store`` (``database.py``) opens it: ``Store.open(url)`` with ``sqlite:///path`` or
``postgresql://...``; ``store.read()`` and ``store.write()`` are context managers for one snapshot
and for one transaction, the only writer at its time. Both are synchronous: a shell calls them in a
worker thread (``await store.in_thread(work)``, which gives ``work`` the store).

A package that keeps more than entities (hub registrations, positions, usage blocks) defines its
tables on ``adapters.tmf.store.schema.METADATA`` in a module of its own, uses SQLAlchemy Core on
``transaction.connection``, and so shares the transaction.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from adapters.tmf.entity import Change, Entity, What
from adapters.tmf.query.model import Condition, Query

__all__ = ["Page", "Reading", "Writing"]


class Page(NamedTuple):
    """What a query found.

    Attributes:
        total: how many match, without offset and limit.
    """

    entities: list[Entity]
    total: int


class Reading(Protocol):
    """One snapshot."""

    @property
    def connection(self) -> Connection:
        """The transaction, for tables of other packages."""
        ...

    def get(self, resource: str, id_: str) -> Entity | None:
        """Give one entity."""
        ...

    def find(self, resource: str, query: Query, visible: tuple[Condition, ...] = ()) -> Page:
        """Answer a query; only entities that meet all of ``visible`` exist for it."""
        ...

    def every(self, resource: str, after_id: str = "", limit: int = 1000) -> Iterator[Entity]:
        """Walk over entities in order of their ids, for anti-entropy and exports."""
        ...

    def changes(self, after: int, limit: int) -> list[Change]:
        """Give lines of the journal with numbers above ``after``, in order."""
        ...

    def last_change(self) -> int:
        """Give the newest number; 0 for none."""
        ...

    def history(self, resource: str, id_: str) -> list[Change]:
        """Give all changes of one entity, in order."""
        ...


class Writing(Reading, Protocol):
    """One transaction; an exception undoes all of it."""

    def put(self, entity: Entity, what: What) -> Change:
        """Store an entity (revision is set here), index its leaves, write the journal.

        ``what`` is "create", "attribute" or "state".
        """
        ...

    def remove(self, resource: str, id_: str) -> Change | None:
        """Delete an entity; None when there is none."""
        ...
