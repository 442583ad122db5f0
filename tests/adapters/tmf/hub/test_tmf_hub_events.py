"""The events of changes: their names, their form, previous and next values, and who sees what."""

from typing import Any

import msgspec
import pytest

from adapters.tmf.caller import Caller
from adapters.tmf.entity import Change, JsonObject, What, canonical
from adapters.tmf.hub.audience import Audience, Notification, Told, compile_listener
from adapters.tmf.hub.events import HubEvent, events_of
from adapters.tmf.hub.matching import Matchers
from adapters.tmf.hub.model import Registration
from adapters.tmf.hub.query import read_query
from adapters.tmf.query.model import Comparison, Condition
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.registry import APIS, RESOURCES

OFFERING = {"id": "o", "href": "/o", "name": "A", "lifecycleStatus": "Active", "lastUpdate": "1"}
EVENT_ID = "6f1c2f0a-0000-4000-8000-000000000001"


def changed(
    what: What, before: JsonObject | None, after: JsonObject | None, resource: str
) -> list[HubEvent]:
    """Give the events of one change."""
    change = Change(
        number=7,
        resource=resource,
        id="o",
        what=what,
        event_id=EVENT_ID,
        before=None if before is None else canonical(before),
        after=None if after is None else canonical(after),
        origin="",
        time_ms=1_795_000_000_123,
    )
    return events_of(change, RESOURCES[resource])


def test_the_form_of_an_event() -> None:
    """An event has the members of TM Forum's notifications, times in milliseconds, in UTC."""
    (event,) = changed("create", None, OFFERING, "productOffering")
    assert event.document == {
        "eventId": EVENT_ID,
        "eventTime": "2026-11-18T11:06:40.123Z",
        "eventType": "ProductOfferingCreateEvent",
        "correlationId": EVENT_ID,
        "domain": "productCatalogManagement",
        "title": "ProductOfferingCreateEvent",
        "description": "productOffering o was created",
        "priority": "0",
        "timeOcurred": "2026-11-18T11:06:40.123Z",
        "event": {"productOffering": OFFERING},
    }


@pytest.mark.parametrize(
    "what, resource, names",
    [
        ("create", "productOrder", ["ProductOrderCreateEvent"]),
        ("attribute", "productOffering", ["ProductOfferingAttributeValueChangeEvent"]),
        ("state", "product", ["ProductStateChangeEvent"]),
        ("delete", "usage", ["UsageDeleteEvent"]),
        ("attribute", "serviceCatalog", ["ServiceCatalogChangeEvent"]),
        ("state", "serviceCatalog", ["ServiceCatalogChangeEvent"]),
        ("state", "usageSpecification", ["UsageSpecificationAttributeValueChangeEvent"]),
        ("state", "resourceCatalogImportJob", ["ImportJobStateChangeEvent"]),
        ("state", "catalogImportJob", []),
    ],
)
def test_names_of_events(what: What, resource: str, names: list[str]) -> None:
    """Each change has the name that its API knows; some jobs have none."""
    state = RESOURCES[resource].state_attribute
    before = None if what == "create" else {"id": "o", state: "a"}
    after = None if what == "delete" else {"id": "o", state: "b"}
    assert [event.type for event in changed(what, before, after, resource)] == names


def test_previous_and_next_values() -> None:
    """Every attribute that differs is named with both values, or the one that there is."""
    after = {**OFFERING, "name": "B", "version": "2"}
    del after["lastUpdate"]
    (event,) = changed("attribute", OFFERING, after, "productOffering")
    assert event.document["analyticCharacteristic"] == [
        {"name": "lastUpdate", "valueType": "change", "value": {"previous": "1"}},
        {"name": "name", "valueType": "change", "value": {"previous": "A", "next": "B"}},
        {"name": "version", "valueType": "change", "value": {"next": "2"}},
    ]
    assert event.document["event"] == {"productOffering": after}


def test_true_is_not_one() -> None:
    """Values of different types differ, also where Python takes them for equal."""
    before, after = (
        {**OFFERING, "a": True, "b": 1, "c": [0]},
        {**OFFERING, "a": 1, "b": 1, "c": [False]},
    )
    (event,) = changed("attribute", before, after, "productOffering")
    assert [each["name"] for each in event.document["analyticCharacteristic"]] == ["a", "c"]


def test_a_change_of_state_and_more_is_told_twice() -> None:
    """Who listens to attributes alone misses nothing; both events have an id of their own."""
    after = {**OFFERING, "name": "B", "lifecycleStatus": "Launched", "lastUpdate": "2"}
    first, second = changed("state", OFFERING, after, "productOffering")
    assert first.type == "ProductOfferingAttributeValueChangeEvent"
    assert second.type == "ProductOfferingStateChangeEvent"
    assert second.document["eventId"] == EVENT_ID != first.document["eventId"]
    assert first.document["correlationId"] == second.document["correlationId"] == EVENT_ID
    again, _ = changed("state", OFFERING, after, "productOffering")
    assert again.document["eventId"] == first.document["eventId"]


def test_a_change_of_state_alone_is_told_once() -> None:
    """The stamp of the change is no change of an attribute."""
    after = {**OFFERING, "lifecycleStatus": "Launched", "lastUpdate": "2"}
    (event,) = changed("state", OFFERING, after, "productOffering")
    assert event.type == "ProductOfferingStateChangeEvent"


def test_a_deleted_entity_is_told_as_it_was() -> None:
    """The event of a delete carries the last state."""
    (event,) = changed("delete", OFFERING, None, "productOffering")
    assert event.document["event"] == {"productOffering": OFFERING}
    assert "analyticCharacteristic" not in event.document


# --- who sees what ----------------------------------------------------------------------------


def seen_when_launched(resource: Resource, caller: Caller) -> tuple[Condition, ...]:
    """Hide all that is not launched from everybody but the operator."""
    assert resource.api == "productCatalogManagement"
    return () if caller.is_operator else (Comparison("lifecycleStatus", "eq", "Launched"),)


def told_to(
    events: list[HubEvent], query: str = "", owner: Caller | None = None
) -> list[Notification]:
    """Give what a registration is told."""
    registration = Registration("r", APIS[0].name, "http://x/", query, owner or Caller("A"), 0)
    wanted = read_query(query, APIS[0])
    listener = compile_listener(registration, wanted, APIS[0], seen_when_launched, Matchers())
    audience = Audience([listener])
    return [each for event in events for each in audience.tell(Told(event)).values()]


def body(notification: Notification) -> Any:  # noqa: ANN401 - JSON
    """Read what is posted."""
    return msgspec.json.decode(notification.body)


HIDDEN, SHOWN = OFFERING, {**OFFERING, "lifecycleStatus": "Launched"}


def test_what_stays_hidden_is_not_told() -> None:
    """Events of an entity that its owner never saw reach nobody else."""
    events = changed("create", None, HIDDEN, "productOffering")
    events += changed("attribute", HIDDEN, {**HIDDEN, "name": "B"}, "productOffering")
    events += changed("delete", HIDDEN, None, "productOffering")
    assert told_to(events) == []
    assert len(told_to(events, owner=Caller(is_operator=True))) == 3


def test_what_appears_is_told_without_its_past() -> None:
    """A caller who may not have seen what was before learns nothing of it."""
    events = changed("state", HIDDEN, SHOWN, "productOffering")
    (notification,) = told_to(events)
    assert body(notification)["event"] == {"productOffering": SHOWN}
    assert "analyticCharacteristic" not in body(notification)
    assert told_to(events, "analyticCharacteristic.value.previous=Active") == []
    (whole,) = told_to(events, owner=Caller(is_operator=True))
    assert "analyticCharacteristic" in body(whole)


def test_what_disappears_is_told_without_its_present() -> None:
    """A caller who saw an entity learns that it is gone from its sight, and no more."""
    after = {**OFFERING, "lifecycleStatus": "Retired", "name": "secret"}
    events = changed("state", SHOWN, after, "productOffering")
    first, second = told_to(events)
    for notification in (first, second):
        assert body(notification)["event"] == {"productOffering": {"id": "o", "href": "/o"}}
        assert b"secret" not in notification.body
        assert b"Retired" not in notification.body
    assert told_to(events, "event.productOffering.name=secret") == []
    assert len(told_to(events, "event.productOffering.name=A")) == 2


def test_conditions_choose_events() -> None:
    """A registration is told what its query asks for, in the shape that it asks for."""
    events = changed("create", None, SHOWN, "productOffering")
    assert told_to(events, "eventType=ProductOfferingStateChangeEvent") == []
    assert told_to(events, "event.productOffering.name=B") == []
    query = "eventType=ProductOfferingCreateEvent&event.productOffering.name=A&fields=name"
    (notification,) = told_to(events, query)
    assert notification.event == "productOfferingCreateEvent"
    assert body(notification)["event"] == {
        "productOffering": {"id": "o", "href": "/o", "name": "A"}
    }


def test_equal_conditions_are_compiled_once() -> None:
    """A thousand registrations with the same conditions share their tests."""
    matchers = Matchers()
    condition = Comparison("event.productOffering.name", "eq", "A")
    first = matchers.tests((condition,))
    assert matchers.tests((Comparison("event.productOffering.name", "eq", "A"),))[0] is first[0]
