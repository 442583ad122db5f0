"""The profile of DOME: form, parties, immutability, launches; and what tmf leaves be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from adapters.tmf.caller import OPERATOR, Caller
from adapters.tmf.policy.profile import Profile
from adapters.tmf.refusal import TmfError
from tests.adapters.tmf.policy.policy_world import (
    CALLERS,
    MEMBER,
    OTHER_MEMBER,
    SELLER,
    STRANGER,
    World,
    document,
    parties,
    party,
    world,
)

UUID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """Give a node with the profile dome."""
    with world(tmp_path) as found:
        yield found


@contextmanager
def refused(code: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Iterator[None]:
    """Expect a refusal."""
    with pytest.raises(TmfError) as caught:
        yield
    assert (caught.value.code, caught.value.status) == (code, status)


def without(resource: str, *names: str) -> dict[str, Any]:
    """Give a document that lacks attributes."""
    return {name: value for name, value in document(resource).items() if name not in names}


def test_node_fills_what_dome_begins_with(here: World) -> None:
    """A new element is Active, changed now, with an id of DOME's form and a relative href."""
    made = here.get(OPERATOR, "catalog", here.create(OPERATOR, "catalog"))
    assert (made["lifecycleStatus"], made["lastUpdate"]) == ("Active", "2026-11-21T12:00:00.000Z")
    assert made["id"].startswith("urn:ngsi-ld:catalog:")
    assert made["href"] == f"/tmf-api/productCatalogManagement/v4/catalog/{made['id']}"
    order = here.get(OPERATOR, "productOrder", here.create(OPERATOR, "productOrder"))
    assert order["lastUpdate"] == "2026-11-21T12:00:00.000Z"


@pytest.mark.parametrize(
    ("resource", "sent", "code"),
    [
        ("catalog", without("catalog", "version"), "missing-attribute"),
        ("catalog", document("catalog", version=" "), "missing-attribute"),
        ("catalog", without("catalog", "relatedParty"), "missing-party"),
        ("catalog", document("catalog", relatedParty=[party("Seller", SELLER)]), "missing-party"),
        (
            "catalog",
            document("catalog", relatedParty=[*parties(buyer=False), party("seller", STRANGER)]),
            "missing-party",
        ),
        (
            "catalog",
            document(
                "catalog", relatedParty=[party("Seller", "x"), party("SellerOperator", MEMBER)]
            ),
            "missing-party",
        ),
        (
            "productOrder",
            document("productOrder", relatedParty=parties(buyer=False)),
            "missing-party",
        ),
        (
            "usage",
            document("usage", relatedParty=[*parties(buyer=True), party("Auditor", STRANGER)]),
            "unknown-party",
        ),
        (
            "catalog",
            document("catalog", relatedParty=parties(buyer=False, operator=OTHER_MEMBER)),
            "foreign-operator",
        ),
        ("catalog", document("catalog", id="c1"), "wrong-id"),
        ("catalog", document("catalog", id=f"urn:ngsi-ld:category:{UUID}"), "wrong-id"),
        ("catalog", document("catalog", id="urn:ngsi-ld:catalog:1"), "wrong-id"),
    ],
)
def test_what_has_not_the_form_is_refused(
    here: World, resource: str, sent: dict[str, Any], code: str
) -> None:
    """What DOME demands is demanded, of everybody; the code says what is wrong."""
    with refused(code):
        here.create(OPERATOR, resource, sent)


def test_sound_id_of_the_client_is_kept(here: World) -> None:
    """A new version can come with an id of its own."""
    id_ = f"urn:ngsi-ld:catalog:{UUID}"
    assert here.create(OPERATOR, "catalog", document("catalog", id=id_)) == id_


def test_categories_and_parties_need_no_seller(here: World) -> None:
    """What the operator makes is nobody's offer."""
    here.create(OPERATOR, "category", without("category", "relatedParty"))
    here.create(OPERATOR, "organization", without("organization", "relatedParty", "version"))


@pytest.mark.parametrize("action", ["Create", "Update", "Delete"])
def test_each_power_opens_its_own_door(here: World, action: str) -> None:
    """A mandate to do one thing with offerings is none to do another."""
    seller = Caller(SELLER, frozenset({f"ProductOffering/{action}"}))
    id_ = here.create(OPERATOR, "catalog")
    attempts: dict[str, Callable[[], object]] = {
        "Create": lambda: here.create(seller, "catalog"),
        "Update": lambda: here.patch(seller, "catalog", id_, description="new"),
        "Delete": lambda: here.remove(seller, "catalog", id_),
    }
    for name, attempt in attempts.items():
        if name != action:
            with refused("power-missing", HTTPStatus.FORBIDDEN):
                attempt()
    attempts[action]()


# --- immutable once launched ----------------------------------------------------------------


def test_launched_element_changes_its_life_cycle_only(here: World) -> None:
    """Its description stays; it can be retired."""
    id_ = here.launched("catalog", description="old")
    with refused("launched-immutable", HTTPStatus.CONFLICT):
        here.patch(OPERATOR, "catalog", id_, description="new")
    with refused("launched-immutable", HTTPStatus.CONFLICT):
        here.patch(OPERATOR, "catalog", id_, lifecycleStatus="Retired", description="new")
    with refused("launched-immutable", HTTPStatus.CONFLICT):
        here.patch(OPERATOR, "catalog", id_, validFor={"endDateTime": "2027-01-01T00:00:00Z"})
    here.patch(OPERATOR, "catalog", id_, lifecycleStatus="Retired")
    assert here.get(OPERATOR, "catalog", id_)["description"] == "old"


def certificate(value: str) -> dict[str, Any]:
    """Give the characteristic of a certificate."""
    return {"name": "Compliance:VC ", "productSpecCharacteristicValue": [{"value": value}]}


def test_certificate_of_a_launched_specification_is_renewed(here: World) -> None:
    """Certificates come and change after the launch; no other characteristic does."""
    size = {"name": "size", "productSpecCharacteristicValue": [{"value": "1"}]}
    id_ = here.launched("productSpecification", productSpecCharacteristic=[size])
    for value in ("first", "second"):
        rows = [size, certificate(value)]
        here.patch(OPERATOR, "productSpecification", id_, productSpecCharacteristic=rows)
    with refused("launched-immutable", HTTPStatus.CONFLICT):
        rows = [certificate("second")]
        here.patch(OPERATOR, "productSpecification", id_, productSpecCharacteristic=rows)


def test_first_characteristic_of_a_launched_specification_may_be_its_certificate(
    here: World,
) -> None:
    """A specification that says nothing else is certified after its launch, too."""
    id_ = here.launched("productSpecification")
    rows = [certificate("first")]
    here.patch(OPERATOR, "productSpecification", id_, productSpecCharacteristic=rows)
    here.patch(OPERATOR, "productSpecification", id_, productSpecCharacteristic=[])


# --- launches -------------------------------------------------------------------------------


def test_offering_is_launched_after_its_parts(here: World) -> None:
    """Specification first, then catalog, then the offering."""
    category = {"id": here.create(OPERATOR, "category")}
    specification = here.create(OPERATOR, "productSpecification")
    catalog = here.create(OPERATOR, "catalog", document("catalog", category=[category]))
    more = {"category": [category], "productSpecification": {"id": specification}}
    id_ = here.create(OPERATOR, "productOffering", document("productOffering", **more))

    def launch(resource: str, target: str) -> None:
        here.patch(OPERATOR, resource, target, lifecycleStatus="Launched")

    with refused("specification-not-launched", HTTPStatus.CONFLICT):
        launch("productOffering", id_)
    launch("productSpecification", specification)
    with refused("catalog-not-launched", HTTPStatus.CONFLICT):
        launch("productOffering", id_)
    launch("catalog", catalog)
    launch("productOffering", id_)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"productSpecification": None}, "specification-missing"),
        ({"productSpecification": {"id": "nowhere"}}, "specification-not-launched"),
        ({"category": []}, "catalog-not-launched"),
        ({"isBundle": True}, "specification-missing"),
        (
            {"isBundle": True, "bundledProductOffering": [{"id": "nowhere"}]},
            "specification-not-launched",
        ),
    ],
)
def test_launch_without_a_part_is_refused(here: World, more: dict[str, Any], code: str) -> None:
    """Also of an offering that comes launched; a bundle needs its offerings instead."""
    with refused(code, HTTPStatus.CONFLICT):
        here.create(
            OPERATOR, "productOffering", here.launchable(lifecycleStatus="launched", **more)
        )


def test_bundle_of_launched_offerings_is_launched(here: World) -> None:
    """A bundle has no specification of its own."""
    part = here.create(OPERATOR, "productOffering", here.launchable(lifecycleStatus="Launched"))
    more: dict[str, Any] = {"isBundle": True, "bundledProductOffering": [{"id": part}]}
    sent = here.launchable(lifecycleStatus="Launched", **more) | {"productSpecification": None}
    here.create(OPERATOR, "productOffering", sent)


# --- two sides of an order ------------------------------------------------------------------

ITEM: dict[str, Any] = {"id": "1", "action": "add", "state": "acknowledged"}
NOTE: dict[str, Any] = {"note": [{"text": "hello"}]}
SELLER_MAY: list[dict[str, Any]] = [
    NOTE,
    {"productOrderItem": [ITEM | {"state": "inProgress"}]},
]
BUYER_MAY: list[dict[str, Any]] = [
    NOTE,
    {"description": "new"},
    {"productOrderItem": [ITEM | {"quantity": 2}]},
]
NOBODY_MAY: list[dict[str, Any]] = [
    {"state": "completed"},
    {
        "relatedParty": [
            *parties(buyer=True)[:2],
            party("Buyer", SELLER),
            party("BuyerOperator", MEMBER),
        ]
    },
]


@pytest.mark.parametrize("changes", [*SELLER_MAY, *BUYER_MAY[1:], *NOBODY_MAY], ids=str)
def test_each_side_of_an_order_changes_its_own(here: World, changes: dict[str, Any]) -> None:
    """The seller notes and states of items, the buyer all but states, nobody the parties."""
    for letter, allowed in (("s", SELLER_MAY), ("b", BUYER_MAY)):
        id_ = here.create(
            CALLERS["b"], "productOrder", document("productOrder", productOrderItem=[ITEM])
        )
        if changes in allowed:
            here.patch(CALLERS[letter], "productOrder", id_, **changes)
        else:
            with pytest.raises(TmfError) as caught:
                here.patch(CALLERS[letter], "productOrder", id_, **changes)
            assert caught.value.code in {"not-yours-to-change", "parties-fixed", "not-the-owner"}


@pytest.mark.parametrize(
    ("letter", "resource", "given"), [("s", "product", "Buyer"), ("b", "productOrder", "Seller")]
)
def test_other_side_of_an_agreement_stays(
    here: World, letter: str, resource: str, given: str
) -> None:
    """Who may change an entity cannot make it somebody else's."""
    id_ = here.create(CALLERS[letter], resource)
    others = [each for each in parties(buyer=True) if each["role"] != given]
    with refused("parties-fixed", HTTPStatus.FORBIDDEN):
        changed = [*others, party(given, STRANGER)]
        here.patch(CALLERS[letter], resource, id_, relatedParty=changed)


def test_items_inside_of_items_are_looked_at(here: World) -> None:
    """The seller changes the state of an inner item, and nothing else there."""
    order = document("productOrder", productOrderItem=[ITEM | {"productOrderItem": [ITEM]}])
    id_ = here.create(CALLERS["b"], "productOrder", order)
    inner = [ITEM | {"productOrderItem": [ITEM | {"state": "inProgress"}]}]
    here.patch(CALLERS["s"], "productOrder", id_, productOrderItem=inner)
    with refused("not-yours-to-change", HTTPStatus.FORBIDDEN):
        inner = [ITEM | {"productOrderItem": [ITEM | {"quantity": 9}]}]
        here.patch(CALLERS["s"], "productOrder", id_, productOrderItem=inner)


def test_only_the_buyer_of_an_order_has_it_cancelled(here: World) -> None:
    """Who names himself the buyer of a cancellation must be the order's."""
    theirs = here.create(CALLERS["b"], "productOrder")
    own = [party("Buyer", STRANGER), party("BuyerOperator", MEMBER), *parties(buyer=False)]
    sent = document("cancelProductOrder", productOrder={"id": theirs}, relatedParty=own)
    with refused("not-the-buyer", HTTPStatus.FORBIDDEN):
        here.create(CALLERS["t"], "cancelProductOrder", sent)
    with refused("not-the-buyer", HTTPStatus.FORBIDDEN):
        unknown = document("cancelProductOrder", productOrder={"id": "nowhere"})
        here.create(CALLERS["b"], "cancelProductOrder", unknown)


def test_organisation_keeps_who_it_is(here: World) -> None:
    """It changes its entry, not the identifier that makes the entry its own."""
    id_ = here.create(OPERATOR, "organization")
    here.patch(CALLERS["s"], "organization", id_, tradingName="Better name")
    with refused("not-yours-to-change", HTTPStatus.FORBIDDEN):
        here.patch(CALLERS["s"], "organization", id_, externalReference=[])


# --- replicas -------------------------------------------------------------------------------


def replica(resource: str, operator: str = OTHER_MEMBER, **more: object) -> dict[str, Any]:
    """Give an entity as another member's node has it."""
    id_ = f"urn:ngsi-ld:{resource}:{UUID}"
    href = f"/tmf-api/productCatalogManagement/v4/{resource}/{id_}"
    sides = parties(buyer=False, operator=operator)
    set_there = {"id": id_, "href": href, "lastUpdate": "2026-11-20T12:00:00.000Z"}
    return document(resource, relatedParty=sides, lifecycleStatus="Launched", **set_there) | more


def test_replica_is_held_to_the_form(here: World) -> None:
    """Sound ones are taken; who is not its operator cannot tell of it; launched ones stay."""
    here.accept(OTHER_MEMBER, "catalog", replica("catalog"))
    with refused("launched-immutable", HTTPStatus.CONFLICT):
        here.accept(OTHER_MEMBER, "catalog", replica("catalog", name="Other"))
    here.accept(OTHER_MEMBER, "catalog", replica("catalog", lifecycleStatus="Retired"))
    here.accept(OTHER_MEMBER, "catalog", None, replica("catalog")["id"])
    with refused("foreign-operator"):
        here.accept(OTHER_MEMBER, "catalog", replica("catalog", operator="did:elsi:VATES-9"))
    with refused("missing-attribute"):
        here.accept(OTHER_MEMBER, "catalog", replica("catalog", version=""))


def test_persons_are_never_taken(tmp_path: Path) -> None:
    """Individuals stay where they are, in every profile."""
    with (
        world(tmp_path, Profile("tmf", MEMBER)) as here,
        refused("not-replicated", HTTPStatus.FORBIDDEN),
    ):
        person = {"id": "p1", "givenName": "Ada", "familyName": "Byron"}
        here.accept(OTHER_MEMBER, "individual", person)


# --- the profile tmf, and references --------------------------------------------------------


def test_profile_tmf_demands_nothing_more(tmp_path: Path) -> None:
    """Bare documents, references to nothing, any id, changes of what is launched."""
    with world(tmp_path, Profile("tmf", MEMBER)) as here:
        here.create(
            OPERATOR, "productOffering", {"name": "X", "id": "9881", "lifecycleStatus": "Launched"}
        )
        here.patch(OPERATOR, "productOffering", "9881", productSpecification={"id": "9881"})
        here.create(OPERATOR, "usage", {"usageSpecification": {"id": "9881"}})


def test_checked_references_lead_somewhere(tmp_path: Path) -> None:
    """New references must; those that stand already, and replicas', are left alone."""
    profile = Profile("tmf", MEMBER, checks_references=True)
    with world(tmp_path, profile) as here:
        category = here.create(OPERATOR, "category", {"name": "C"})
        sent = {"name": "X", "category": [{"id": category}]}
        id_ = here.create(OPERATOR, "productOffering", sent)
        with refused("unknown-reference"):
            here.create(OPERATOR, "productOffering", {"name": "X", "category": [{"id": "none"}]})
        here.remove(OPERATOR, "category", category)
        here.patch(OPERATOR, "productOffering", id_, description="new")
        with refused("unknown-reference"):
            here.patch(OPERATOR, "productOffering", id_, productSpecification={"id": "none"})
        far = {"id": "far", "name": "X", "category": [{"id": "none"}]}
        here.accept(OTHER_MEMBER, "productOffering", far)


def test_reads_of_the_buyer_end_with_his_orders(here: World) -> None:
    """A list holds only what its reader is a party of."""
    mine = here.create(CALLERS["b"], "productOrder")
    theirs = [party("Buyer", STRANGER), party("BuyerOperator", MEMBER), *parties(buyer=False)]
    here.create(CALLERS["t"], "productOrder", document("productOrder", relatedParty=theirs))
    assert here.ids(CALLERS["b"], "productOrder") == [mine]
    assert len(here.ids(CALLERS["s"], "productOrder")) == 2
    assert here.ids(CALLERS["a"], "productOrder") == []
