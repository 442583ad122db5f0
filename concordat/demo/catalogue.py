"""A generator of realistic product offerings of several marketplaces, and of what changes them.

The entities have the shape of TMF620 v4 ``ProductOffering``. Everything is a function of the seed:
the same seed gives the same catalogue on every machine. A change carries what an event says about
it: the digest of the entity's new content, the digest before, and where the content is.
"""

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from concordat.demo.canonical import Json, entity_hash
from concordat.demo.vocabulary import FAMILIES, MARKETPLACES, TIERS, Family, Marketplace, Tier

__all__ = ["Change", "changes"]

Entity = dict[str, Json]

_PATH = "/tmf-api/productCatalogManagement/v4/productOffering"
_EPOCH = datetime(2026, 1, 12, 8, 0, tzinfo=UTC)
_CREATE_SHARE = 0.45
_LIFECYCLE = {"Active": "Launched", "Launched": "Retired", "Retired": "Obsolete"}
_REASONS = {
    "Launched": "Approved by the marketplace operator",
    "Retired": "Replaced by a newer offering",
    "Obsolete": "No customers left",
}


class Change(NamedTuple):
    """One thing that happened to one offering.

    Attributes:
        marketplace: short name of the marketplace that publishes it.
        type: ``ProductOffering.create`` or ``ProductOffering.update``.
        subject: id of the offering.
        entity: its content after the change.
        entity_hash: SHA-256 of the canonical content, 32 bytes.
        previous_hash: the same of the content before, empty for a new offering.
        location: URL of the content, with the digest as ``hl``.
    """

    marketplace: str
    type: str
    subject: str
    entity: Entity
    entity_hash: bytes
    previous_hash: bytes
    location: str


@dataclass(slots=True)
class _Offering:
    """An offering as it stands now."""

    marketplace: Marketplace
    family: Family
    tier: Tier
    entity: Entity
    digest: bytes
    cents: int


def changes(
    seed: int, count: int, marketplaces: Sequence[Marketplace] = MARKETPLACES
) -> Iterator[Change]:
    """Give ``count`` changes, in the order in which they happened."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose, and nothing secret
    live: list[_Offering] = []
    now = _EPOCH
    for _ in range(count):
        now += timedelta(seconds=draw.randint(20, 900))
        if not live or draw.random() < _CREATE_SHARE:
            offering = _create(draw, draw.choice(marketplaces), now)
            live.append(offering)
            yield _change(offering, b"")
        else:
            offering = draw.choice(live)
            before = offering.digest
            _update(draw, offering, now)
            if offering.entity["lifecycleStatus"] == "Obsolete":
                live.remove(offering)
            yield _change(offering, before)


def _change(offering: _Offering, before: bytes) -> Change:
    subject = str(offering.entity["id"])
    host = f"https://{offering.marketplace.name}.example"
    return Change(
        marketplace=offering.marketplace.name,
        type="ProductOffering.update" if before else "ProductOffering.create",
        subject=subject,
        entity=dict(offering.entity),
        entity_hash=offering.digest,
        previous_hash=before,
        location=f"{host}{_PATH}/{subject}?hl={offering.digest.hex()}",
    )


def _create(draw: random.Random, marketplace: Marketplace, now: datetime) -> _Offering:
    family, tier = draw.choice(FAMILIES), draw.choice(TIERS)
    product = draw.choice(family.names)
    id_ = _urn(draw, "product-offering")
    cents = family.base_price * tier.price_percent + draw.randrange(0, 100, 5)
    entity: Entity = {
        "id": id_,
        "href": f"{_PATH}/{id_}",
        "@type": "ProductOffering",
        "name": f"{product} {tier.name}",
        "description": (
            f"{product} for {tier.name.lower()} customers, operated by {marketplace.operator}."
        ),
        "version": "1.0",
        "isBundle": False,
        "isSellable": True,
        "lifecycleStatus": "Active",
        "lastUpdate": _instant(now),
        "validFor": {"startDateTime": _instant(now)},
        "category": [
            {
                "id": _named("category", family.category),
                "name": family.category,
                "@referredType": "Category",
            }
        ],
        "productSpecification": {
            "id": _named("product-specification", family.specification),
            "name": family.specification,
            "version": "1.0",
        },
        "productOfferingPrice": [],
        "productOfferingTerm": [
            {
                "name": "Minimum term",
                "duration": {"amount": tier.agreement_months, "units": "month"},
            }
        ],
        "relatedParty": [
            {
                "id": _named("organization", marketplace.organisation),
                "name": f"did:elsi:{marketplace.organisation}",
                "role": "Seller",
                "@referredType": "Organization",
            }
        ],
    }
    offering = _Offering(marketplace, family, tier, entity, b"", cents)
    _set_price(draw, offering)
    offering.digest = entity_hash(entity)
    return offering


def _update(draw: random.Random, offering: _Offering, now: datetime) -> None:
    """Change the price, the description or the place in the life cycle; always the version."""
    entity = offering.entity
    kind = draw.choices(["price", "text", "lifecycle"], weights=[5, 2, 2])[0]
    if kind == "price":
        offering.cents = max(99, offering.cents * draw.randint(85, 118) // 100)
        _set_price(draw, offering)
    elif kind == "text":
        entity["description"] = (
            f"{entity['name']}, operated by {offering.marketplace.operator}. "
            f"Availability {draw.choice(('99.5', '99.9', '99.95'))} % per month."
        )
    else:
        status = _LIFECYCLE[str(entity["lifecycleStatus"])]
        entity["lifecycleStatus"] = status
        entity["statusReason"] = _REASONS[status]
    major, minor = str(entity["version"]).split(".")
    entity["version"] = f"{major}.{int(minor) + 1}"
    entity["lastUpdate"] = _instant(now)
    offering.digest = entity_hash(entity)


def _set_price(draw: random.Random, offering: _Offering) -> None:
    amount = offering.cents / 100
    currency = offering.marketplace.currency
    offering.entity["productOfferingPrice"] = [
        {
            "id": _urn(draw, "product-offering-price"),
            "name": f"Monthly price per {offering.family.unit}",
            "priceType": "recurring",
            "recurringChargePeriod": "month",
            "recurringChargePeriodLength": 1,
            "price": {"dutyFreeAmount": {"unit": currency, "value": amount}},
        }
    ]


def _urn(draw: random.Random, kind: str) -> str:
    return f"urn:ngsi-ld:{kind}:{uuid.UUID(int=draw.getrandbits(128), version=4)}"


def _named(kind: str, name: str) -> str:
    return f"urn:ngsi-ld:{kind}:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind}/{name}')}"


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
