"""The canonical form that is stored and hashed is RFC 8785, the quick way and the slow one."""

import math
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.tmf.entity import JsonObject, canonical

_EXACT = st.integers(-(2**53) + 1, 2**53 - 1)
_TENS = st.builds(lambda digits, power: digits * 10.0**power, _EXACT, st.integers(-40, 25))
_SCALARS = (
    st.none()
    | st.booleans()
    | _EXACT
    | st.text()
    | _TENS
    | st.floats(allow_nan=False).filter(math.isfinite)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), _VALUES, max_size=5))
@example({"a": [1e-7, 1e-6, 0.00001, 1e21, 1e20, 123456789012345680.0, -0.0, 5e-324, 1.0]})
@example({"b": '\x7f\x1f"\\/\b', "a": {"\u20ac": 1, "\U0001f600": 2, "\ufb33": 3}, "": None})
@example({"s": "[1.0,null]", "n": [None], "d": 333333333.33333329})
def test_canonical_form_is_the_librarys(document: JsonObject) -> None:
    """Whatever the document holds, the bytes are those of another implementation."""
    assert canonical(document) == rfc8785.dumps(document)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.0,
        -10.0,
        1e16,
        1e21,
        1.5e300,
        1e-7,
        123456789012345.6,
        1234567890123456.7,
        2**53 - 1,
        {"\ufb33": 1, "\U0001f600": 2},
        {"\x7f": "\x7f\u2028"},
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "shape", [{"a": 0}, {"a": [0]}, {"a": [1, 0, 1]}, {"b": 1, "a": 0}], ids=repr
)
def test_each_doubt_alone_is_enough(value: object, shape: JsonObject) -> None:
    """What could be written otherwise is written as the library does, with nothing beside it."""

    def filled(part: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(part, list):
            return [filled(each) for each in part]
        return value if part == 0 else part

    document = {name: filled(part) for name, part in shape.items()}
    assert canonical(document) == rfc8785.dumps(document)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**53 + 1, -(2**64), 10**40])
@pytest.mark.parametrize("shape", ["member", "row", "deep"])
def test_what_has_no_canonical_form_is_refused(value: float, shape: str) -> None:
    """NaN, infinities and integers that a double cannot hold are no JSON of this form."""
    shapes: dict[str, JsonObject] = {
        "member": {"a": value},
        "row": {"a": [1, value]},
        "deep": {"a": {"b": [{"c": value}]}},
    }
    with pytest.raises(ValueError, match=r".+"):
        canonical(shapes[shape])
