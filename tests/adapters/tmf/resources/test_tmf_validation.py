"""Validation beyond single attributes: words, extensions, subtypes, ids, replicas, date-times."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.moments import is_date_time, spell_time
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.resources.validation import check_create, check_replica, check_whole, is_id
from ledger.core.limits import TMF_ID_CHARS_MAX
from tests.adapters.tmf.entities.entity_world import minimal


def refusal_of(resource: str, **attributes: object) -> str:
    """Give code and message of the refusal of the smallest document with these attributes."""
    with pytest.raises(TmfError) as caught:
        check_create(RESOURCES[resource], {**minimal(resource), **attributes})
    return f"{caught.value.code}: {caught.value.message}"


def passes(resource: str, **attributes: object) -> None:
    """Check that the smallest document with these attributes is sound."""
    check_create(RESOURCES[resource], {**minimal(resource), **attributes})


@pytest.mark.parametrize("status", ["aborted", "aborted ", "Aborted", "pendingActive", "ACTIVE"])
def test_spelling_of_states(status: str) -> None:
    """A state is known in any case, and with the blank that the definition has."""
    passes("product", status=status)


def test_unknown_words() -> None:
    """A word that is none of an enumeration is refused with those that are."""
    assert refusal_of("product", status="dead").startswith("unknown-value: status is not one of: ")
    items = [{"id": "1", "action": "Add"}]
    assert refusal_of("productOrder", productOrderItem=items) == (
        "unknown-value: productOrderItem[0].action is not one of: add, modify, delete, noChange"
    )
    items = [{"id": "1", "action": "add", "state": "partial"}]
    assert "productOrderItem[0].state" in refusal_of("productOrder", productOrderItem=items)
    passes("productOffering", lifecycleStatus="any word at all")


def test_an_order_has_items() -> None:
    """An order without any item is refused; so is an item that is no object."""
    assert refusal_of("productOrder", productOrderItem=[]).startswith("too-few-items: ")
    assert refusal_of("productOrder", productOrderItem=[None]).startswith("wrong-type: ")


def test_nested_kinds() -> None:
    """Kinds are checked at every depth, through shapes that hold themselves."""
    passes("productOffering", validFor={"startDateTime": "2026-01-01T00:00:00Z"})
    assert refusal_of("productOffering", validFor={"startDateTime": "soon"}) == (
        "invalid-date-time: validFor.startDateTime is not a date-time of RFC 3339"
    )
    product: dict[str, Any] = {"isBundle": "no"}
    for _ in range(5):
        product = {"product": [product]}
    message = refusal_of("product", **product)
    assert message == f"wrong-type: {'product[0].' * 5}isBundle is not a boolean"
    value = [{"name": "c", "value": {"any": [1, "x", None]}}]
    passes("product", productCharacteristic=value)


def test_null_is_lenient_inside() -> None:
    """A required attribute inside may be null, as DOME's own example has it."""
    passes("product", productPrice=[{"price": None, "priceType": "recurring"}])
    passes("productOffering", validFor=None, category=None)


def test_extensions_are_kept() -> None:
    """Unknown attributes pass whatever they are, but cannot pass for the path of a known one."""
    passes("productOffering", colour={"r": [1, {"a.b": 1}]}, category=[{"id": "1", "extra": 1}])
    assert refusal_of("productOffering", **{"relatedParty.id": "x"}).startswith("forbidden-name: ")
    category = [{"id": "1", "a.b": 1}]
    assert refusal_of("productOffering", category=category).startswith(
        "forbidden-name: category[0]"
    )


def test_subtypes() -> None:
    """@type names a subtype whose attributes are checked too; an unknown type is an extension."""
    kind = {"@type": "PhysicalResourceSpecification"}
    passes("resourceSpecification", **kind, model="M")
    assert refusal_of("resourceSpecification", **kind, model=1).startswith("wrong-type: model ")
    passes("resourceSpecification", model=1)
    passes("resourceSpecification", **{"@type": "Mine", "@baseType": "ResourceSpecification"})
    assert refusal_of("resourceSpecification", **{"@type": 1}).startswith("wrong-type: @type ")
    assert refusal_of(
        "resourceSpecification",
        **{"@type": "ResourceFunctionSpecification"},
        connectivitySpecification=[{"connectionSpecification": []}],
    ).startswith("too-few-items: connectivitySpecification[0].connectionSpecification ")


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        ("1", True),
        ("urn:ngsi-ld:product-offering:6c1b", True),
        ("id:(version=1.0)", True),
        ("x" * TMF_ID_CHARS_MAX, True),
        ("x" * (TMF_ID_CHARS_MAX + 1), False),
        ("", False),
        ("..", False),
        (".hidden", False),
        ("a/b", False),
        ("a?b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        (5, False),
    ],
)
def test_ids(id_: object, expected: bool) -> None:
    """An id is what can stand in a path as it is."""
    assert is_id(id_) is expected


def test_replicas_are_read_leniently() -> None:
    """Another's entity needs no nested requirement; all else is asked of it as of ours."""
    lax = {"id": "1", "name": "N", "category": [{"name": "no id"}]}
    check_replica(RESOURCES["productOffering"], lax)
    with pytest.raises(TmfError, match=r"category\[0\]\.id is required"):
        check_whole(RESOURCES["productOffering"], lax)
    for wrong in ({"id": "1"}, {"name": "N"}, {"id": "a/b", "name": "N"}, {**lax, "category": 1}):
        with pytest.raises(TmfError):
            check_replica(RESOURCES["productOffering"], wrong)


@pytest.mark.parametrize("document", [None, [], "x", 1, True, [{"name": "N"}]])
def test_only_objects(document: object) -> None:
    """What is no JSON object is no entity."""
    with pytest.raises(TmfError, match="the document is not a JSON object"):
        check_create(RESOURCES["catalog"], document)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T15:08:00Z", True),
        ("2026-11-21T15:08:00.123456789-03:30", True),
        ("2026-11-21t15:08:00z", True),
        ("2026-11-21 15:08:00+0100", True),
        ("2016-12-31T23:59:60Z", True),
        ("2017-08-27T00:00", True),
        ("2017-08-27", True),
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("0000-01-01", False),
        ("2026-13-01T00:00:00Z", False),
        ("2026-11-21T24:00:00Z", False),
        ("2026-11-21T15:60:00Z", False),
        ("2026-11-21T15:08:00Z ", False),
        ("2026-11-21T15:08:00Z\n", False),
        ("٢٠٢٦-11-21", False),
        ("1763737680", False),
    ],
)
def test_date_times(text: str, expected: bool) -> None:
    """RFC 3339 passes, and what the definitions' examples leave out; other texts do not."""
    assert is_date_time(text) is expected


@given(st.integers(0, 253_402_300_799_999))
def test_own_date_times(time_ms: int) -> None:
    """What this node writes is RFC 3339 in UTC with milliseconds."""
    text = spell_time(time_ms)
    assert is_date_time(text)
    assert len(text) == 24
    assert text[-5:] == f".{time_ms % 1000:03d}"[:4] + "Z"
