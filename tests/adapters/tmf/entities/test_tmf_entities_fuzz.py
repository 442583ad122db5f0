"""Any JSON at all: the service answers with a sound entity or a TmfError, and keeps its word."""

from contextlib import suppress
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.tmf.entity import canonical
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.registry import RESOURCES, TABLES
from adapters.tmf.resources.validation import check_whole
from tests.adapters.tmf.entities.entity_world import World, minimal

NAMES: Final = sorted({name for shape in TABLES.shapes.values() for name in shape.attributes})
WORDS: Final = sorted({word for words in TABLES.words.values() for word in words})

texts = (
    st.text(max_size=8)
    | st.sampled_from(WORDS)
    | st.sampled_from(["", "a.b", "2026-01-01T00:00:00Z", "urn:x:1", "\0", "\ud800"])
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
names = st.sampled_from(NAMES) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)
resources = st.sampled_from(sorted(RESOURCES))
pointers = st.lists(names | st.sampled_from(["0", "-", "productOrderItem"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operations = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | values,
            "path": pointers | values,
        },
        optional={"from": pointers | values, "value": values},
    ),
    max_size=5,
)


@st.composite
def of_kind(draw: st.DrawFn, shape: str, depth: int = 0) -> dict[str, Any]:
    """Build an object of a shape, mostly sound."""
    facts = TABLES.shapes[shape]
    chosen = set(draw(st.lists(st.sampled_from(sorted(facts.attributes)), max_size=5)))
    document: dict[str, Any] = {}
    for name in sorted(chosen | set(facts.required)):
        attribute = facts.attributes[name]
        one: st.SearchStrategy[Any]
        if attribute.kind == "object":
            one = of_kind(attribute.of, depth + 1) if depth < 2 else st.none()
        else:
            one = {
                "boolean": st.booleans(),
                "integer": st.integers(-9, 9),
                "number": st.integers(-9, 9) | st.just(2.5),
                "time": st.just("2026-01-01T00:00:00+01:00"),
                "one of": st.sampled_from(TABLES.words.get(attribute.of, ("x",))),
                "any": st.just([1, {"a": None}]),
                "string": st.text("abc:-é", max_size=5),
            }[attribute.kind]
        if attribute.is_many and not (attribute.kind == "object" and depth >= 2):
            one = st.lists(one, min_size=attribute.items_min, max_size=2)
        document[name] = draw(one)
    return document


@st.composite
def sound(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Build a resource's name and a document that a POST of it should take."""
    name = draw(resources)
    document = draw(of_kind(RESOURCES[name].type_name))
    document.pop("id", None)
    for required in RESOURCES[name].required:
        if document.get(required) is None:
            document[required] = minimal(name)[required]
    return name, document


def canonicalised(world: World) -> None:
    """Check that all that is stored is what the journal tells, in canonical form and sound."""
    for (name, id_), entity in world.store.entities.items():
        document = entity.document()
        assert document["id"] == id_
        assert canonical(document) == entity.body
        if not entity.origin:
            check_whole(RESOURCES[name], document)
        assert world.store.history(name, id_)[-1].after == entity.body


@given(resources, values | st.dictionaries(names, values, max_size=6))
def test_any_create(resource: str, sent: object) -> None:
    """A POST of anything stores a sound entity or is refused."""
    world = World()
    with suppress(TmfError):
        world.create(resource, sent)
    canonicalised(world)


@given(resources, values)
def test_any_merge_patch(resource: str, changes: object) -> None:
    """A merge patch of anything leaves a sound entity."""
    world = World()
    id_ = world.create(resource)["id"]
    with suppress(TmfError):
        world.merge(resource, id_, changes)
    canonicalised(world)


@given(resources, operations | values)
def test_any_json_patch(resource: str, patch: object) -> None:
    """A JSON patch of anything leaves a sound entity."""
    world = World()
    id_ = world.create(resource)["id"]
    with suppress(TmfError):
        world.operate(resource, id_, patch)
    canonicalised(world)


@given(resources, texts, values | st.none())
def test_any_replica(resource: str, id_: str, document: Any) -> None:  # noqa: ANN401 - any JSON
    """A replica of anything is stored as it is or refused."""
    world = World()
    if isinstance(document, dict):
        document = {**minimal(resource), **document, "id": id_}
    with suppress(TmfError):
        world.accept(resource, id_, document)
    canonicalised(world)


@given(sound())
@settings(max_examples=50)
def test_create_of_what_was_created(made: tuple[str, dict[str, Any]]) -> None:
    """A sound document is taken; what it became, sent to another node, becomes the same there."""
    resource, sent = made
    world, other = World(), World()
    stored = world.create(resource, sent)
    kept = {
        name: value
        for name, value in sent.items()
        if value is not None and name not in RESOURCES[resource].server_set
    }
    assert {name: stored[name] for name in kept} == msgspec.json.decode(canonical(kept)) or (
        resource == "productOrder"
    )
    again = other.create(resource, stored)
    assert canonical(again) == canonical(stored)
    assert world.merge(resource, stored["id"], {}) is None


@given(sound(), sound())
@settings(max_examples=50)
def test_patch_to_another_document(
    one: tuple[str, dict[str, Any]], two: tuple[str, dict[str, Any]]
) -> None:
    """A patch that names every attribute of a document gives all of it that is not null."""
    resource, sent = one
    fixed = RESOURCES[resource].unpatchable
    changes = {name: value for name, value in two[1].items() if name not in fixed}
    world = World(mode="off")
    id_ = world.create(resource, sent)["id"]
    try:
        world.merge(resource, id_, changes)
    except TmfError:
        return
    stored = world.stored(resource, id_)
    for name, value in changes.items():
        if value is None:
            assert name not in stored
        elif not isinstance(value, dict):
            assert stored[name] == msgspec.json.decode(canonical({"v": value}))["v"]
