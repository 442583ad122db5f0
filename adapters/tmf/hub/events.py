"""The events of a change, as TM Forum's notifications have them.

Owns the form of an event. One change makes one event, or two when the state and other attributes
change at once: those who listen for changed attributes must not miss them.

What changed stands in ``analyticCharacteristic``, which TMF v5 gives an event: one item for each
attribute of the first level that differs, ``{"name": ..., "valueType": "change", "value":
{"previous": ..., "next": ...}}``; ``previous`` is absent when there was none, ``next`` when there
is none any more. Pure.
"""

from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from adapters.tmf.entity import Change, JsonObject
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.moments import spell_time

__all__ = ["CHANGES", "HubEvent", "events_of"]

CHANGES: Final = "analyticCharacteristic"
"""The member that tells previous and next values."""

_encode: Final = msgspec.json.Encoder().encode
_STAMPS: Final = frozenset({"lastUpdate"})
_DONE: Final = {
    "create": "was created",
    "attribute": "was changed",
    "state": "changed its state",
    "delete": "was deleted",
}


class HubEvent(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        number: of the change in the journal.
        type: "ProductOfferingCreateEvent".
        resource: whose event it is.
        document: all of it, with previous values.
        before: the entity before the change; None for a create.
        after: the entity after it; None for a delete.
    """

    number: int
    type: str
    resource: Resource
    document: JsonObject
    before: JsonObject | None
    after: JsonObject | None


def events_of(change: Change, resource: Resource) -> list[HubEvent]:
    """Give the events of a change, in the order in which they are told; none for some jobs."""
    before, after = _parsed(change.before), _parsed(change.after)
    changes = _changes(before, after) if before is not None and after is not None else []
    types = [resource.event_type(change.what)]
    if change.what == "state" and _has_more(changes, resource):
        types.insert(0, resource.event_type("attribute"))
    told = list(dict.fromkeys(type_ for type_ in types if type_))
    return [
        HubEvent(
            number=change.number,
            type=type_,
            resource=resource,
            document=_document(change, resource, type_, changes),
            before=before,
            after=after,
        )
        for type_ in told
    ]


def _document(
    change: Change, resource: Resource, type_: str, changes: list[JsonObject]
) -> JsonObject:
    is_main = type_ == resource.event_type(change.what)
    time = spell_time(change.time_ms)
    document: JsonObject = {
        # The same however often it is told, also for the second event of one change.
        "eventId": change.event_id if is_main else str(uuid5(NAMESPACE_URL, _urn(change, type_))),
        "eventTime": time,
        "eventType": type_,
        "correlationId": change.event_id,
        "domain": resource.api,
        "title": type_,
        "description": f"{resource.path} {change.id} {_DONE[change.what]}",
        "priority": "0",
        "timeOcurred": time,
        "event": {resource.path: _parsed(change.before if change.after is None else change.after)},
    }
    if changes:
        document[CHANGES] = changes
    return document


def _changes(before: JsonObject, after: JsonObject) -> list[JsonObject]:
    values = [(name, _change(before, after, name)) for name in {**before, **after}]
    return [
        {"name": name, "valueType": "change", "value": value}
        for name, value in values
        # Compared as text: to Python, true is 1.
        if _encode(value.get("previous")) != _encode(value.get("next")) or len(value) == 1
    ]


def _change(before: JsonObject, after: JsonObject, name: str) -> JsonObject:
    sides = (("previous", before), ("next", after))
    return {side: document[name] for side, document in sides if name in document}


def _has_more(changes: list[JsonObject], resource: Resource) -> bool:
    """Say whether more than the state changed, and the stamps that follow from it."""
    return any(change["name"] not in {resource.state_attribute, *_STAMPS} for change in changes)


def _urn(change: Change, type_: str) -> str:
    return f"urn:uuid:{change.event_id}#{type_}"


def _parsed(body: bytes | None) -> JsonObject | None:
    return None if body is None else msgspec.json.decode(body, type=dict[str, object])
