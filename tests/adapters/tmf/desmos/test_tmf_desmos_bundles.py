"""Whatever a peer sends as entities or as a notification is a value or a DecodeError."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.desmos.bundles import entity_bytes, read_bundle, write_array, write_lines
from adapters.tmf.desmos.notifications import read_notification
from adapters.tmf.entity import canonical
from adapters.tmf.resources.registry import RESOURCES as REGISTRY
from ledger.core.errors import DecodeError
from ledger.core.limits import DESMOS_JSON_DEPTH_MAX
from tests.adapters.dlt.desmos_hash import digest
from tests.adapters.dlt.examples import example
from tests.adapters.tmf.desmos.test_tmf_desmos_ngsi import DOCUMENTS

ENTITY: dict[str, Any] = {"id": "urn:ngsi-ld:catalog:1", "type": "catalog", "name": "Ä"}


def sent(*texts: str) -> bytes:
    """Give a bundle of any texts."""
    return json.dumps([{"value": b64encode(text.encode()).decode()} for text in texts]).encode()


@pytest.mark.parametrize("write", [write_array, write_lines])
def test_both_writings_are_read(write: Callable[[list[bytes]], bytes]) -> None:
    """Arrays and lines give the entities in their order, with the hash of what was sent."""
    bodies = [
        entity_bytes("catalog", {"id": f"urn:ngsi-ld:catalog:{number}", "price": 1.5})
        for number in range(3)
    ]
    parcels = read_bundle(write(bodies))
    assert [parcel.id[-1] for parcel in parcels] == ["0", "1", "2"]
    assert [parcel.hash for parcel in parcels] == [digest(body.decode()) for body in bodies]
    assert parcels[0].resource == "catalog"
    assert parcels[0].document() == {
        "id": "urn:ngsi-ld:catalog:0",
        "price": 1.5,
        "href": "/tmf-api/productCatalogManagement/v4/catalog/urn:ngsi-ld:catalog:0",
    }


@given(DOCUMENTS)
def test_a_replica_has_the_bytes_of_the_original(document: dict[str, Any]) -> None:
    """What travels in Desmos' form is stored by the others as it is here, to the byte."""
    document |= {"href": REGISTRY["catalog"].href(document["id"])}
    (parcel,) = read_bundle(write_array([entity_bytes("catalog", document)]))
    assert canonical(parcel.document()) == canonical(document)


def test_the_hash_is_that_of_the_text() -> None:
    """Numbers hash as they were written, not as they are kept."""
    (parcel,) = read_bundle(sent(json.dumps(ENTITY | {"price": 100.0})))
    assert parcel.hash == digest(json.dumps(ENTITY | {"price": 100.0}))
    assert parcel.hash != digest(json.dumps(ENTITY | {"price": 100}))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b'[{"value":"*"}]',
        b'[{"value":"/w=="}]',
        sent(json.dumps(ENTITY)).replace(b'"}', b'*"}'),
        sent("[]"),
        sent("x"),
        sent('{"id":"","type":"catalog"}'),
        sent('{"id":"a"}'),
        sent('{"id":1,"type":"catalog"}'),
        sent('{"id":"a","type":"catalog"} more'),
        sent('{"id":"a","type":"catalog","n":NaN}'),
        sent('{"a":' * (DESMOS_JSON_DEPTH_MAX + 1) + "1" + "}" * (DESMOS_JSON_DEPTH_MAX + 1)),
    ],
)
def test_what_is_no_entity_is_refused(body: bytes) -> None:
    """Each fault is a DecodeError."""
    with pytest.raises(DecodeError):
        read_bundle(body)


@given(st.binary() | st.text().map(sent))
def test_any_bytes_are_entities_or_refused(body: bytes) -> None:
    """Nothing but a DecodeError comes out of any bytes."""
    try:
        parcels = read_bundle(body)
        documents = [parcel.document() for parcel in parcels]
    except DecodeError:
        return
    assert len(documents) == len(parcels)


def test_an_entity_of_another_type_has_no_document() -> None:
    """What Desmos calls otherwise than any of our resources is nothing that is stored."""
    (parcel,) = read_bundle(sent(json.dumps(ENTITY | {"type": "individual"})))
    assert parcel.resource is None
    with pytest.raises(DecodeError):
        parcel.document()


def test_the_reference_notification_is_read() -> None:
    """The published example is sound; unknown members do not matter."""
    told = read_notification(json.dumps(example("notification_to_subscriber") | {"x": 1}).encode())
    assert told.sender == example("notification_to_subscriber")["ethereumAddress"].lower()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": -1},
        {"id": None},
        {"timestamp": -1},
        {"publisherAddress": " "},
        {"eventType": ""},
        {"entityIDHash": None},
        {"previousEntityHash": "\t"},
        {"ethereumAddress": ""},
        {"dataLocation": "x"},
        {"dataLocation": "http://"},
        {"relevantMetadata": None},
        {"relevantMetadata": ["sbx", ""]},
    ],
)
def test_what_desmos_refuses_of_a_notification_is_refused(changes: dict[str, object]) -> None:
    """Each rule of its validation holds."""
    wrong = example("notification_to_subscriber") | changes
    with pytest.raises(DecodeError):
        read_notification(json.dumps(wrong).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 99_999])
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    """Any other bytes are a DecodeError."""
    with pytest.raises(DecodeError):
        read_notification(body)
