"""Filters, order and paging give what the naive oracle gives, on both databases."""

from collections.abc import Sequence
from itertools import count, cycle
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.entity import Entity, JsonObject, canonical
from adapters.tmf.query.matching import matcher
from adapters.tmf.query.model import AnyOf, Comparison, Condition, Operator, Query, SortKey
from adapters.tmf.store import search
from adapters.tmf.store.database import Store
from ledger.core.limits import TMF_LEAF_HEAD_BYTES
from tests.adapters.tmf.store import oracle
from tests.adapters.tmf.store.documents import DOCUMENTS, QUERIES, VISIBLE

_RESOURCES: Final = count(1)


def _stored(store: Store, documents: Sequence[JsonObject]) -> str:
    """Store documents as a resource of their own."""
    resource = f"resource{next(_RESOURCES)}"
    with store.write() as writing:
        for document in documents:
            writing.put(Entity(resource, document["id"], canonical(document)), "create")
    return resource


def _found(
    store: Store, resource: str, query: Query, visible: tuple[Condition, ...] = ()
) -> tuple[list[str], int]:
    with store.read() as reading:
        page = reading.find(resource, query, visible)
    return [entity.id for entity in page.entities], page.total


@given(documents=DOCUMENTS, asked=st.lists(st.tuples(QUERIES, VISIBLE), min_size=1, max_size=5))
def test_every_answer_is_the_oracles(
    shared_store: Store,
    documents: list[JsonObject],
    asked: list[tuple[Query, tuple[Condition, ...]]],
) -> None:
    """Every way to run a query finds the same entities in the same order as the oracle."""
    resource = _stored(shared_store, documents)
    for (query, visible), few in zip(asked, cycle((1, 2_000)), strict=False):
        expected = oracle.answer(documents, query, visible)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "_FEW", few)  # along the order, or gathered first
            assert _found(shared_store, resource, query, visible) == expected, (query, visible)


@given(documents=DOCUMENTS, asked=QUERIES)
def test_one_document_is_judged_as_many_are(documents: list[JsonObject], asked: Query) -> None:
    """The matcher of single documents agrees with the oracle."""
    meets = matcher(asked.conditions)
    for document in documents:
        expected = all(oracle.meets(document, condition) for condition in asked.conditions)
        assert meets(document) == expected


_NEXT = "x" * TMF_LEAF_HEAD_BYTES
_MEANINGS: Final[tuple[tuple[object, Operator, str, bool], ...]] = (
    (10, "eq", "10", True),
    (10, "eq", "10.0", True),
    (10, "eq", "1e1", True),
    ("10", "eq", "10.0", False),
    ("10.0", "eq", "10", False),
    ("10.0", "eq", "10.0", True),
    (0, "eq", "-0", True),
    (0.1, "eq", "1e-1", True),
    (10, "ne", "10.0", False),
    ("10", "ne", "10.0", True),
    (True, "eq", "true", True),
    (None, "eq", "null", False),
    (None, "ne", "null", True),
    ([], "gte", "", False),
    ({"deeper": 1}, "gte", "", False),
    ("10", "gt", "9", True),
    (10, "gt", "9", True),
    (-10, "lt", "-9.5", True),
    (-1, "lt", "0", True),
    ("10", "gte", "10.0", True),
    ("10", "lte", "10.0", True),
    ("10", "gt", "10.0", False),
    ("ten", "gt", "9", False),
    (9, "lt", "ten", False),
    ("2026-01-01T00:00:00Z", "eq", "2026-01-01T01:00:00+01:00", False),
    ("2026-01-01T00:00:00Z", "gte", "2026-01-01T01:00:00+01:00", True),
    ("2026-01-01T00:00:00Z", "gt", "2026-01-01T01:00:00+01:00", False),
    ("2026-01-01T00:00:00.001Z", "gt", "2026-01-01", True),
    ("2026-01-01", "lt", "2026-01-01T00:00:00.000001Z", True),
    ("2026-01-01T00:00:00Z", "gt", "2025", False),
    ("b", "gt", "ab", True),
    ("\uffff", "lt", "\N{GRINNING FACE}", True),
    (_NEXT, "eq", _NEXT, True),
    (_NEXT + "y", "eq", _NEXT, False),
    (_NEXT + "y", "gt", _NEXT, True),
    (_NEXT + "y", "lte", _NEXT + "x", False),
    (_NEXT + "y", "lte", _NEXT + "y", True),
    (["a", ["b"]], "eq", "b", True),
    (["a", "b"], "ne", "b", False),
    ({"name": "b"}, "eq", "b", False),
    ("caß", "regex", "^.a.$", True),
    ("ca\nß", "regex", "^.a.$", False),
    (10.5, "regex", "^10[.]5$", True),
    (_NEXT + "y", "regex", "xy$", True),
)


def test_what_operators_mean(store: Store) -> None:
    """Each leaf stands to each value as the query model says, for one document and for many."""
    documents = [{"id": str(index), "v": meant[0]} for index, meant in enumerate(_MEANINGS)]
    resource = _stored(store, documents)
    for document, meaning in zip(documents, _MEANINGS, strict=True):
        _, operator, value, is_met = meaning
        condition = Comparison("v", operator, value)
        found, _ = _found(store, resource, Query((condition,)))
        assert (document["id"] in found, matcher((condition,))(document)) == (is_met, is_met), (
            meaning
        )


def test_changed_and_removed_entities_are_found_by_what_they_are_now(store: Store) -> None:
    """Old leaves of an entity are gone after a change, and all of them after its end."""
    first = {"id": "1", "tag": ["a", "b"]}
    resource = _stored(store, [first, {"id": "2", "tag": "b"}])
    with store.write() as writing:
        writing.put(Entity(resource, "1", canonical({"id": "1", "tag": ["c"]})), "attribute")
    assert _found(store, resource, Query((Comparison("tag", "eq", "a"),))) == ([], 0)
    assert _found(store, resource, Query((Comparison("tag", "eq", "c"),))) == (["1"], 1)
    with store.write() as writing:
        writing.remove(resource, "1")
    assert _found(store, resource, Query((Comparison("tag", "gte", ""),))) == (["2"], 1)


def test_order_is_of_creation_however_ids_and_changes_go(store: Store) -> None:
    """Without a key, and among equals, entities stand in the order in which they were created."""
    resource = _stored(store, [{"id": id_, "same": 1} for id_ in ("c", "a", "b")])
    with store.write() as writing:
        writing.put(Entity(resource, "c", canonical({"id": "c", "same": 1.0})), "attribute")
    assert _found(store, resource, Query())[0] == ["c", "a", "b"]
    assert _found(store, resource, Query(sort=(SortKey("same", descending=True),)))[0] == [
        *("c", "a", "b")
    ]


def test_both_ends_of_a_range_may_be_met_by_different_elements(store: Store) -> None:
    """Conditions are ANDed on the entity; only with single values they are one range."""
    band = (Comparison("n", "gt", "3"), Comparison("n", "lte", "5"))
    single = _stored(store, [{"id": "1", "n": 5}, {"id": "2", "n": 3}, {"id": "3", "n": [9]}])
    assert _found(store, single, Query(band)) == (["1"], 1)
    several = _stored(store, [{"id": "1", "n": 5}, {"id": "2", "n": [1, 9]}, {"id": "3", "n": 9}])
    assert _found(store, several, Query(band)) == (["1", "2"], 2)


def test_resources_are_apart(store: Store) -> None:
    """A filter finds entities of its own resource only, also at a path that both have."""
    documents = [{"id": "1", "name": "n"}]
    resource, other = _stored(store, documents), _stored(store, documents)
    with store.write() as writing:
        writing.remove(other, "1")
    for operator in ("eq", "gte", "regex"):
        query = Query((Comparison("name", operator, "n"),))
        assert _found(store, resource, query) == (["1"], 1)
        assert _found(store, other, query) == ([], 0)


def test_names_with_dots_are_found_by_their_path(store: Store) -> None:
    """A member's name may hold a dot: its path is written in the same way."""
    resource = _stored(store, [{"id": "1", "a.b": "x"}, {"id": "2", "a": {"b": "x"}}])
    assert _found(store, resource, Query((Comparison("a.b", "eq", "x"),))) == (["1", "2"], 2)


def test_no_more_than_the_bound_is_given_when_no_limit_is_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit, at most the node's bound is given, and the total says how many there are."""
    resource = _stored(store, [{"id": str(index), "n": "x"} for index in range(4)])
    for bound in (3, 4, 5):
        monkeypatch.setattr(search, "TMF_FOUND_MAX", bound)
        for conditions in ((), (Comparison("n", "regex", "x"),)):
            ids, total = _found(store, resource, Query(conditions))
            assert (len(ids), total) == (min(bound, 4), 4)


def test_many_alternatives_and_many_found_by_regex(store: Store) -> None:
    """A hundred alternatives, and more matches than one statement names, are answered."""
    resource = _stored(store, [{"id": f"{index}", "n": f"v{index}"} for index in range(520)])
    some = AnyOf(tuple(Comparison("n", "eq", f"v{index}") for index in range(100)))
    assert _found(store, resource, Query((some,)))[1] == 100
    ids, total = _found(store, resource, Query((Comparison("n", "regex", "^v"),)))
    assert (len(ids), total, ids[:2], ids[-1]) == (520, 520, ["0", "1"], "519")
