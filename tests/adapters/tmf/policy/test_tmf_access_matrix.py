"""Who may do what with each resource: the whole matrix, stated here again by letters."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from adapters.tmf.caller import OPERATOR, Caller
from adapters.tmf.policy.profile import Profile
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.registry import RESOURCES
from tests.adapters.tmf.policy.policy_world import (
    CALLERS,
    DOME,
    MEMBER,
    STRANGER,
    World,
    document,
    world,
)

ALL = "atTsSbo"
OFFERED = ("So", "So", "So", "sSo", ALL)
CATEGORY = ("o", "o", "o", ALL, ALL)
HOLDING = ("sSo", "sSo", "sSo", "sSbo", "sSbo")
INTERNAL = ("o", "o", "o", "o", "o")

MATRIX = {
    "catalog": OFFERED,
    "category": CATEGORY,
    "productOffering": OFFERED,
    "productOfferingPrice": OFFERED,
    "productSpecification": OFFERED,
    "catalogImportJob": INTERNAL,
    "catalogExportJob": INTERNAL,
    "productOrder": ("bo", "sSbo", "o", "sSbo", "sSbo"),
    "cancelProductOrder": ("bo", "o", "o", "sSbo", "sSbo"),
    "individual": INTERNAL,
    "organization": ("o", "sSo", "o", ALL, ALL),
    "serviceCatalog": OFFERED,
    "serviceCategory": CATEGORY,
    "serviceCandidate": OFFERED,
    "serviceSpecification": OFFERED,
    "serviceCatalogImportJob": INTERNAL,
    "serviceCatalogExportJob": INTERNAL,
    "resourceCatalog": OFFERED,
    "resourceCategory": CATEGORY,
    "resourceCandidate": OFFERED,
    "resourceSpecification": OFFERED,
    "resourceCatalogImportJob": INTERNAL,
    "resourceCatalogExportJob": INTERNAL,
    "usage": HOLDING,
    "usageSpecification": OFFERED,
    "product": HOLDING,
}
"""Who may create, update, delete, read a draft, read what is launched."""

CASES = [
    *((resource, DOME) for resource in MATRIX),
    *(
        (resource, Profile("tmf", MEMBER))
        for resource in ("product", "category", "productOffering")
    ),
]


def may(act: Callable[[], object]) -> bool:
    """Say whether something is allowed; every refusal is one of access."""
    try:
        act()
    except TmfError as error:
        if error.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            raise
        return False
    return True


def made(here: World, resource: str) -> str:
    """Make an entity as the operator."""
    return here.create(OPERATOR, resource, sent(here, resource))


def sent(here: World, resource: str) -> dict[str, object]:
    """Give a document to post; a cancellation is of an order that is there."""
    if resource == "cancelProductOrder":
        return document(resource, productOrder={"id": here.create(OPERATOR, "productOrder")})
    if resource == "productOffering":
        return here.launchable()
    return document(resource)


def test_matrix_names_every_resource() -> None:
    """No resource is without a decision about it."""
    assert MATRIX.keys() == RESOURCES.keys()


@pytest.mark.parametrize(("resource", "profile"), CASES, ids=str)
def test_each_role_may_what_the_matrix_says(
    tmp_path: Path, resource: str, profile: Profile
) -> None:
    """Creating, changing, deleting and reading are allowed to exactly the roles of the matrix."""
    create, update, delete, draft, launched = MATRIX[resource]
    attribute = "note" if resource == "productOrder" else "description"
    with world(tmp_path, profile) as here:
        id_ = made(here, resource)
        seen = made(here, resource)
        if "lifecycleStatus" in here.get(OPERATOR, resource, seen) and launched != draft:
            here.patch(OPERATOR, resource, seen, lifecycleStatus="Launched")
        for letter, caller in CALLERS.items():
            change = {attribute: [{"text": letter}] if attribute == "note" else letter}
            found = {
                "create": may(lambda: here.create(caller, resource, sent(here, resource))),  # noqa: B023 - called at once
                "update": may(lambda: here.patch(caller, resource, id_, **change)),  # noqa: B023 - called at once
                "draft": may(lambda: here.get(caller, resource, id_)),  # noqa: B023 - called at once
                "launched": may(lambda: here.get(caller, resource, seen)),  # noqa: B023 - called at once
                "delete": may(lambda: here.remove(caller, resource, made(here, resource))),  # noqa: B023 - called at once
            }
            wanted = {
                "create": letter in create,
                "update": letter in update,
                "draft": letter in draft,
                "launched": letter in launched,
                "delete": letter in delete,
            }
            assert found == wanted, (resource, letter)


@pytest.mark.parametrize("profile", [Profile("tmf", MEMBER), DOME], ids=str)
def test_another_marketplace_follows_what_was_launched(tmp_path: Path, profile: Profile) -> None:
    """It sees that an element left the market, and no draft; other strangers see neither."""
    marketplace = Caller(STRANGER, is_marketplace=True)
    with world(tmp_path, profile) as here:
        draft, id_ = here.create(OPERATOR, "catalog"), here.launched("catalog")
        assert here.ids(marketplace, "catalog") == [id_]
        for state in ("Retired", "Obsolete"):
            here.patch(OPERATOR, "catalog", id_, lifecycleStatus=state)
            assert here.ids(marketplace, "catalog") == [id_]
            assert here.ids(Caller(STRANGER), "catalog") == []
        assert here.ids(OPERATOR, "catalog") == [draft, id_]
        order = here.create(OPERATOR, "productOrder")
        assert here.ids(marketplace, "productOrder") == []
        assert here.ids(OPERATOR, "productOrder") == [order]
