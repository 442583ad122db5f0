"""Entities under policies in a real store, and callers in every role towards them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.entities.patching import MergePatch
from adapters.tmf.entities.policy import Policy
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import JsonObject
from adapters.tmf.policy.compliance import Certificate, Verdict
from adapters.tmf.policy.profile import Profile, policies_of
from adapters.tmf.query.model import Query
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store

MEMBER = "did:elsi:VATES-00000001"
SELLER = "did:elsi:VATES-11111111"
BUYER = "did:elsi:VATES-22222222"
STRANGER = "did:elsi:VATES-33333333"
OTHER_MEMBER = "did:elsi:VATES-00000002"
NOW = "2026-11-21T12:00:00.000Z"
NOW_MS = 1_795_262_400_000
POWERS = frozenset(f"ProductOffering/{action}" for action in ("Create", "Update", "Delete"))

CALLERS = {
    "a": ANYBODY,
    "t": Caller(STRANGER),
    "T": Caller(STRANGER, POWERS),
    "s": Caller(SELLER),
    "S": Caller(SELLER, POWERS),
    "b": Caller(BUYER),
    "o": OPERATOR,
}
"""By a letter: anybody, a stranger, a seller, each without and with powers; buyer; operator."""

DOME = Profile("dome", MEMBER)

_MORE: dict[str, JsonObject] = {
    "productOrder": {"productOrderItem": [{"id": "1", "action": "add", "state": "acknowledged"}]},
    "cancelProductOrder": {"productOrder": {"id": "urn:ngsi-ld:product-order:" + "0" * 8}},
    "serviceCandidate": {"serviceSpecification": {"id": "any"}},
    "product": {"status": "created"},
    "organization": {
        "tradingName": "Seller",
        "externalReference": [
            {"externalReferenceType": "idm_id", "name": SELLER.removeprefix("did:elsi:")}
        ],
    },
    "individual": {"givenName": "Ada", "familyName": "Byron"},
}


def party(role: str, did: str) -> JsonObject:
    """Give one related party as DOME writes it."""
    return {
        "id": f"urn:ngsi-ld:organization:{role.lower()}",
        "role": role,
        "name": did,
        "@referredType": "Organization",
    }


def parties(*, buyer: bool, operator: str = MEMBER) -> list[JsonObject]:
    """Give the parties of an offered, or of an agreed entity."""
    sides = [party("Seller", SELLER), party("SellerOperator", operator)]
    return [*sides, party("Buyer", BUYER), party("BuyerOperator", operator)] if buyer else sides


def document(resource: str, **more: Any) -> JsonObject:  # noqa: ANN401 - JSON
    """Give what a client of DOME posts."""
    agreed = {"productOrder", "cancelProductOrder", "product", "usage"}
    found: JsonObject = {"name": "X", "version": "1.0", "url": "https://files.example/x"}
    found["relatedParty"] = parties(buyer=resource in agreed)
    return found | _MORE.get(resource, {}) | more


class World:
    """One node's entities."""

    def __init__(self, store: Store, policies: Sequence[Policy]) -> None:
        self.store = store
        numbers = count(1)
        self.entities = Entities(
            policies,
            lambda: NOW_MS,
            lambda: f"00000000-0000-4000-8000-{next(numbers):012x}",
        )

    def create(self, caller: Caller, resource: str, sent: JsonObject | None = None) -> str:
        """Create an entity; give its id."""
        with self.store.write() as txn:
            wanted = document(resource) if sent is None else sent
            return self.entities.create(txn, caller, RESOURCES[resource], wanted).id

    def launched(self, resource: str, **more: object) -> str:
        """Create an entity as the operator and launch it; give its id."""
        id_ = self.create(OPERATOR, resource, document(resource, **more))
        self.patch(OPERATOR, resource, id_, lifecycleStatus="Launched")
        return id_

    def launchable(self, **more: object) -> JsonObject:
        """Give an offering to post, whose specification and catalog are launched."""
        category = {"id": self.create(OPERATOR, "category")}
        self.launched("catalog", category=[category])
        specification = {"id": self.launched("productSpecification")}
        parts: JsonObject = {"category": [category], "productSpecification": specification}
        return document("productOffering", **(parts | more))

    def patch(self, caller: Caller, resource: str, id_: str, **changes: object) -> None:
        """Change an entity by a merge patch."""
        with self.store.write() as txn:
            self.entities.patch(txn, caller, RESOURCES[resource], id_, MergePatch(changes))

    def remove(self, caller: Caller, resource: str, id_: str) -> None:
        """Delete an entity."""
        with self.store.write() as txn:
            self.entities.remove(txn, caller, RESOURCES[resource], id_)

    def get(self, caller: Caller, resource: str, id_: str) -> JsonObject:
        """Read an entity."""
        with self.store.read() as reading:
            return self.entities.get(reading, caller, RESOURCES[resource], id_).document()

    def ids(self, caller: Caller, resource: str) -> list[str]:
        """List the ids of what a caller may see."""
        with self.store.read() as reading:
            page = self.entities.find(reading, caller, RESOURCES[resource], Query())
            return [entity.id for entity in page.entities]

    def accept(self, origin: str, resource: str, replica: JsonObject | None, id_: str = "") -> None:
        """Take a replica."""
        with self.store.write() as txn:
            name = id_ or str((replica or {})["id"])
            self.entities.accept(txn, origin, RESOURCES[resource], name, replica)


@contextmanager
def world(
    directory: Path,
    profile: Profile = DOME,
    verdicts: dict[Certificate, Verdict] | None = None,
) -> Iterator[World]:
    """Open a world with the policies of a profile."""
    known = verdicts if verdicts is not None else {}
    store = Store.open(f"sqlite:///{directory / 'entities.sqlite'}", now_ms=lambda: NOW_MS)
    try:
        yield World(store, policies_of(profile, lambda: NOW, known.get))
    finally:
        store.close()
