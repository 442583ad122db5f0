"""Life cycles: each step that the diagrams draw is allowed, and no other."""

from itertools import product
from typing import Final

import pytest

from adapters.tmf.resources import lifecycle
from adapters.tmf.resources.lifecycle import LifeCycle, fold
from adapters.tmf.resources.registry import RESOURCES, TABLES

ORDER_STEPS: Final = {
    "acknowledged": {"inProgress", "pending"},
    "rejected": set(),
    "inProgress": {"pending", "held", "assessingCancellation", "completed", "failed", "partial"},
    "pending": {"inProgress", "cancelled", "assessingCancellation"},
    "held": {"inProgress", "cancelled", "assessingCancellation"},
    "assessingCancellation": {"inProgress", "pending", "held", "pendingCancellation"},
    "pendingCancellation": {"cancelled"},
    "completed": set(),
    "failed": set(),
    "partial": set(),
    "cancelled": set(),
}
ITEM_STEPS: Final = {
    before: after - {"partial"} for before, after in ORDER_STEPS.items() if before != "partial"
}
STEPS: Final[list[tuple[LifeCycle, set[str], dict[str, set[str]]]]] = [
    (lifecycle.ORDER, {"acknowledged", "rejected"}, ORDER_STEPS),
    (lifecycle.ORDER_ITEM, {"acknowledged", "rejected"}, ITEM_STEPS),
    (
        lifecycle.PRODUCT,
        {"created", "pendingActive", "active"},
        {
            "created": {"pendingActive", "active"},
            "pendingActive": {"active", "aborted", "cancelled"},
            "active": {"suspended", "pendingTerminate", "terminated"},
            "suspended": {"active"},
            "pendingTerminate": {"terminated"},
            "aborted": set(),
            "cancelled": set(),
            "terminated": set(),
        },
    ),
    (
        lifecycle.CATALOGUE_ELEMENT,
        {"In study", "In design", "Active"},
        {
            "In study": {"In design"},
            "In design": {"In test"},
            "In test": {"In design", "Rejected", "Active"},
            "Active": {"Launched", "Retired"},
            "Launched": {"Retired"},
            "Retired": {"Obsolete"},
            "Rejected": set(),
            "Obsolete": set(),
        },
    ),
    (
        lifecycle.CATEGORY,
        {"In design", "Active"},
        {
            "In design": {"In test"},
            "In test": {"Rejected", "Active"},
            "Active": {"Retired"},
            "Retired": {"Obsolete"},
            "Rejected": set(),
            "Obsolete": set(),
        },
    ),
    (
        lifecycle.USAGE,
        {"received"},
        {
            "received": {"guided", "rejected"},
            "rejected": {"recycled"},
            "recycled": {"received", "guided"},
            "guided": {"rated"},
            "rated": {"rerated", "billed"},
            "rerated": {"billed"},
            "billed": set(),
        },
    ),
    (
        lifecycle.CANCELLATION,
        {"acknowledged", "terminatedWithError"},
        {
            "acknowledged": {"inProgress", "done", "terminatedWithError"},
            "inProgress": {"done", "terminatedWithError"},
            "done": set(),
            "terminatedWithError": set(),
        },
    ),
    (
        lifecycle.JOB,
        {"Not Started"},
        {
            "Not Started": {"Running", "Failed"},
            "Running": {"Succeeded", "Failed"},
            "Succeeded": set(),
            "Failed": set(),
        },
    ),
]


@pytest.mark.parametrize(("life_cycle", "first", "steps"), STEPS, ids=[s[0].name for s in STEPS])
def test_steps(life_cycle: LifeCycle, first: set[str], steps: dict[str, set[str]]) -> None:
    """Every pair of states is allowed if it is drawn or the same, and only then."""
    assert set(life_cycle.steps) == {fold(state) for state in steps}
    for before, after in product(steps, repeat=2):
        expected = before == after or after in steps[before]
        assert life_cycle.may_follow(before, after) is expected, (before, after)
    for state, following in steps.items():
        assert life_cycle.may_begin(state) is (state in first), state
        assert life_cycle.is_final(state) is (not following), state


def test_spelling_of_states() -> None:
    """Case and outer blanks do not matter."""
    assert lifecycle.PRODUCT.may_follow("PendingActive", "aborted ")
    assert lifecycle.CATALOGUE_ELEMENT.may_follow("active", "LAUNCHED")
    assert not lifecycle.CATALOGUE_ELEMENT.may_follow("inactive", "Launched")


def test_unknown_states_lead_nowhere() -> None:
    """A state that is not drawn neither follows nor is followed, and is not final."""
    assert not lifecycle.ORDER.may_follow("held", "sleeping")
    assert not lifecycle.ORDER.may_follow("sleeping", "held")
    assert not lifecycle.ORDER.is_final("sleeping")


def test_words_are_the_states() -> None:
    """The words that an attribute of state takes are those of its life cycle."""
    for resource in RESOURCES.values():
        if resource.life_cycle is None or resource.state_attribute == "lifecycleStatus":
            continue
        attribute = TABLES.shapes[resource.type_name].attributes[resource.state_attribute]
        words = {fold(word) for word in TABLES.words[attribute.of]}
        assert words == set(resource.life_cycle.steps), resource.name
    items = {fold(word) for word in TABLES.words["ItemState"]}
    assert items == set(lifecycle.ORDER_ITEM.steps)


def test_first_states() -> None:
    """What an entity begins with when nobody says is a state that may begin."""
    for resource in RESOURCES.values():
        if resource.life_cycle is not None and resource.first_state:
            assert resource.life_cycle.may_begin(resource.first_state), resource.name
