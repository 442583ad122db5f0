"""Patches: the examples of both RFCs, hostile patches, and the algebra of merging."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.entities.patching import JsonPatch, MergePatch
from ledger.core.limits import TMF_PATCH_OPERATIONS_MAX
from tests.adapters.tmf.entities.entity_world import World, refusal

# RFC 7396, appendix A, as far as both are objects.
MERGES: Final = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
    ('{"a":1}', '{"a":{"b":null,"c":{"d":null}}}', '{"a":{"c":{}}}'),
]

# RFC 6902, appendix A.
OPERATIONS: Final = [
    ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"baz":"qux","foo":"bar"}'),
    (
        '{"foo":["bar","baz"]}',
        '[{"op":"add","path":"/foo/1","value":"qux"}]',
        '{"foo":["bar","qux","baz"]}',
    ),
    ('{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'),
    (
        '{"foo":["bar","qux","baz"]}',
        '[{"op":"remove","path":"/foo/1"}]',
        '{"foo":["bar","baz"]}',
    ),
    ('{"baz":"qux"}', '[{"op":"replace","path":"/baz","value":"boo"}]', '{"baz":"boo"}'),
    (
        '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
        '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
        '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
    ),
    (
        '{"foo":["all","grass","cows","eat"]}',
        '[{"op":"move","from":"/foo/1","path":"/foo/3"}]',
        '{"foo":["all","cows","eat","grass"]}',
    ),
    (
        '{"baz":"qux","foo":["a",2,"c"]}',
        '[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]',
        '{"baz":"qux","foo":["a",2,"c"]}',
    ),
    ('{"foo":1}', '[{"op":"add","path":"/c","value":{"g":2},"xyz":1}]', '{"foo":1,"c":{"g":2}}'),
    ('{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":10}]', '{"/":9,"~1":10}'),
    (
        '{"foo":["bar"]}',
        '[{"op":"add","path":"/foo/-","value":["abc"]}]',
        '{"foo":["bar",["abc"]]}',
    ),
    ('{"a":1}', '[{"op":"copy","from":"/a","path":"/b"}]', '{"a":1,"b":1}'),
]

MALFORMED: Final[list[object]] = [
    {},
    None,
    "x",
    [1],
    [{}],
    [{"op": "append", "path": "/name", "value": "x"}],
    [{"op": ["add"], "path": "/x", "value": 1}],
    [{"op": "add", "path": "x", "value": 1}],
    [{"op": "add", "path": 1, "value": 1}],
    [{"op": "add", "path": "/x"}],
    [{"op": "add", "path": "", "value": {}}],
    [{"op": "remove", "path": ""}],
    [{"op": "add", "path": "/~2", "value": 1}],
    [{"op": "remove", "path": "/nothing"}],
    [{"op": "replace", "path": "/nothing", "value": 1}],
    [{"op": "add", "path": "/a/b", "value": 1}],
    [{"op": "add", "path": "/name/b", "value": 1}],
    [{"op": "add", "path": "/array/7", "value": 1}],
    [{"op": "add", "path": "/array/01", "value": 1}],
    [{"op": "add", "path": "/array/-1", "value": 1}],
    [{"op": "move", "path": "/x"}],
    [{"op": "move", "from": "", "path": "/x"}],
    [{"op": "move", "from": {}, "path": "/x"}],
    [{"op": "copy", "from": 1, "path": "/x"}],
    [{"op": "copy", "from": "/no", "path": "/x"}],
    [{"op": "test", "path": "/name"}],
    [{"op": "test", "path": "/name", "value": 1.5e308}],
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab é", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=12,
)
json_objects = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)


@pytest.mark.parametrize(("before", "changes", "after"), MERGES)
def test_merge_patch(before: str, changes: str, after: str) -> None:
    """The RFC's own examples come out as it says."""
    assert MergePatch(json.loads(changes)).apply(json.loads(before)) == json.loads(after)


@pytest.mark.parametrize(("before", "operations", "after"), OPERATIONS)
def test_json_patch(before: str, operations: str, after: str) -> None:
    """The RFC's own examples come out as it says."""
    assert JsonPatch(json.loads(operations)).apply(json.loads(before)) == json.loads(after)


@pytest.mark.parametrize("operations", MALFORMED)
def test_malformed_json_patch(operations: object) -> None:
    """What is no patch, or does not fit the entity, is refused and changes nothing."""
    world = World()
    id_ = world.create("catalog", {"name": "N", "array": [1]})["id"]
    with refusal(status=400):
        world.operate("catalog", id_, operations)
    assert len(world.store.journal) == 1


def test_failed_test_is_a_conflict() -> None:
    """An operation that tests for another value fails all of the patch, as a conflict."""
    world = World()
    stored = world.create("catalog", {"name": "N", "flag": True})
    for path, value in (("/name", "M"), ("/flag", 1), ("/nothing", None)):
        operations = [
            {"op": "replace", "path": "/name", "value": "M2"},
            {"op": "test", "path": path, "value": value},
        ]
        with refusal("patch-test-failed", "[1] ", status=409):
            world.operate("catalog", stored["id"], operations)
    assert world.stored("catalog", stored["id"]) == stored


@pytest.mark.parametrize("changes", [None, [], "x", 1, [{"a": 1}]])
def test_malformed_merge_patch(changes: object) -> None:
    """A merge patch of an entity is an object."""
    world = World()
    id_ = world.create("catalog")["id"]
    with refusal("invalid-patch", status=400):
        world.merge("catalog", id_, changes)


def test_moving_from_a_fixed_attribute() -> None:
    """An operation touches what it takes away, not what it copies or tests."""
    patch = JsonPatch(
        [
            {"op": "move", "from": "/a/b", "path": "/c"},
            {"op": "copy", "from": "/d", "path": "/e/0"},
            {"op": "test", "path": "/f", "value": 1},
            {"op": "remove", "path": "/g~1h"},
        ]
    )
    assert patch.names() == {"a", "c", "e", "g/h"}


def test_doubling_copies_end() -> None:
    """Copies that double the entity each time are refused long before they fill the memory."""
    operations = [{"op": "add", "path": "/x", "value": [0]}]
    operations += [{"op": "copy", "from": "/x", "path": "/x/-"}] * 40
    with refusal(status=400):
        JsonPatch(operations).apply({"name": "N"})


def test_deepening_patches_end() -> None:
    """Values put into each other are refused at the depth that any document has at most."""
    deep: Any = {}
    for _ in range(20):
        deep = {"a": deep}
    operations = [
        {"op": "add", "path": "/x" + "/a" * (20 * turn), "value": deep} for turn in range(60)
    ]
    with refusal("too-deep"):
        JsonPatch(operations).apply({"name": "N"})


def test_operations_are_counted() -> None:
    """The largest number of operations is done; one more is refused."""
    operation = {"op": "add", "path": "/x", "value": 1}
    assert JsonPatch([operation] * TMF_PATCH_OPERATIONS_MAX).apply({}) == {"x": 1}
    with refusal("invalid-patch"):
        JsonPatch([operation] * (TMF_PATCH_OPERATIONS_MAX + 1)).apply({})


def naive_merge(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON
    """Merge as RFC 7396 section 2 writes it, by recursion."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = naive_merge(merged.get(name), value)
    return merged


def copied(document: Any) -> Any:  # noqa: ANN401 - any JSON
    """Copy, as a patch uses its document up."""
    return json.loads(json.dumps(document))


@given(json_objects, json_objects)
def test_merging_is_the_rfc(document: dict[str, Any], changes: dict[str, Any]) -> None:
    """The merge without recursion gives what the RFC's pseudocode gives, and twice is once."""
    once = MergePatch(copied(changes)).apply(copied(document))
    assert once == naive_merge(document, changes)
    assert MergePatch(copied(changes)).apply(copied(once)) == once


@given(json_objects, json_objects)
def test_replacing_by_operations(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Removing all that was and adding all that shall be gives the new document."""
    operations: list[dict[str, object]] = [{"op": "remove", "path": f"/{name}"} for name in before]
    operations += [
        {"op": "add", "path": f"/{name}", "value": value} for name, value in after.items()
    ]
    assert JsonPatch(operations).apply(copied(before)) == after
