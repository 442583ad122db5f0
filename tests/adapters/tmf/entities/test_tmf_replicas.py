"""Replicas: stored as they are, never over what is owned here or by another."""

from typing import Any

import pytest

from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import OWN, canonical
from ledger.core.limits import TMF_ENTITY_BYTES_MAX
from tests.adapters.tmf.entities.entity_world import NOW_MS, OTHER, World, refusal

THIRD = "did:elsi:VATES-22222222J"
OFFERING: dict[str, Any] = {
    "id": "urn:ngsi-ld:product-offering:1",
    "href": "/elsewhere/1",
    "name": "N",
    "lastUpdate": "2020-01-01T00:00:00Z",
    "category": [{"name": "an id is missing"}],
    "extension": {"x": [1, None]},
}
ID = OFFERING["id"]


def test_stored_as_it_is() -> None:
    """A replica keeps every byte of its owner's: nothing is filled in, its origin stands beside."""
    world = World()
    change = world.accept("productOffering", ID, OFFERING)
    entity = world.store.get("productOffering", ID)
    assert change is not None
    assert entity is not None
    assert (change.what, change.origin, change.time_ms) == ("create", OTHER, NOW_MS)
    assert (entity.origin, entity.body) == (OTHER, canonical(OFFERING))


def test_changes_and_end() -> None:
    """A newer version is told by what it changes, the same again not at all, the end once."""
    world = World()
    steps: list[Any] = [
        OFFERING,
        OFFERING,
        {**OFFERING, "name": "M"},
        {**OFFERING, "name": "M", "lifecycleStatus": "Active"},
        None,
        None,
    ]
    told = [world.accept("productOffering", ID, each) for each in steps]
    assert [change and change.what for change in told] == [
        "create",
        None,
        "attribute",
        "state",
        "delete",
        None,
    ]


def test_own_entities_are_not_touched() -> None:
    """Whatever another member tells of an id that is owned here, it is refused."""
    world = World()
    mine = world.create("productOffering", {"id": ID, "name": "mine"})
    for document in (OFFERING, {**mine, "name": "stolen"}, None):
        with refusal("owned-here", status=409):
            world.accept("productOffering", ID, document)
    assert world.stored("productOffering", ID) == mine
    assert len(world.store.journal) == 1


def test_the_first_owner_stays() -> None:
    """A second member that claims the id of a replica is refused."""
    world = World()
    world.accept("productOffering", ID, OFFERING)
    for document in (OFFERING, {**OFFERING, "name": "stolen"}, None):
        with refusal("owned-by-another", status=409):
            world.accept("productOffering", ID, document, THIRD)
    assert world.stored("productOffering", ID) == OFFERING
    world.accept("productOffering", ID, None)
    assert world.accept("productOffering", ID, OFFERING, THIRD) is not None


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({**OFFERING, "id": "another"}, "id-differs"),
        ({**OFFERING, "id": None}, "invalid-id"),
        ({"id": ID}, "missing-attribute"),
        ({**OFFERING, "isBundle": "yes"}, "wrong-type"),
        ({**OFFERING, "validFor": {"endDateTime": "never"}}, "invalid-date-time"),
        ({**OFFERING, "x": "\0"}, "forbidden-character"),
        ({**OFFERING, "relatedParty.id": "x"}, "forbidden-name"),
        ({**OFFERING, "x": ["y" * (TMF_ENTITY_BYTES_MAX // 3)] * 3}, "too-large"),
        ([OFFERING], "wrong-type"),
    ],
)
def test_unsound_replicas(document: Any, code: str) -> None:  # noqa: ANN401 - any JSON
    """A replica that breaks a rule is refused with the rule's code, and nothing is stored."""
    world = World()
    with refusal(code):
        world.accept("productOffering", ID, document)
    assert world.store.journal == []


@pytest.mark.parametrize("document", [None, OFFERING])
def test_bad_ids(document: Any) -> None:  # noqa: ANN401 - any JSON
    """An id that no entity has is refused before anything is looked up."""
    with refusal("invalid-id"):
        World().accept("productOffering", "a/\ud800", document)


def test_policies_judge_replicas() -> None:
    """Policies see whose entity it is, and judge its end only when there was one."""

    class Seen:
        def __init__(self) -> None:
            self.proposed: list[Proposed] = []

        def fill(self, *_: object) -> None:
            raise AssertionError("a replica is not filled")

        def judge(self, proposed: Proposed, reading: object) -> None:
            del reading
            self.proposed.append(proposed)

        def visible(self, *_: object) -> tuple[()]:
            return ()

    policy = Seen()
    world = World(policy)
    world.accept("productOffering", ID, None)
    world.accept("productOffering", ID, OFFERING)
    world.accept("productOffering", ID, None)
    assert [(each.before, each.after) for each in policy.proposed] == [
        (None, OFFERING),
        (OFFERING, None),
    ]
    assert {(each.origin, each.caller.organisation) for each in policy.proposed} == {(OTHER, OTHER)}
    assert OTHER != OWN
