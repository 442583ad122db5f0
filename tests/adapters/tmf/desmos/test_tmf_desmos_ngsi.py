"""TM Forum documents and NGSI-LD entities are the same content in two forms."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.desmos.ngsi import from_ngsi, to_ngsi
from adapters.tmf.entity import canonical
from ledger.core.errors import DecodeError

NAMES = st.sampled_from(
    ["id", "type", "value", "@type", "object", "datasetId", "name", "tmfEscaped-id", "tmfEscaped-x"]
) | st.text(max_size=5)
IDS = st.sampled_from(["urn:ngsi-ld:organization:1", "urn:ngsi-ld:category:2", "urn:x:3", ""])
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | IDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=4)
        | st.dictionaries(NAMES, inner, max_size=3).flatmap(
            lambda members: IDS.map(lambda id_: members | {"id": id_})
        )
    ),
    max_leaves=15,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6).flatmap(
    lambda members: st.text(min_size=1).map(lambda id_: members | {"id": id_})
)
PARTY = {
    "id": "urn:ngsi-ld:organization:a",
    "role": "Seller",
    "name": "did:elsi:VATES-1",
    "@referredType": "Organization",
}


@given(DOCUMENTS)
def test_a_document_survives_both_ways(document: dict[str, Any]) -> None:
    """What becomes NGSI-LD becomes the same document again."""
    assert from_ngsi(to_ngsi("product-offering", document)) == document


@given(DOCUMENTS)
def test_an_entity_names_itself_and_nothing_reserved_elsewhere(document: dict[str, Any]) -> None:
    """Every attribute but id and type is a Property or a Relationship."""
    entity = to_ngsi("product-offering", document)
    assert entity["id"] == document["id"]
    assert entity["type"] == "product-offering"
    for name, attribute in entity.items():
        if name not in {"id", "type"}:
            rows = attribute if isinstance(attribute, list) else [attribute]
            assert {row["type"] for row in rows} <= {"Property", "Relationship"}, name


def test_the_form_of_an_offering() -> None:
    """Values are Properties, references Relationships, reserved names escaped."""
    document = {
        "id": "urn:ngsi-ld:product-offering:1",
        "href": "/tmf-api/productCatalogManagement/v4/productOffering/1",
        "@type": "ProductOffering",
        "lifecycleStatus": "Launched",
        "validFor": {"startDateTime": "2026-01-01T00:00:00Z"},
        "productSpecification": {"id": "urn:ngsi-ld:product-specification:2", "version": "1.0"},
        "relatedParty": [PARTY],
        "prodSpecCharValueUse": [{"id": "c", "name": "n", "value": 1}],
    }
    text = {"type": "Property", "value": "1.0"}
    assert to_ngsi("product-offering", document) == {
        "id": "urn:ngsi-ld:product-offering:1",
        "type": "product-offering",
        "href": {"type": "Property", "value": document["href"]},
        "tmfEscaped-@type": {"type": "Property", "value": "ProductOffering"},
        "lifecycleStatus": {"type": "Property", "value": "Launched"},
        "validFor": {"type": "Property", "value": {"startDateTime": "2026-01-01T00:00:00Z"}},
        "productSpecification": {
            "type": "Relationship",
            "object": "urn:ngsi-ld:product-specification:2",
            "version": text,
        },
        "relatedParty": [
            {
                "type": "Relationship",
                "object": PARTY["id"],
                "datasetId": PARTY["id"],
                "role": {"type": "Property", "value": "Seller"},
                "name": {"type": "Property", "value": "did:elsi:VATES-1"},
                "@referredType": {"type": "Property", "value": "Organization"},
            }
        ],
        "prodSpecCharValueUse": {
            "type": "Property",
            "value": [{"tmfEscaped-id": "c", "name": "n", "tmfEscaped-value": 1}],
        },
    }


def test_one_party_in_two_roles_is_no_relationship() -> None:
    """A broker keeps each datasetId once, so references to one entity twice stay a value."""
    parties = [PARTY, PARTY | {"role": "SellerOperator"}]
    entity = to_ngsi("catalog", {"id": "c", "relatedParty": parties})
    assert entity["relatedParty"]["type"] == "Property"
    assert from_ngsi(entity)["relatedParty"] == parties


@pytest.mark.parametrize(
    "attribute, value",
    [
        ({"type": "Property", "value": "x", "observedAt": "2026-01-01T00:00:00Z"}, "x"),
        ("x", "x"),
        ({"type": "GeoProperty", "value": {"type": "Point"}}, {"type": "Point"}),
        ({"type": "LanguageProperty", "languageMap": {"de": "x"}}, {"de": "x"}),
        (
            {"type": "Relationship", "object": ["urn:a", "urn:b"]},
            [{"id": "urn:a"}, {"id": "urn:b"}],
        ),
        ({"type": "Relationship", "object": "urn:a", "createdAt": "2026"}, {"id": "urn:a"}),
        ([{"type": "Property", "value": 1, "datasetId": "urn:1"}], [1]),
        ({"type": "Point", "coordinates": [1, 2]}, {"type": "Point", "coordinates": [1, 2]}),
        ({"tmfEscaped-id": "c"}, {"id": "c"}),
    ],
)
def test_other_forms_of_brokers_are_read(attribute: object, value: object) -> None:
    """Short forms, system attributes and further kinds of properties are understood."""
    entity = {
        "id": "e",
        "type": "t",
        "@context": "https://x/",
        "modifiedAt": "2026",
        "a": attribute,
    }
    assert from_ngsi(entity) == {"id": "e", "a": value}


def test_an_array_of_one_element_is_an_array_again() -> None:
    """Brokers write such an array as its element; TM Forum's arrays stay arrays."""
    entity = to_ngsi("catalog", {"id": "c", "relatedParty": [PARTY]})
    entity["relatedParty"] = entity["relatedParty"][0]
    entity["note"] = {"type": "Property", "value": {"text": "x"}}
    assert from_ngsi(entity) == {"id": "c", "relatedParty": [PARTY], "note": [{"text": "x"}]}


@pytest.mark.parametrize(
    "entity",
    [
        {"type": "t"},
        {"id": 7, "type": "t"},
        {"id": "", "type": "t"},
        {"id": "e", "tmfEscaped-id": {"type": "Property", "value": "other"}},
        {"id": "e", "a": {"id": 1, "tmfEscaped-id": 2}},
        {"id": "e", "a": {"type": "Relationship", "object": "urn:a", "tmfEscaped-id": "urn:b"}},
    ],
)
def test_entities_that_say_a_name_twice_are_refused(entity: dict[str, Any]) -> None:
    """An entity without an id is refused, and one that could give two ids to its reader."""
    with pytest.raises(DecodeError):
        from_ngsi(entity)


@given(DOCUMENTS)
def test_the_entity_has_canonical_bytes(document: dict[str, Any]) -> None:
    """Equal documents give equal bytes of the entity, whatever the order of their members."""
    turned = dict(reversed(document.items()))
    assert canonical(to_ngsi("t", document)) == canonical(to_ngsi("t", turned))
