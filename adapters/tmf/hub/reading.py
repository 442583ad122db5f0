"""Reading the journal for registrations: a part of it at a time, for all of them or for one.

Owns how changes become what each registration is told; runs in a worker thread.
"""

from collections.abc import Mapping
from typing import NamedTuple

from adapters.tmf.hub.audience import Audience, Listener, Notification, Told
from adapters.tmf.hub.events import events_of
from adapters.tmf.hub.line import Offer, Slice
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store
from ledger.core.limits import TMF_HUB_SLICE

__all__ = ["Matched", "match", "offers_for", "slice_for"]


class Matched(NamedTuple):
    """A part of the journal, matched for the lines that were told at its start."""

    told: list[Told]
    offers: Mapping[str, list[Offer]]
    until: int


def match(store: Store, after: int, audience: Audience) -> Matched:
    """Read the next part of the journal for an audience."""
    told, until = _read(store, after)
    offers: dict[str, list[Offer]] = {}
    for each in told:
        for id_, notification in audience.tell(each).items():
            _append(offers.setdefault(id_, []), notification)
    return Matched(told, offers, until)


def slice_for(store: Store, after: int, listener: Listener) -> Slice:
    """Read the next part of the journal for one listener."""
    told, until = _read(store, after)
    return Slice(offers_for(listener, told), until)


def offers_for(listener: Listener, told: list[Told]) -> list[Offer]:
    """Give what one listener is told of some events."""
    audience = Audience([listener])
    offers: list[Offer] = []
    for each in told:
        for notification in audience.tell(each).values():
            _append(offers, notification)
    return offers


def _read(store: Store, after: int) -> tuple[list[Told], int]:
    """Give the next events, and the number of the last change that was read."""
    with store.read() as reading:
        changes = reading.changes(after, TMF_HUB_SLICE)
    told = [Told(event) for each in changes for event in events_of(each, RESOURCES[each.resource])]
    return told, changes[-1].number if changes else after


def _append(offers: list[Offer], notification: Notification) -> None:
    """Keep the events of one change together."""
    if offers and offers[-1].number == notification.number:
        offers[-1].notifications.append(notification)
    else:
        offers.append(Offer(notification.number, [notification]))
