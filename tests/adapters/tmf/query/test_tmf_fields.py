"""Attribute selection gives what was asked for, id and href."""

import pytest
from hypothesis import given

from adapters.tmf.entity import JsonObject
from adapters.tmf.query.fields import select
from tests.adapters.tmf.store import oracle
from tests.adapters.tmf.store.documents import DOCUMENTS, FIELDS

_DOCUMENT: JsonObject = {
    "id": "1",
    "href": "/1",
    "name": "n",
    "price": {"value": 5, "unit": "EUR"},
    "party": [{"id": "a", "role": "r"}, {"role": "s"}, "text", [{"id": "b", "x": 1}]],
    "dotted.name": True,
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), {}),
        (("name",), {"name": "n"}),
        (("unknown", "name.x", "price.value.x"), {"price": {}}),
        (("price.value",), {"price": {"value": 5}}),
        (("price.value", "price"), {"price": {"value": 5, "unit": "EUR"}}),
        (("party.id",), {"party": [{"id": "a"}, {}, [{"id": "b"}]]}),
        (("dotted.name",), {"dotted.name": True}),
    ],
)
def test_selection(fields: tuple[str, ...], expected: JsonObject) -> None:
    """Paths select whole attributes, members of objects, and members of elements of arrays."""
    assert select(_DOCUMENT, fields) == {"id": "1", "href": "/1", **expected}


def test_all_is_given_when_nothing_is_selected() -> None:
    """Without a selection a document is given as it is."""
    assert select(_DOCUMENT, None) == _DOCUMENT


@given(documents=DOCUMENTS, fields=FIELDS)
def test_selection_is_the_oracles(documents: list[JsonObject], fields: list[str]) -> None:
    """Random selections of random documents are what the oracle gives, in the same order."""
    for document in documents:
        chosen = select(document, fields)
        assert chosen == oracle.shown(document, fields)
        assert list(chosen) == [name for name in document if name in chosen]
