"""The catalogue generator: repeatable, chained, and of the shape that TMF620 asks for."""

import hashlib
import json
from itertools import islice

import pytest

from concordat.demo.canonical import Json, canonical_json, entity_hash
from concordat.demo.catalogue import changes
from concordat.demo.vocabulary import MARKETPLACES

SEED = 2026
LIFECYCLE = ["Active", "Launched", "Retired", "Obsolete"]


def test_same_seed_gives_the_same_catalogue() -> None:
    """The catalogue is a function of the seed, also across processes and releases."""
    digest = hashlib.sha256()
    for change in changes(SEED, 100):
        digest.update(change.entity_hash + change.previous_hash + change.location.encode())
    assert list(changes(SEED, 50)) == list(islice(changes(SEED, 100), 50))
    assert list(changes(SEED, 10)) != list(changes(SEED + 1, 10))
    assert digest.hexdigest() == "5e0239a4ce67b4cc62525639d081ce77d0ea66cec145cd2068968d63ab82c57d"


def test_each_change_names_the_content_before_it() -> None:
    """The hashes of one offering form a chain that begins with nothing."""
    last: dict[str, bytes] = {}
    for change in changes(SEED, 500):
        assert change.previous_hash == last.get(change.subject, b"")
        assert change.type == f"ProductOffering.{'update' if change.previous_hash else 'create'}"
        assert change.entity_hash == entity_hash(change.entity)
        assert change.location.endswith(f"{change.subject}?hl={change.entity_hash.hex()}")
        assert change.location.startswith(f"https://{change.marketplace}.example/")
        last[change.subject] = change.entity_hash
    assert len(last) < 500


def test_entities_have_the_shape_of_a_product_offering() -> None:
    """Every entity has what TMF620 and DOME ask of an offering, in their types."""
    for change in changes(SEED, 200):
        entity = json.loads(canonical_json(change.entity))
        assert entity["id"] == change.subject
        assert entity["href"].endswith(entity["id"])
        assert {"name", "description", "version", "lastUpdate", "validFor"} <= entity.keys()
        assert entity["lifecycleStatus"] in LIFECYCLE
        (price,) = entity["productOfferingPrice"]
        assert price["price"]["dutyFreeAmount"]["value"] > 0
        assert entity["relatedParty"][0]["name"].startswith("did:elsi:VAT")


def test_life_goes_forward() -> None:
    """An offering's version grows with each change and its life cycle never goes back."""
    seen: dict[str, tuple[int, int]] = {}
    for change in changes(SEED, 500):
        minor = int(str(change.entity["version"]).split(".")[1])
        stage = LIFECYCLE.index(str(change.entity["lifecycleStatus"]))
        before = seen.get(change.subject, (-1, 0))
        assert minor == before[0] + 1
        assert stage >= before[1]
        seen[change.subject] = (minor, stage)
    assert any(stage == LIFECYCLE.index("Retired") for _, stage in seen.values())


def test_every_marketplace_takes_part() -> None:
    """Several hundred changes come from all marketplaces."""
    assert {change.marketplace for change in changes(SEED, 300)} == {m.name for m in MARKETPLACES}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # The example of RFC 8785, 3.2.3: keys by UTF-16 code units, not by code points.
        (
            {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
            '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        ),
        ([1.0, -0.0, 19.99, 100000.5, 2**53 - 1], "[1,0,19.99,100000.5,9007199254740991]"),
        ([True, False, None], "[true,false,null]"),
        ('é"\\/\b\f\n\r\t\x0f\x7f', '"é\\"\\\\/\\b\\f\\n\\r\\t\\u000f\x7f"'),
        ({}, "{}"),
        ([[], {"a": [{"b": 0.5}]}], '[[],{"a":[{"b":0.5}]}]'),
    ],
)
def test_canonical_form(value: Json, text: str) -> None:
    """Values are written as RFC 8785 says."""
    assert canonical_json(value) == text.encode()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, 1e300, 1e-9, "\ud800", {"\ud800": 1}]
)
def test_value_without_canonical_form_is_refused(value: Json) -> None:
    """A value that two programs might write differently is refused."""
    with pytest.raises(ValueError, match=r"canonical|surrogates"):
        canonical_json(value)
