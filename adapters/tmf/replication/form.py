"""The seam between replication and the form that events have on the ledger.

A form says how a change becomes an event, what an event says of an entity, and how its content is
fetched and checked. Everything else - order, ownership, chains, retries, quarantine, storing - is
the same for all forms and stands elsewhere in this package.

Forms may be used side by side: chains of versions are kept for each form, and of all events of an
entity's owner the newest one in the ledger counts, whatever its form.
"""

from typing import Literal, NamedTuple, Protocol

from adapters.tmf.entity import Change, JsonObject
from adapters.tmf.replication.core.model import Code, Told
from adapters.tmf.store.ports import Writing
from ledger.core.errors import ConcordatError
from ledger.core.event import Event
from pubsub.client.identity import EventContent

__all__ = ["Draft", "EventForm", "FetchFailed", "Taken"]


class Draft(NamedTuple):
    """An event that is to be signed: what ``Publisher.sign`` takes."""

    topic: str
    type: str
    content: EventContent


class Taken(NamedTuple):
    """An entity whose content was checked against what the ledger told.

    Attributes:
        resource: lowerCamel name ("productOffering").
        others: entities that came with it and that no event vouches for. They are stored only
            while nothing else is known of them.
        hash: what the form calls its content by, for the form's own records.
        original: the content as it was fetched, where the form has to give it again letter by
            letter and the document does not say all of it; empty otherwise.
    """

    resource: str
    id: str
    document: JsonObject
    others: "tuple[Taken, ...]" = ()
    hash: str = ""
    original: bytes = b""


class FetchFailed(ConcordatError):  # noqa: N818 - what happened, not a fault of ours
    """A version was not got from its origin.

    Attributes:
        result: ``withheld``: the origin says that we may not see it; ``later``: it passes by
            itself; ``faulty``: the origin is at fault, which may pass; ``refused``: it will not.
    """

    def __init__(
        self, result: Literal["withheld", "later", "faulty", "refused"], code: Code, detail: str
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.result = result
        self.code = code
        self.detail = detail


class EventForm(Protocol):
    """One form of events on the ledger."""

    @property
    def name(self) -> str:
        """``Told.form`` of its events."""
        ...

    def draft(self, txn: Writing, change: Change) -> Draft | None:
        """Make the event of an own change, in the transaction that takes it from the journal.

        All earlier changes of the entity are on the ledger by then. It is called once for each
        change: what is returned will be published, also after a crash.

        Returns:
            None when this form does not publish the change.
        """
        ...

    def published(self, txn: Writing, event: Event, sequence: int) -> None:
        """Learn that a drafted event is final, in the transaction that forgets it."""
        ...

    def read(self, event: Event, sequence: int) -> Told | None:
        """Say what an event tells of an entity; None when it is not of this form."""
        ...

    async def fetch(self, told: Told) -> bytes:
        """Get what the event is about from its origin.

        Raises:
            FetchFailed: the origin gave something else.
            Unavailable: it is out of reach for now.
        """
        ...

    def check(self, told: Told, body: bytes) -> Taken:
        """Hold what was fetched to the hash that the event gives. Pure; may run in any thread.

        Raises:
            FetchFailed: it is not the version or not the entity that was told.
        """
        ...

    def taken(self, txn: Writing, told: Told, taken: Taken | None) -> None:
        """Learn that the node holds what was told, in the transaction of that; None: its end."""
        ...
