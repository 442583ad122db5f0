"""Every attribute of every resource: the right kind passes, every other is refused by its name."""

from typing import Any, Final

import pytest

from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.registry import RESOURCES, TABLES
from adapters.tmf.resources.validation import check_create
from tests.adapters.tmf.entities.entity_world import minimal
from tests.adapters.tmf.resources.attribute_facts import FIRST_LEVEL, REQUIRED, rows

RIGHT: Final[dict[str, list[object]]] = {
    "string": ["", "text", "Ж"],
    "boolean": [True, False],
    "integer": [0, -3, 4.0],
    "number": [0, 2.5, -1],
    "time": ["2026-11-21T15:08:00.123+01:00", "2017-08-27T00:00"],
}
WRONG: Final[dict[str, list[object]]] = {
    "string": [1, True, {}, []],
    "boolean": ["true", 1, 0, {}],
    "integer": ["1", True, 1.5, []],
    "number": ["1", False, {}],
    "time": ["", "yesterday", "2026-02-30T00:00:00Z", "2026-11-21T25:00:00Z", 5],
    "object": ["x", 1, [], [{}]],
    "word": ["no such word", "", 1, []],
}
FACTS: Final = [
    pytest.param(resource, kind, name, id=f"{resource}-{name}")
    for resource, kind, names in rows(FIRST_LEVEL)
    for name in names
]
NESTED: Final = [
    pytest.param(resource, path, name, id=f"{resource}-{path}-{name}")
    for resource, names, paths in rows(REQUIRED)
    for path in paths
    for name in names.split()
]


def document_with(resource: str, path: str, missing: str = "") -> dict[str, Any]:
    """Build a document with an object at a path such as ``a.b[].c``.

    All that is required on the way is there, as null; in the object itself all but ``missing``.
    """
    names = path.split(".")
    value: object = dict.fromkeys(set(required_at(resource, path)) - {missing})
    for depth in range(len(names) - 1, -1, -1):
        name = names[depth]
        held = [value] if name.endswith("[]") else value
        others = required_at(resource, ".".join(names[:depth])) if depth else ()
        value = {**dict.fromkeys(others), name.removesuffix("[]"): held}
    assert isinstance(value, dict)
    return {**minimal(resource), **value}


def required_at(resource: str, path: str) -> tuple[str, ...]:
    """Look up what an object at a path must have."""
    for each, names, paths in rows(REQUIRED):
        if each == resource and path in paths:
            return tuple(names.split())
    return ()


def refused(resource: str, document: object) -> TmfError:
    """Give the refusal of a document."""
    with pytest.raises(TmfError) as caught:
        check_create(RESOURCES[resource], document)
    assert caught.value.status == 400
    return caught.value


def test_no_attribute_is_missing_or_made_up() -> None:
    """The tables know exactly the attributes of the first level that the definitions have."""
    everywhere = {"id", "href"} | {
        f"@{word}"
        for word in ["type", "baseType", "schemaLocation", "referredType", "valueSchemaLocation"]
    }
    expected: dict[str, set[str]] = {}
    for resource, _, names in rows(FIRST_LEVEL):
        expected.setdefault(resource, set()).update(names)
    found = {
        name: set(TABLES.shapes[each.type_name].attributes) - everywhere
        for name, each in RESOURCES.items()
    }
    assert found == expected


@pytest.mark.parametrize(("resource", "kind", "name"), FACTS)
def test_kind_of_attribute(resource: str, kind: str, name: str) -> None:
    """A value of the attribute's kind passes; all others are refused by its name."""
    one = kind.removesuffix("s")
    is_many = one != kind
    base = minimal(resource)
    for value in RIGHT.get(one, []):
        check_create(RESOURCES[resource], {**base, name: [value] if is_many else value})
    for value in WRONG[one]:
        error = refused(resource, {**base, name: [value] if is_many else value})
        where = f"{name}[0]" if is_many else name
        assert error.message.startswith(f"{where} "), error.message
        assert error.code in {"wrong-type", "invalid-date-time", "unknown-value"}
    if is_many:
        assert refused(resource, {**base, name: {}}).message == f"{name} is not an array"


@pytest.mark.parametrize(("resource", "kind", "name"), FACTS)
def test_null_is_a_value(resource: str, kind: str, name: str) -> None:
    """Null stands for any attribute that is not required at the first level."""
    del kind
    if name not in RESOURCES[resource].required:
        check_create(RESOURCES[resource], {**minimal(resource), name: None})


@pytest.mark.parametrize(("resource", "path", "name"), NESTED)
def test_required_inside(resource: str, path: str, name: str) -> None:
    """What an object at a path must have is named by its path when it is absent."""
    check_create(RESOURCES[resource], document_with(resource, path))
    error = refused(resource, document_with(resource, path, missing=name))
    spelled = path.replace("[]", "[0]")
    assert (error.code, error.message) == ("missing-attribute", f"{spelled}.{name} is required")


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_required_at_the_first_level(resource: str) -> None:
    """What a POST must have is named when it is absent or null."""
    for name in RESOURCES[resource].required:
        base = minimal(resource)
        assert refused(resource, {**base, name: None}).message == f"{name} is required"
        del base[name]
        error = refused(resource, base)
        assert (error.code, error.message) == ("missing-attribute", f"{name} is required")
