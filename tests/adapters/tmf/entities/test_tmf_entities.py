"""The entity service: create, patch, remove, read."""

import pytest

from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.registry import RESOURCES
from tests.adapters.tmf.entities.entity_world import NOW, World


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_smallest_entity_is_created(resource: str) -> None:
    """The smallest document of each resource gets an id, a relative reference and its type."""
    stored = World().create(resource)
    facts = RESOURCES[resource]
    assert stored["id"] == f"urn:ngsi-ld:{facts.kebab}:00000000-0000-4000-8000-000000000001"
    assert stored["href"] == f"{facts.base}/{facts.path}/{stored['id']}"
    assert stored["@type"] == facts.type_name


def test_patch_changes_an_attribute() -> None:
    """A merge patch is told as a change of an attribute, and sets the time of change."""
    world = World()
    offering = world.create("productOffering", {"name": "N", "lastUpdate": "2020-01-01T00:00:00Z"})
    change = world.merge("productOffering", offering["id"], {"name": "M"})
    assert change is not None
    assert change.what == "attribute"
    stored = world.stored("productOffering", offering["id"])
    assert (stored["name"], stored["lastUpdate"]) == ("M", NOW)


def test_removed_is_gone() -> None:
    """A removed entity can not be patched."""
    world = World()
    id_ = world.create("product")["id"]
    assert world.remove("product", id_).what == "delete"
    with pytest.raises(TmfError) as refused:
        world.merge("product", id_, {"name": "N"})
    assert refused.value.code == "not-found"
