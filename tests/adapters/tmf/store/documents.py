"""Random documents and queries over few names and values, so that queries find something."""

from typing import Any, Final

from hypothesis import strategies as st

from adapters.tmf.entity import JsonObject
from adapters.tmf.query.model import AnyOf, Comparison, Condition, Operator, Query, SortKey

__all__ = ["DOCUMENTS", "FIELDS", "QUERIES", "VISIBLE"]

_NAMES: Final = ("name", "price", "value", "@type", "relatedParty")
_LONG: Final = "x" * 127
_TEXTS: Final = (
    "", " ", "a", "A", "ab", "aß", "b%", "z_", "ä", "中", "\N{GRINNING FACE}", "\uffff", "nul\0",
    "true", "null", "1", "10", "9", "1.0", "-0", "01", "1e1", "1E400", "+1", "0.10", "1_0",
    "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2025-12-31T23:00:00.5-01:00",
    "2026-01-01T00:00:00.000001Z", "2026-01-01", "2026-02-30T00:00:00Z", "2026-01-01 00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00",
    _LONG, _LONG + "x", _LONG + "y", _LONG + "xy", _LONG + "xz", _LONG + "ä", "x" * 300,
)  # fmt: skip
_NUMBERS: Final = (
    *(
        0,
        1,
        9,
        10,
        -1,
        2**53 - 1,
        0.1,
        1.5,
        -1.5,
        10.25,
        1e21,
        1e-7,
        5e-324,
        1.7976931348623157e308,
    ),
)
_TEXT: Final = st.sampled_from(_TEXTS) | st.text("aä0.-\0", max_size=3)
_LEAF: Final = _TEXT | st.sampled_from(_NUMBERS) | st.booleans() | st.none()
_VALUE: Final[st.SearchStrategy[Any]] = st.recursive(
    _LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3)
    ),
    max_leaves=8,
)


def _numbered(bodies: list[JsonObject]) -> list[JsonObject]:
    """Give every document an id, in no order."""
    return [{**body, "id": f"{index * 7 % 11}", "href": "/h"} for index, body in enumerate(bodies)]


DOCUMENTS: Final = st.lists(
    st.dictionaries(st.sampled_from(_NAMES), _VALUE, max_size=5), max_size=8
).map(_numbered)

_PATH: Final = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map(".".join) | st.just(
    "id"
)
_NUMERALS: Final = tuple(repr(number) for number in _NUMBERS)
_OPERATORS: Final[tuple[Operator, ...]] = ("eq", "ne", "gt", "gte", "lt", "lte")
_PATTERNS: Final = ("a", "^a$", "(?i)A", "^$", ".", "x{3}", "[0-9]+", "^.$", "ä|中", "\\.", "0")
_COMPARISON: Final = st.builds(
    Comparison, _PATH, st.sampled_from(_OPERATORS), _TEXT | st.sampled_from(_NUMERALS)
) | st.builds(Comparison, _PATH, st.just("regex"), st.sampled_from(_PATTERNS))
_CONDITION: Final[st.SearchStrategy[Condition]] = _COMPARISON | st.lists(
    _COMPARISON, min_size=1, max_size=3
).map(lambda comparisons: AnyOf(tuple(comparisons)))

_BAND: Final = st.builds(
    lambda path, *ends: tuple(Comparison(path, operator, value) for operator, value in ends),
    _PATH,
    st.tuples(st.sampled_from(("gt", "gte")), _TEXT | st.sampled_from(_NUMERALS)),
    st.tuples(st.sampled_from(("lt", "lte")), _TEXT | st.sampled_from(_NUMERALS)),
)
VISIBLE: Final = st.lists(_CONDITION, max_size=1).map(tuple)
QUERIES: Final = st.builds(
    Query,
    conditions=st.lists(_CONDITION, max_size=2).map(tuple) | _BAND,
    sort=st.lists(st.builds(SortKey, _PATH, st.booleans()), max_size=2).map(tuple),
    offset=st.integers(0, 3),
    limit=st.none() | st.integers(0, 5),
)
FIELDS: Final = st.lists(_PATH, max_size=3)
