"""Bounds of any document: each limit lets itself through and refuses one more."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.bounds import check_bounds
from ledger.core.limits import (
    TMF_ARRAY_ITEMS_MAX,
    TMF_ATTRIBUTES_MAX,
    TMF_DEPTH_MAX,
    TMF_NAME_CHARS_MAX,
    TMF_STRING_CHARS_MAX,
    TMF_VALUES_MAX,
)


def nested(depth: int, *, is_array: bool = False) -> object:
    """Build containers inside each other, so many in all."""
    value: object = [] if is_array else {}
    for _ in range(depth - 1):
        value = [value] if is_array else {"a": value}
    return value


def counted(values: int) -> dict[str, Any]:
    """Build a document of so many values, itself and its arrays included."""
    rest = values - 1
    document: dict[str, Any] = {}
    while rest > 0:
        size = min(rest - 1, 1_000)
        document[f"a{len(document)}"] = [0] * size
        rest -= size + 1
    return document


LIMITS: Final[list[tuple[str, int, Callable[[int], object]]]] = [
    ("too-deep", TMF_DEPTH_MAX, nested),
    ("too-deep", TMF_DEPTH_MAX, lambda count: nested(count, is_array=True)),
    ("too-many-values", TMF_VALUES_MAX, counted),
    ("too-many-attributes", TMF_ATTRIBUTES_MAX, lambda n: {str(i): 0 for i in range(n)}),
    ("too-many-items", TMF_ARRAY_ITEMS_MAX, lambda n: {"a": [0] * n}),
    ("forbidden-name", TMF_NAME_CHARS_MAX, lambda n: {"x" * n: 0}),
    ("too-long", TMF_STRING_CHARS_MAX, lambda n: {"a": "x" * n}),
    ("number-out-of-range", 2**53 - 1, lambda n: {"a": n}),
    ("number-out-of-range", 2**53 - 1, lambda n: {"a": -n}),
]


def refused(value: object) -> TmfError:
    """Give the refusal of a value."""
    with pytest.raises(TmfError) as caught:
        check_bounds(value)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(("code", "limit", "build"), LIMITS)
def test_limit(code: str, limit: int, build: Callable[[int], object]) -> None:
    """One less than the limit and the limit pass; one more is refused by its code."""
    check_bounds(build(limit - 1))
    check_bounds(build(limit))
    assert refused(build(limit + 1)).code == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a": "x\0"}, "forbidden-character"),
        ({"a": "\ud800"}, "forbidden-character"),
        ({"a\0": 1}, "forbidden-name"),
        ({"\udfff": 1}, "forbidden-name"),
        ({"": 1}, "forbidden-name"),
        ({1: 1}, "not-json"),
        ({"a": float("nan")}, "number-out-of-range"),
        ({"a": float("inf")}, "number-out-of-range"),
        ({"a": 1e300}, "number-out-of-range"),
        ({"a": b"bytes"}, "not-json"),
        ({"a": {1, 2}}, "not-json"),
    ],
)
def test_what_no_json_has(value: object, code: str) -> None:
    """What cannot be stored, indexed or told again the same is refused."""
    assert refused(value).code == code


def test_place_is_named() -> None:
    """The message begins with the place, however deep."""
    error = refused({"a": [{}, {"b": {"c": ["x", "\0"]}}]})
    assert error.message.startswith("a[1].b.c[1] ")
    assert refused("\0").message.startswith("the document ")


def test_hostile_depth_ends() -> None:
    """Nesting far beyond what the interpreter could recurse into is refused like any other."""
    value: object = []
    for _ in range(100_000):
        value = [value]
    assert refused(value).code == "too-deep"
