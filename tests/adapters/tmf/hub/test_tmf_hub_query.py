"""The grammar of a registration's query: what it means, and what is refused by name."""

import pytest

from adapters.tmf.hub.query import Wanted, project, read_query
from adapters.tmf.query.model import AnyOf, Comparison
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.registry import APIS
from ledger.core.limits import TMF_FIELDS_MAX, TMF_HUB_QUERY_CHARS_MAX

API = APIS[0]
CREATE, STATE = "ProductOfferingCreateEvent", "ProductOfferingStateChangeEvent"
PATH = "event.productOffering.lifecycleStatus"
LAUNCHED = Comparison(PATH, "eq", "Launched")


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("", Wanted()),
        (f"eventType={CREATE}", Wanted(frozenset({CREATE}))),
        ("eventType=productOfferingCreateEvent", Wanted(frozenset({CREATE}))),
        (f"eventType={CREATE};eventType={STATE}", Wanted(frozenset({CREATE, STATE}))),
        (f"eventType={CREATE},{STATE}", Wanted(frozenset({CREATE, STATE}))),
        (f"eventType={CREATE}&eventType={STATE}", Wanted(frozenset({CREATE, STATE}))),
        (
            f" eventType = {STATE} & {PATH} = Launched ",
            Wanted(frozenset({STATE}), (LAUNCHED,)),
        ),
        (
            f"eventType={STATE};{PATH}=Launched",
            Wanted(None, (AnyOf((Comparison("eventType", "eq", STATE), LAUNCHED)),)),
        ),
        (
            "event.productOffering.version.gte=2",
            Wanted(None, (Comparison("event.productOffering.version", "gte", "2"),)),
        ),
        (
            "analyticCharacteristic.value.previous=Active",
            Wanted(None, (Comparison("analyticCharacteristic.value.previous", "eq", "Active"),)),
        ),
        ("fields=name, event.productOffering.version", None),
        ("fields=none", Wanted(fields=())),
        ("delivery=listener", Wanted(delivery="listener")),
    ],
)
def test_what_queries_mean(text: str, wanted: Wanted | None) -> None:
    """Each form of a query is read as it says."""
    expected = wanted or Wanted(fields=("name", "event.productOffering.version"))
    assert read_query(text, API) == expected


@pytest.mark.parametrize(
    "text, named",
    [
        (f"eventType={CREATE};eventType={STATE}&{PATH}=Launched", "mixes '&' and ';'"),
        ("eventType=ProductOrderCreateEvent", "ProductOrderCreateEvent is none of"),
        ("eventType=", "eventType  is none of"),
        ("name=x", "name is no member of an event"),
        ("event.productOrder.state=x", "event.productOrder.state names no attribute of"),
        ("event.productOffering=x", "event.productOffering names no attribute of"),
        ("eventType", "eventType"),
        (f"eventType={CREATE};fields=name", "fields cannot be one of alternatives"),
        (f"fields=name;eventType={CREATE}", "fields cannot be one of alternatives"),
        ("fields=a&fields=b", "fields stands more than once"),
        ("delivery=mail", "delivery is one of raw, listener"),
        ("event.productOffering.name.regex=(", "regular expression"),
        ("fields=" + ",".join(f"a{n}" for n in range(TMF_FIELDS_MAX + 1)), "fields names more"),
        ("x" * (TMF_HUB_QUERY_CHARS_MAX + 1), "has more than"),
    ],
)
def test_what_queries_are_refused(text: str, named: str) -> None:
    """A query that could never be met, or says two things, is refused by a reason."""
    with pytest.raises(TmfError) as refused:
        read_query(text, API)
    assert refused.value.status == 400
    assert named in refused.value.message


def test_fields_of_an_event() -> None:
    """Names are attributes of the resource, paths of events stay; identities are always there."""
    event = {
        "eventId": "1",
        "eventType": CREATE,
        "eventTime": "t",
        "domain": "d",
        "event": {"productOffering": {"id": "i", "href": "h", "name": "n", "version": "v"}},
    }
    shown = {"eventId": "1", "eventType": CREATE, "eventTime": "t"}
    identity = {"id": "i", "href": "h"}
    assert project(event, "productOffering", ("name",)) == {
        **shown,
        "event": {"productOffering": {**identity, "name": "n"}},
    }
    assert project(event, "productOffering", ("domain", "event.productOffering.version")) == {
        **shown,
        "domain": "d",
        "event": {"productOffering": {**identity, "version": "v"}},
    }
    assert project(event, "productOffering", ()) == {
        **shown,
        "event": {"productOffering": identity},
    }
