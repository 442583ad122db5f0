"""The entity service: create, patch, remove, read, and what policies have to say."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import JsonObject, canonical
from adapters.tmf.query.model import Comparison, Condition, Query
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Reading
from ledger.core.limits import TMF_ENTITY_BYTES_MAX
from tests.adapters.tmf.entities.entity_world import NOW, NOW_MS, OTHER, World, minimal, refusal

PATCHABLE = sorted(name for name, each in RESOURCES.items() if "PATCH" in each.operations)
EARLIER = "2020-01-01T00:00:00+01:00"


class Recorder:
    """A policy that fills in, hides, refuses and remembers."""

    def __init__(self, *, hidden_from: str = "nobody", refuses: bool = False) -> None:
        self.proposed: list[Proposed] = []
        self.filled: list[JsonObject] = []
        self._hidden_from = hidden_from
        self._refuses = refuses

    def fill(self, resource: Resource, document: JsonObject, caller: Caller) -> None:
        """Give a version."""
        del resource, caller
        self.filled.append({**document})
        document.setdefault("version", "1.0")

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Remember, and refuse when told so."""
        del reading
        self.proposed.append(proposed)
        if self._refuses:
            raise TmfError(HTTPStatus.FORBIDDEN, "no", "No", "no")

    def visible(self, resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Hide all but what says that it may be seen."""
        del resource
        if caller.organisation != self._hidden_from:
            return ()
        return (Comparison("open", "eq", "true"),)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_smallest_entity_is_created(resource: str) -> None:
    """The smallest document of each resource gets what the server sets, and is told once."""
    world = World()
    stored = world.create(resource)
    facts = RESOURCES[resource]
    assert stored["id"] == f"urn:ngsi-ld:{facts.kebab}:00000000-0000-4000-8000-000000000001"
    assert stored["href"] == f"{facts.base}/{facts.path}/{stored['id']}"
    assert stored["@type"] == facts.type_name
    assert all(stored[name] == NOW for name in facts.stamped)
    if facts.first_state:
        assert stored[facts.state_attribute] == facts.first_state
    (change,) = world.store.journal
    assert (change.what, change.before, change.time_ms) == ("create", None, NOW_MS)
    assert change.after == canonical(stored)


def test_defaults_of_the_seven() -> None:
    """What the kits look for after a POST is there, whatever the client sent of it."""
    world = World()
    order = world.create(
        "productOrder", {**minimal("productOrder"), "state": "completed", "orderDate": EARLIER}
    )
    assert (order["state"], order["orderDate"]) == ("acknowledged", NOW)
    assert order["productOrderItem"][0]["state"] == "acknowledged"
    assert "completionDate" not in world.create(
        "productOrder", {**minimal("productOrder"), "completionDate": EARLIER}
    )
    job = world.create("catalogImportJob", {"url": "u", "status": "Succeeded", "errorLog": "x"})
    assert (job["status"], job["creationDate"]) == ("Not Started", NOW)
    assert "errorLog" not in job
    assert world.create("product", {"status": "active"})["status"] == "active"


def test_client_values_are_kept() -> None:
    """What the client may say is kept letter by letter; null counts as not said."""
    sent = {
        "name": "N",
        "lastUpdate": EARLIER,
        "lifecycleStatus": "active",
        "@type": "MyOffering",
        "href": "http://elsewhere",
        "x": None,
        "version": None,
    }
    stored = World().create("productOffering", sent)
    assert {name: stored[name] for name in sent if name != "href"} == {
        name: value for name, value in sent.items() if name != "href"
    }
    assert stored["href"].startswith("/tmf-api/productCatalogManagement/v4/productOffering/urn:")
    filled = World().create("productOffering", {"name": "N", "lifecycleStatus": None, "id": None})
    assert filled["lifecycleStatus"] == "In study"


def test_create_does_not_touch_what_was_sent() -> None:
    """The client's own document stays as it was."""
    sent: dict[str, Any] = {"productOrderItem": [{"id": "1", "action": "add"}], "state": "held"}
    World().create("productOrder", sent)
    assert sent == {"productOrderItem": [{"id": "1", "action": "add"}], "state": "held"}


def test_id_of_the_client() -> None:
    """A free id of the client's is kept, a taken or a bad one refused."""
    world = World()
    assert world.create("product", {"id": "p:1", "status": "created"})["href"].endswith("/p:1")
    with refusal("id-taken", status=409):
        world.create("product", {"id": "p:1", "status": "created"})
    world.create("catalog", {"id": "p:1", "name": "another resource"})
    for bad in ("a/b", "", ".."):
        with refusal("invalid-id"):
            world.create("product", {"id": bad, "status": "created"})


@pytest.mark.parametrize("resource", PATCHABLE)
def test_patch_of_an_attribute(resource: str) -> None:
    """A patch is told as a change of an attribute, with both bodies; the time is set anew."""
    world = World()
    id_ = world.create(resource)["id"]
    world.now_ms += 1000
    change = world.merge(resource, id_, {"extension": 1})
    assert change is not None
    assert (change.what, change.number) == ("attribute", 2)
    stored = world.stored(resource, id_)
    assert change.after == canonical(stored)
    assert "lastUpdate" not in stored or stored["lastUpdate"] == "2026-11-21T15:08:01.123Z"


@pytest.mark.parametrize("resource", PATCHABLE)
def test_unpatchable_attributes(resource: str) -> None:
    """Attributes that no PATCH may name are refused by name, in either form of patch."""
    world = World()
    stored = world.create(resource)
    for name in RESOURCES[resource].unpatchable:
        with refusal("unpatchable-attribute", name):
            world.merge(resource, stored["id"], {name: stored.get(name, "x")})
        with refusal("unpatchable-attribute", name):
            world.operate(resource, stored["id"], [{"op": "remove", "path": f"/{name}"}])
    assert len(world.store.journal) == 1


@pytest.mark.parametrize("resource", PATCHABLE)
def test_patch_of_nothing(resource: str) -> None:
    """A patch that changes nothing writes nothing, in whatever order and number form it comes."""
    world = World()
    stored = world.create(resource, {**minimal(resource), "x": {"b": 1, "a": [1]}})
    assert world.merge(resource, stored["id"], {}) is None
    assert world.merge(resource, stored["id"], {"x": {"a": [1.0], "b": 1}, "y": None}) is None
    assert world.operate(resource, stored["id"], []) is None
    assert len(world.store.journal) == 1


def test_patch_of_the_state() -> None:
    """A change of the state, with or without others, is a change of state; a new case is none."""
    world = World()
    id_ = world.create("productOffering", {"name": "N", "lifecycleStatus": "Active"})["id"]
    told = [
        world.merge("productOffering", id_, {"lifecycleStatus": "Launched", "name": "M"}),
        world.merge("productOffering", id_, {"lifecycleStatus": "launched"}),
        world.operate(
            "productOffering",
            id_,
            [{"op": "replace", "path": "/lifecycleStatus", "value": "Retired"}],
        ),
    ]
    assert [change and change.what for change in told] == ["state", "attribute", "state"]


def test_last_update_of_the_client() -> None:
    """Where lastUpdate may be patched, the client's own stays."""
    world = World()
    id_ = world.create("resourceCatalog")["id"]
    world.merge("resourceCatalog", id_, {"lastUpdate": EARLIER})
    assert world.stored("resourceCatalog", id_)["lastUpdate"] == EARLIER


def test_patch_is_validated_whole() -> None:
    """A patch that would leave an unsound entity is refused and changes nothing."""
    world = World()
    id_ = world.create("productOrder")["id"]
    unsound: list[JsonObject] = [
        {"productOrderItem": None},
        {"productOrderItem": []},
        {"productOrderItem": [{"id": "2"}]},
        {"note": [{"author": "A"}]},
        {"state": "asleep"},
        {"requestedStartDate": "soon"},
    ]
    for changes in unsound:
        with refusal():
            world.merge("productOrder", id_, changes)
    assert len(world.store.journal) == 1


def test_arrays_are_replaced() -> None:
    """A merge patch replaces an array whole; null takes an attribute away."""
    world = World()
    id_ = world.create("catalog", {"name": "N", "category": [{"id": "1"}], "description": "D"})[
        "id"
    ]
    world.merge("catalog", id_, {"category": [{"id": "2"}], "description": None})
    stored = world.stored("catalog", id_)
    assert stored["category"] == [{"id": "2"}]
    assert "description" not in stored


def test_remove() -> None:
    """A removed entity is told with its last body, and is gone for everything after."""
    world = World()
    stored = world.create("product")
    change = world.remove("product", stored["id"])
    assert (change.what, change.before, change.after) == ("delete", canonical(stored), None)
    for call in (
        lambda: world.merge("product", stored["id"], {}),
        lambda: world.remove("product", stored["id"]),
        lambda: world.get("product", stored["id"]),
    ):
        with refusal("not-found", status=404):
            call()


@pytest.mark.parametrize("id_", ["x", "", "\0", "\ud800", "a/b", "x" * 100_000])
def test_unknown_ids(id_: str) -> None:
    """Whatever stands where an id should, there is no such entity."""
    world = World()
    for call in (world.get, world.remove):
        with refusal("not-found", status=404):
            call("product", id_)


def test_size_in_canonical_form() -> None:
    """An entity of exactly the largest size is stored; one byte more is refused, also by PATCH."""
    world = World()
    base = len(canonical(world.create("catalog", {"id": "a", "name": "", "x": ["", "", ""]})))
    room = TMF_ENTITY_BYTES_MAX - base
    fill = ["y" * (room // 2), "y" * (room - room // 2), ""]
    stored = world.create("catalog", {"id": "b", "name": "", "x": fill})
    assert len(canonical(stored)) == TMF_ENTITY_BYTES_MAX
    with refusal("too-large", status=413):
        world.create("catalog", {"id": "c", "name": "z", "x": fill})
    with refusal("too-large", status=413):
        world.merge("catalog", "b", {"name": "z"})


def test_policies_are_asked() -> None:
    """Each policy fills in at create and judges every change, with what was and what would be."""
    policy = Recorder()
    world = World(policy)
    id_ = world.create("catalog")["id"]
    assert policy.filled == [{"name": "N"}]
    assert world.stored("catalog", id_)["version"] == "1.0"
    world.merge("catalog", id_, {"name": "M"})
    world.remove("catalog", id_)
    names = [
        tuple(document and document["name"] for document in (each.before, each.after))
        for each in policy.proposed
    ]
    assert names == [(None, "N"), ("N", "M"), ("M", None)]
    assert all(each.caller == OPERATOR and each.origin == "" for each in policy.proposed)


def test_policies_may_refuse() -> None:
    """What a policy refuses is not done."""
    world = World()
    id_ = world.create("catalog")["id"]
    world.use(Recorder(refuses=True))
    for call in (
        lambda: world.create("catalog"),
        lambda: world.merge("catalog", id_, {"name": "M"}),
        lambda: world.remove("catalog", id_),
        lambda: world.accept("catalog", "x", {"id": "x", "name": "N"}),
    ):
        with refusal("no", status=403):
            call()
    assert len(world.store.journal) == 1


def test_hidden_entities_do_not_exist() -> None:
    """What a caller may not see can be neither read nor changed by it, and is not found."""
    world = World(Recorder(hidden_from=OTHER))
    shut, open_ = (
        world.create("catalog", {"name": "N", "open": each})["id"] for each in (False, True)
    )
    outsider, member = Caller(organisation=OTHER), ANYBODY
    assert world.get("catalog", open_, outsider).id == open_
    assert world.get("catalog", shut, member).id == shut
    for call in (
        lambda: world.get("catalog", shut, outsider),
        lambda: world.merge("catalog", shut, {"name": "M"}, outsider),
        lambda: world.remove("catalog", shut, outsider),
    ):
        with refusal("not-found", status=404):
            call()
    catalog = RESOURCES["catalog"]
    found = world.service.find(world.store, member, catalog, Query())
    assert found.total == 2
    named = Query((Comparison("name", "eq", "N"),))
    assert world.service.find(world.store, outsider, catalog, named).total == 1


def test_in_a_database(tmp_path: Path) -> None:
    """The service does with the real store what it does with the one in memory."""
    world = World()
    store = Store.open(f"sqlite:///{tmp_path / 'tmf.db'}")
    try:
        offering = RESOURCES["productOffering"]
        with store.write() as writing:
            made = world.service.create(writing, OPERATOR, offering, {"name": "N", "n": 1.0})
        with store.read() as reading:
            page = world.service.find(reading, OPERATOR, offering, Query())
            entity = world.service.get(reading, OPERATOR, offering, made.id)
        assert page.entities == [entity]
        assert entity.document() == world.create(
            "productOffering", {"id": made.id, "name": "N", "n": 1}
        )
        with store.write() as writing:
            world.service.remove(writing, OPERATOR, offering, made.id)
        with store.read() as reading:
            assert [each.what for each in reading.changes(0, 10)] == ["create", "delete"]
    finally:
        store.close()


def test_replica_is_not_changed_here() -> None:
    """Nobody at this node patches or removes another member's entity."""
    world = World()
    world.accept("catalog", "x", {"id": "x", "name": "N"}, OTHER)
    with refusal("not-owned-here", status=403):
        world.merge("catalog", "x", {})
    with refusal("not-owned-here", status=403):
        world.remove("catalog", "x")
    with refusal("id-taken", status=409):
        world.create("catalog", {"id": "x", "name": "N"})
