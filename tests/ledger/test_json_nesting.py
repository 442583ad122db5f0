"""The nesting of JSON text, against a parser's view of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.json_nesting import json_nesting

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def naive(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Give the nesting of a value by its definition."""
    if isinstance(value, dict):
        return 1 + max(map(naive, value.values()), default=0)
    return 1 + max(map(naive, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.booleans())
def test_nesting_is_that_of_the_value(value: object, ascii_only: bool) -> None:
    """Brackets count where they are structure, whatever the strings between them hold."""
    assert json_nesting(json.dumps(value, ensure_ascii=ascii_only).encode()) == naive(value)


@pytest.mark.parametrize(
    ("text", "nesting"),
    [
        (b"", 0),
        (b"[" * 1_000_000, 1_000_000),
        (b'{"a":' * 9 + b"1" + b"}" * 9, 9),
        (b'"[[[', 0),
        (b'["\\"[[", "\\\\", [1]]', 2),
        (b"]]]][[", 0),
    ],
)
def test_hostile_text(text: bytes, nesting: int) -> None:
    """Any bytes have a nesting, found without recursion."""
    assert json_nesting(text) == nesting


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Nothing is raised, and no more brackets are open than there are."""
    assert 0 <= json_nesting(data) <= len(data)
