"""What the demonstration's marketplaces and its subscriber do, and what they note about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from concordat.demo.catalogue import Change
from ledger.core.genesis import Genesis
from ledger.core.ids import EventId
from ledger.core.ids import Sequence as LedgerSequence
from pubsub.client.answers import LedgerEvent
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher

__all__ = ["TOPIC_PREFIX", "Notes", "Published", "follow", "publish_changes"]

TOPIC_PREFIX: Final = "catalogue."


@dataclass(frozen=True, slots=True)
class Published:
    """One event that was acknowledged as final, and how long that took."""

    id: EventId
    sequence: LedgerSequence
    change: Change
    latency_ms: float


@dataclass(slots=True)
class Notes:
    """What was seen so far.

    Attributes:
        published: acknowledged events, in the order of their acknowledgement.
        received: what the subscriber was given, in its order.
        losses: how often the subscriber lost its connection.
    """

    published: list[Published] = field(default_factory=list)
    received: list[LedgerEvent] = field(default_factory=list)
    losses: int = 0


async def publish_changes(
    client: AsyncClient,
    publisher: Publisher,
    source: trio.MemoryReceiveChannel[Change],
    on_final: Callable[[Published], None],
) -> None:
    """Publish one marketplace's changes in their order, each when the one before is final."""
    async with source:
        async for change in source:
            opened = publisher.sign(
                f"{TOPIC_PREFIX}{change.marketplace}.product-offering",
                change.type,
                subject=change.subject,
                entity_hash=change.entity_hash,
                previous_hash=change.previous_hash,
                location=change.location,
                content_type="application/json",
                tags=("demo",),
            )
            begun = trio.current_time()
            receipt = await client.publish(opened, "final")
            assert receipt.sequence is not None, receipt
            latency_ms = (trio.current_time() - begun) * 1000
            on_final(Published(receipt.id, receipt.sequence, change, latency_ms))


async def follow(
    urls: Sequence[str],
    genesis: Genesis,
    notes: Notes,
    on_event: Callable[[LedgerEvent], None],
) -> None:
    """Follow all events from the first one, proving each against ``genesis``; never returns."""
    async with AsyncClient(urls, genesis) as client, client.subscribe() as subscription:
        async for event in subscription:
            notes.received.append(event)
            notes.losses = subscription.losses
            on_event(event)
