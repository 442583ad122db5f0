"""Discovery lines, the policies of replication, and who has the newer entity."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.desmos.kinds import RESOURCES, TYPES
from adapters.tmf.desmos.offers import (
    Offer,
    is_replicable,
    is_wanted,
    offer_of,
    read_offers,
    write_offers,
)
from adapters.tmf.resources.registry import RESOURCES as REGISTRY
from ledger.core.errors import DecodeError
from ledger.core.limits import DESMOS_OFFERS_MAX

NOW_MS = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() * 1000)
LAUNCHED = Offer("urn:ngsi-ld:catalog:1", "catalog", lifecycle_status="Launched")
TEXTS = st.none() | st.text()


def at(offset_ms: int) -> str:
    """Give a time near now."""
    return datetime.fromtimestamp((NOW_MS + offset_ms) / 1000, UTC).isoformat()


@dataclass(frozen=True)
class Case:
    """An entity and whether it is replicated."""

    changes: dict[str, str | None]
    expected: bool


@pytest.mark.parametrize(
    "case",
    [
        Case({}, True),
        Case({"lifecycle_status": "Retired"}, True),
        Case({"lifecycle_status": "Obsolete"}, True),
        Case({"lifecycle_status": "Active"}, False),
        Case({"lifecycle_status": "launched"}, False),
        Case({"lifecycle_status": None}, False),
        Case({"lifecycle_status": None, "type": "product-order"}, True),
        Case({"lifecycle_status": None, "type": "quote"}, True),
        Case({"valid_for": at(-1)}, True),
        Case({"valid_for": at(2_000)}, True),
        Case({"valid_for": at(2_001)}, False),
        Case({"valid_for": "some day"}, False),
        Case({"end_date_time": at(1)}, True),
        Case({"end_date_time": at(0)}, False),
        Case({"end_date_time": "never"}, False),
        Case({"type": "quote", "end_date_time": at(-1)}, False),
    ],
    ids=lambda case: str(case.changes),
)
def test_only_what_is_on_the_market_is_replicated(case: Case) -> None:
    """State (GP_1) and time (GP_2) decide; orders and quotes have no state to look at."""
    assert is_replicable(msgspec.structs.replace(LAUNCHED, **case.changes), NOW_MS) is case.expected


@pytest.mark.parametrize(
    "theirs, ours, expected",
    [
        ({"version": "1.1"}, {"version": "1.0"}, True),
        ({"version": "1.10"}, {"version": "1.9"}, True),
        ({"version": "v2"}, {"version": "1.9.9"}, True),
        ({"version": "1"}, {"version": "1.0.0"}, False),
        ({"version": "1.0"}, {"version": "1.1"}, False),
        ({"version": "1.0", "last_update": at(1)}, {"version": "1", "last_update": at(0)}, True),
        ({"version": "1.0", "last_update": at(0)}, {"version": "1.0", "last_update": at(0)}, False),
        ({"version": "1.0", "last_update": at(9)}, {"version": "1.1", "last_update": at(0)}, False),
        ({"last_update": at(1)}, {"version": "1.1", "last_update": at(0)}, True),
        ({"version": "1.0", "last_update": at(1)}, {"last_update": at(0)}, False),
        ({"last_update": at(1)}, {}, False),
        ({"last_update": "now"}, {"last_update": at(0)}, False),
        ({"version": "one", "last_update": at(1)}, {"last_update": at(0)}, True),
        ({"last_update": "2026-11-21T13:00:00+01:00"}, {"last_update": at(0)}, False),
    ],
)
def test_the_newer_entity_is_wanted(
    theirs: dict[str, str], ours: dict[str, str], expected: bool
) -> None:
    """A greater version, or the same with a later update, is newer; else nothing is."""
    assert is_wanted(Offer("e", "catalog", **theirs), Offer("e", "catalog", **ours)) is expected


def test_what_is_unknown_is_wanted() -> None:
    """An entity that we lack is newer than nothing."""
    assert is_wanted(Offer("e", "catalog"), None)


@given(
    st.lists(st.builds(Offer, st.text(), st.text(), TEXTS, TEXTS, TEXTS, TEXTS, TEXTS), max_size=4)
)
def test_both_writings_of_a_discovery_are_read(offers: list[Offer]) -> None:
    """Lines and the array of older peers say the same."""
    assert read_offers(write_offers(offers)) == offers
    assert read_offers(msgspec.json.encode(offers)) == offers


def test_a_line_has_the_names_of_desmos() -> None:
    """Each line is one object with the nine members."""
    document = {
        "id": "e",
        "version": "1.2",
        "lastUpdate": "2026-01-01T00:00:00Z",
        "lifecycleStatus": "Launched",
        "validFor": {
            "startDateTime": "2025-01-01T00:00:00Z",
            "endDateTime": "2027-01-01T00:00:00Z",
        },
    }
    offer = msgspec.structs.replace(offer_of("catalog", document), hash="aa", hashlink="bb")
    assert json.loads(write_offers([offer]).decode().rstrip("\n")) == {
        "id": "e",
        "type": "catalog",
        "version": "1.2",
        "lastUpdate": "2026-01-01T00:00:00Z",
        "lifecycleStatus": "Launched",
        "validFor": "2025-01-01T00:00:00Z",
        "endDateTime": "2027-01-01T00:00:00Z",
        "hash": "aa",
        "hashlink": "bb",
    }


@pytest.mark.parametrize("version", ["beta", "1.2.3.4", "1.0-rc", " ", 7, None])
def test_a_version_that_desmos_cannot_read_is_not_told(version: object) -> None:
    """Its parser would end the whole synchronisation."""
    assert offer_of("catalog", {"id": "e", "version": version}).version is None


@pytest.mark.parametrize(
    "body",
    [b"{", b"[{}]", b'{"id":1,"type":"t"}', b"\xff", b'{"id":"a","type":"t"}\n[', b"[" * 9999],
)
def test_what_is_no_discovery_is_refused(body: bytes) -> None:
    """Any other bytes are a DecodeError."""
    with pytest.raises(DecodeError):
        read_offers(body)


def test_a_discovery_has_a_limit() -> None:
    """As many entities as allowed are read, one more is refused."""
    line = b'{"id":"a","type":"t"}\n'
    assert len(read_offers(line * DESMOS_OFFERS_MAX)) == DESMOS_OFFERS_MAX
    with pytest.raises(DecodeError):
        read_offers(line * (DESMOS_OFFERS_MAX + 1))


def test_every_kind_is_a_resource_of_ours() -> None:
    """All names are the registry's; persons and usage records stay here."""
    assert TYPES.keys() <= REGISTRY.keys()
    assert {TYPES[name] for name in TYPES} == set(RESOURCES)
    assert not {"individual", "usage"} & RESOURCES.keys()
