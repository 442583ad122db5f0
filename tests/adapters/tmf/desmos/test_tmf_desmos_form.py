"""Desmos' form of events: what is told of own changes, and what is believed of others'."""

import json
from base64 import b64encode
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from adapters.dome.dlt.identity import derived_address, iss_of
from adapters.tmf.desmos.audit import first_fault
from adapters.tmf.desmos.audit_log import AuditLog, page_of_records
from adapters.tmf.desmos.form import DesmosForm, DesmosMember
from adapters.tmf.entity import Change, JsonObject, canonical
from adapters.tmf.replication.core.model import NONE, Code, Told
from adapters.tmf.replication.form import FetchFailed
from adapters.tmf.store.database import Store
from ledger.core.event import Event
from ledger.core.signing import SeedSigner
from pubsub.client.identity import Publisher
from tests.adapters.dlt.desmos_hash import digest, hashlink
from tests.adapters.tmf.desmos.desmos_world import new_id, now_ms

DID, ORGANISATION, URL = "did:elsi:VATES-1", "VATES-1", "https://node.example"
MEMBER = DesmosMember(DID, ORGANISATION, derived_address(DID), URL, "prd")
ID = "urn:ngsi-ld:catalog:1"
OTHER = "https://other.example/api/v2/entities"


class NoSource:
    """Nothing is got here.

    Attributes:
        code: why.
    """

    code = Code.NOT_SERVED

    async def entity(self, url: str) -> bytes:
        """Give nothing."""
        await anyio.lowlevel.checkpoint()
        raise FetchFailed("faulty", self.code, url)


class World:
    """A form, a store, and a publisher.

    Attributes:
        number: of the last change.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.form = new_form()
        self.publisher = Publisher(DID, SeedSigner(bytes(32)), "c")
        self.number = 0

    def draft(self, resource: str, document: JsonObject | None, id_: str = ID) -> Event | None:
        """Tell of a change, and see it become final."""
        self.number += 1
        after = None if document is None else canonical({"id": id_} | document)
        change = Change(self.number, resource, id_, "create", "e", None, after, "", 0)
        with self.store.write() as txn:
            draft = self.form.draft(txn, change)
        if draft is None:
            return None
        event = self.publisher.sign(draft.topic, draft.type, **draft.content).event
        with self.store.write() as txn:
            self.form.published(txn, event, self.number)
        return event

    def told(self, resource: str, document: JsonObject | None, id_: str = ID) -> Event:
        """Tell of a change that is told."""
        event = self.draft(resource, document, id_)
        assert event is not None
        return event

    def audit(self) -> list[tuple[str, str, str]]:
        """Give status, hash and link of all records; the chain holds."""
        with self.store.read() as reading:
            records = [record for _, record in page_of_records(reading.connection, 0, 1_000)]
        assert first_fault(records) is None
        return [(each.status.value, each.entity_hash, each.entity_hashlink) for each in records]


@pytest.fixture
def world(store: Store) -> World:
    """Give the world of one test."""
    return World(store)


@pytest.fixture
def form() -> DesmosForm:
    """Give a form that needs no store."""
    return new_form()


def new_form() -> DesmosForm:
    """Make the form of a member."""
    return form_with(NoSource())


def form_with(source: NoSource) -> DesmosForm:
    """Make the form of a member that asks a source."""
    return DesmosForm(MEMBER, source, AuditLog(now_ms, new_id), now_ms)


def launched(**members: object) -> JsonObject:
    """Give what is on the market."""
    return {"lifecycleStatus": "Launched", **members}


def ngsi(**values: object) -> str:
    """Give the hash of a launched catalogue in NGSI-LD, written by hand."""
    members = {
        name: {"type": "Property", "value": value} for name, value in launched(**values).items()
    }
    return digest(json.dumps({"id": ID, "type": "catalog", **members}))


def test_the_first_version_is_its_own_link(world: World) -> None:
    """The event is, member by member, what Desmos' adapter would publish."""
    event = world.told("catalog", launched(name="x"))
    hash_ = ngsi(name="x")
    assert event.type == "org.concordat.dome.catalog"
    assert event.topic == "dome.catalog"
    assert event.subject == f"0x{digest(ID)}"
    assert event.location == f"{URL}/api/v2/entities/{ID}?hl={hash_}"
    assert event.entity_hash.hex() == event.previous_hash.hex() == hash_
    assert event.tags == ("prd",)
    assert msgspec.json.decode(event.data) == {
        "publisherAddress": iss_of(ORGANISATION),
        "ethereumAddress": f"0x{derived_address(DID).hex()}",
    }


def test_later_versions_are_linked(world: World) -> None:
    """Each link is the hash of the link before and the entity's, also for equal content."""
    first = world.told("catalog", launched(name="x", note=[{"text": "b"}, {"text": "a"}]))
    link = first.entity_hash.hex()
    hash_ = ngsi(name="y", note=[{"text": "a"}, {"text": "b"}])
    second = world.told("catalog", launched(name="y", note=[{"text": "b"}, {"text": "a"}]))
    assert second.previous_hash.hex() == link
    assert second.entity_hash.hex() == (link := hashlink(link, hash_))
    third = world.told("catalog", launched(name="y", note=[{"text": "a"}, {"text": "b"}]))
    assert third.previous_hash.hex() == link
    assert third.entity_hash.hex() == hashlink(link, hash_)
    assert [status for status, *_ in world.audit()] == ["RECEIVED", "CREATED", "PUBLISHED"] * 3


def test_the_first_version_again_is_the_same_link(world: World) -> None:
    """Content that equals the link is told as it was."""
    first = world.told("catalog", launched(name="x"))
    again = world.told("catalog", launched(name="x"))
    assert (again.location, again.previous_hash) == (first.location, first.previous_hash)


def test_an_end_has_no_link_and_a_chain_begins_behind_it(world: World) -> None:
    """The end names the last link as what was before; a new life starts anew."""
    first = world.told("catalog", launched(name="x"))
    end = world.told("catalog", None)
    assert end.location == f"{URL}/api/v2/entities/{ID}"
    assert (end.entity_hash, end.previous_hash) == (b"", first.entity_hash)
    assert world.audit()[-1] == ("DELETED", "", first.entity_hash.hex())
    again = world.told("catalog", launched(name="y"))
    assert again.entity_hash == again.previous_hash


def test_entities_of_one_id_have_their_own_chains(world: World) -> None:
    """An id is unique within a resource alone."""
    world.told("catalog", launched(name="x"))
    event = world.told("category", launched(name="x"))
    assert event.entity_hash == event.previous_hash
    assert world.draft("productOffering", None) is None


@pytest.mark.parametrize(
    "resource, document",
    [
        ("catalog", {"lifecycleStatus": "Active"}),
        ("catalog", launched(validFor={"startDateTime": "2100-01-01T00:00:00Z"})),
        ("individual", launched()),
        ("usage", {"status": "received"}),
        ("organization", {"tradingName": "x"}),
        ("catalog", None),
    ],
)
def test_what_is_not_told(world: World, resource: str, document: JsonObject | None) -> None:
    """What is not on the market, persons, usage, and the end of what nobody knows."""
    assert world.draft(resource, document) is None
    assert world.audit() == []


def test_an_order_is_told_in_any_state(world: World) -> None:
    """Orders have no state of the market; their events carry no tags that speak of them."""
    event = world.told("productOrder", {"state": "acknowledged", "category": [{"id": "c"}]})
    assert event.tags == ("prd",)


# --- others' events -------------------------------------------------------------------------


def entity(name: str = "x", type_: str = "catalog", id_: str = ID) -> dict[str, Any]:
    """Give another's entity."""
    return {"id": id_, "type": type_, "name": {"type": "Property", "value": name}}


def bundle(*entities: dict[str, Any]) -> bytes:
    """Give an answer with entities."""
    rows = [{"value": b64encode(json.dumps(each).encode()).decode()} for each in entities]
    return json.dumps(rows).encode()


def event_of(link: str, previous: str, **changes: Any) -> Event:  # noqa: ANN401
    """Give another's event."""
    query = f"?hl={link}" if link else ""
    values: dict[str, Any] = {
        "subject": f"0x{digest(ID)}",
        "previous_hash": bytes.fromhex(previous),
        "location": f"{OTHER}/{ID}{query}",
        "tags": ("prd",),
    }
    type_ = changes.pop("type", "org.concordat.dome.catalog")
    publisher = Publisher("did:elsi:VATES-2", SeedSigner(bytes([1]) * 32), "c")
    return publisher.sign("dome.catalog", type_, **(values | changes)).event


def read(form: DesmosForm, link: str, previous: str, **changes: Any) -> Told:  # noqa: ANN401
    """Read another's event that tells something."""
    told = form.read(event_of(link, previous, **changes), 7)
    assert told is not None
    return told


FIRST = digest(json.dumps(entity()))
SECOND = digest(json.dumps(entity("y")))
LINK = hashlink(FIRST, SECOND)


def test_events_tell_of_versions_and_ends(form: DesmosForm) -> None:
    """A first version has nothing before it; an end has no version."""
    first = read(form, FIRST, FIRST)
    assert (first.version.hex(), first.previous) == (FIRST, NONE)
    assert first.key == f"catalog/{digest(ID)}"
    assert (first.publisher, first.sequence, first.resource) == ("did:elsi:VATES-2", 7, "catalog")
    second = read(form, LINK, FIRST)
    assert (second.version.hex(), second.previous.hex()) == (LINK, FIRST)
    end = read(form, "", LINK)
    assert end.is_end
    assert end.previous.hex() == LINK


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": ("dev",)},
        {"type": "catalog"},
        {"type": "org.concordat.dome.individual"},
        {"subject": f"0x{digest('other')}"},
        {"location": f"{OTHER}/{ID}?hl=12"},
        {"location": f"{OTHER}/?hl={FIRST}"},
        {"location": "http://[x/"},
        {"location": ""},
    ],
)
def test_events_that_concern_others_tell_nothing(form: DesmosForm, changes: dict[str, Any]) -> None:
    """Other environments, forms and types, and what names no entity or another one."""
    assert form.read(event_of(FIRST, FIRST, **changes), 1) is None


def test_content_is_held_to_its_link(form: DesmosForm) -> None:
    """Each version's content gives its link; what comes with it comes unvouched."""
    price = entity("p", "product-offering-price", "urn:ngsi-ld:product-offering-price:1")
    person = entity("i", "individual", "urn:ngsi-ld:individual:1")
    taken = form.check(read(form, FIRST, FIRST), bundle(price, person, entity()))
    assert (taken.resource, taken.id, taken.document["name"]) == ("catalog", ID, "x")
    (other,) = taken.others
    assert (other.resource, other.id) == ("productOfferingPrice", price["id"])
    assert form.check(read(form, LINK, FIRST), bundle(entity("y"))).document["name"] == "y"


@pytest.mark.parametrize(
    "link, previous, body, code",
    [
        (FIRST, FIRST, bundle(entity("twisted")), "hash-mismatch"),
        (LINK, FIRST, bundle(entity()), "hash-mismatch"),
        (LINK, LINK, bundle(entity("y")), "hash-mismatch"),
        (FIRST, FIRST, bundle(entity(id_="other")), "wrong-entity"),
        (FIRST, FIRST, bundle(), "wrong-entity"),
        (FIRST, FIRST, b"no", "malformed"),
    ],
)
def test_other_content_is_refused(
    form: DesmosForm, link: str, previous: str, body: bytes, code: str
) -> None:
    """Another version, another entity, and what is none."""
    with pytest.raises(FetchFailed) as caught:
        form.check(read(form, link, previous), body)
    assert (caught.value.code, caught.value.result) == (code, "faulty")


@pytest.mark.parametrize(
    ("resource", "code", "result"),
    [
        ("catalog", Code.NOT_SERVED, "faulty"),
        ("product-order", Code.NOT_SERVED, "withheld"),
        ("product", Code.NOT_SERVED, "withheld"),
        ("product-order", Code.LOCATION_FORBIDDEN, "faulty"),
    ],
)
async def test_what_two_agreed_on_is_withheld_from_others(
    resource: str, code: Code, result: str
) -> None:
    """Its owner says that there is nothing, which is no fault; of the catalogue it is one."""
    source = NoSource()
    source.code = code
    form = form_with(source)
    told = msgspec.structs.replace(read(form, FIRST, FIRST), resource=resource)
    with pytest.raises(FetchFailed) as caught:
        await form.fetch(told)
    assert (caught.value.result, caught.value.code) == (result, code)


def test_content_of_another_type_is_refused(form: DesmosForm) -> None:
    """An event of a catalogue cannot bring a category, even with the right hash."""
    category = entity(type_="category")
    hash_ = digest(json.dumps(category))
    with pytest.raises(FetchFailed) as caught:
        form.check(read(form, hash_, hash_), bundle(category))
    assert (caught.value.code, caught.value.result) == ("wrong-entity", "refused")


def test_what_is_held_is_in_the_audit(world: World) -> None:
    """A version's records have its hash and link, its end the last link."""
    told = read(world.form, LINK, FIRST)
    taken = world.form.check(told, bundle(entity("y")))
    with world.store.write() as txn:
        world.form.taken(txn, told, taken)
        world.form.taken(txn, read(world.form, "", LINK), None)
    assert world.audit() == [
        *((status, SECOND, LINK) for status in ("RECEIVED", "RETRIEVED", "PUBLISHED")),
        *((status, "", LINK) for status in ("RECEIVED", "DELETED")),
    ]
