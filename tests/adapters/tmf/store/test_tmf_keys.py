"""Keys of leaves stand in the order of the query model, and give their texts back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.query.leaves import leaves
from adapters.tmf.store.keys import Key, key_of_leaf, key_of_text, range_of, text_of
from ledger.core.limits import TMF_LEAF_HEAD_BYTES

_LONG = "x" * (TMF_LEAF_HEAD_BYTES - 1)
_IN_ORDER = (
    *("-1e300", "-10", "-9.5", "-1", "-5e-324", "0", "5e-324", "0.1", "9", "10", "1e300"),
    *("0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01", "2026-01-01"),
    *("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00-00:01", "9999-12-31T23:59:59Z"),
    *("", "\0", " ", "+1", "01", "2026", "A", "a", "a\0", "aa", _LONG, _LONG + "x"),
    *(_LONG + "x\0", _LONG + "xa", _LONG + "y", "ß", "中", "\uffff", "\N{GRINNING FACE}"),
)


def test_keys_are_in_order() -> None:
    """Numbers, then times, then texts; each in its own order."""
    texts = [text for text in _IN_ORDER if text != "2026"]
    keys = [key_of_text(text) for text in texts]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert key_of_text("9") < key_of_text("2026") < key_of_text("1e300")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(_IN_ORDER))
def test_a_key_gives_its_text_back(text: str) -> None:
    """Key and tail hold the whole text."""
    key, tail = key_of_text(text)
    assert text_of(key, tail).decode() == text
    assert len(key) <= TMF_LEAF_HEAD_BYTES + 9


@given(st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_and_its_text_have_one_key(number: float) -> None:
    """A leaf that is a number stands where its text stands."""
    (leaf,) = leaves({"n": number})
    assert key_of_leaf(leaf) == key_of_text(leaf.text)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False))
def test_numbers_are_ordered_by_value(one: float, other: float) -> None:
    """The order of keys is the order of numbers, negative ones and zeros included."""
    (left,), (right,) = leaves({"n": one}), leaves({"n": other if abs(other) < 1e308 else 0.0})
    assert left.number is not None
    assert right.number is not None
    ordered = key_of_leaf(left).key[:9] < key_of_leaf(right).key[:9]
    assert ordered == (left.number < right.number)


@pytest.mark.parametrize("value", ["5", "2026-01-01", "a", _LONG + "x", _LONG + "xy"])
def test_ranges_meet_without_gap_or_overlap(value: str) -> None:
    """What is less, what is equal and what is greater make up all leaves of the kind."""
    less, at_most = range_of("lt", value), range_of("lte", value)
    at_least, greater = range_of("gte", value), range_of("gt", value)
    assert less.first == at_most.first < less.end == at_least.first
    assert at_most.end == greater.first < greater.end == at_least.end
    assert at_least.first <= key_of_text(value) < greater.first
    assert less.first.key == at_least.first.key[:1]
    assert greater.end == Key(bytes([at_least.first.key[0] + 1]))
