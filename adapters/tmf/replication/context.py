"""What all parts of replication share: the database, the ledger, who we are, how we judge."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from adapters.tmf.entity import Change, JsonObject
from adapters.tmf.replication.core.model import Told
from adapters.tmf.replication.form import EventForm, Taken
from adapters.tmf.replication.ledger import Identity, Ledger, Members
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from pubsub.client.answers import LedgerEvent

__all__ = ["Acceptance", "Context", "Replicas"]

Acceptance = Callable[[Told, Taken], Awaitable[None]]
"""Judges a replica before it is stored. Raises TmfError: no, and an operator sees why;
Unavailable: it cannot be judged now."""


class Replicas(Protocol):
    """The part of ``adapters.tmf.entities.service.Entities`` that is used here."""

    def accept(
        self, txn: Writing, origin: str, resource: Resource, id_: str, document: JsonObject | None
    ) -> Change | None:
        """Store or remove a replica of another member's entity. Raises TmfError."""
        ...


@dataclass(frozen=True)
class Context:
    """The surroundings of replication.

    Attributes:
        forms: of events, by name.
        now_ms: Unix time in milliseconds.
        spread: a random number from 0 to 1,000, to spread retries.
    """

    store: Store
    ledger: Ledger
    members: Members
    identity: Identity
    forms: Mapping[str, EventForm]
    replicas: Replicas
    accepts: Acceptance
    now_ms: Callable[[], int]
    spread: Callable[[], int]

    def read(self, event: LedgerEvent) -> Told | None:
        """Say what an event tells of an entity; None when no form knows it."""
        told = (form.read(event.event, event.sequence) for form in self.forms.values())
        return next((item for item in told if item is not None), None)
