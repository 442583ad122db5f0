"""Life cycles applied: what each mode does with a step that is not drawn."""

from typing import Any, get_args

import pytest

from adapters.tmf.entities.stepping import Mode, Step
from tests.adapters.tmf.entities.entity_world import World, minimal, refusal


def order_of(*states: str) -> dict[str, Any]:
    """Build a patch of an order's items by their states."""
    items = [
        {"id": str(index), "action": "add", "state": state} for index, state in enumerate(states)
    ]
    return {"productOrderItem": items}


def test_strict_refuses() -> None:
    """In mode strict a forbidden step is a conflict that names both states, and changes nothing."""
    world = World(mode="strict")
    id_ = world.create("productOrder")["id"]
    with refusal("transition-forbidden", "state: a product order does not go from", status=409):
        world.merge("productOrder", id_, {"state": "completed"})
    assert world.stored("productOrder", id_)["state"] == "acknowledged"
    for state in ("inProgress", "held", "inProgress", "completed"):
        assert world.merge("productOrder", id_, {"state": state}) is not None
    with refusal("transition-forbidden"):
        world.merge("productOrder", id_, {"state": "inProgress"})


def test_warn_reports() -> None:
    """In mode warn a forbidden step is done and reported with all that is known of it."""
    world = World(mode="warn")
    id_ = world.create("productOrder")["id"]
    change = world.merge("productOrder", id_, {"state": "Completed"})
    assert change is not None
    assert change.what == "state"
    step = Step("productOrder", id_, "state", "acknowledged", "Completed", "product order")
    assert world.reported == [step]
    world.merge("productOrder", id_, {"description": "no step"})
    assert world.reported == [step]


def test_off_does_not_look() -> None:
    """In mode off any step is done in silence."""
    world = World(mode="off")
    id_ = world.create("productOrder")["id"]
    assert world.merge("productOrder", id_, {"state": "completed"}) is not None
    assert world.reported == []


@pytest.mark.parametrize("mode", get_args(Mode))
def test_what_is_drawn_is_never_reported(mode: Mode) -> None:
    """Steps that are drawn, in any spelling, pass in every mode without a word."""
    world = World(mode=mode)
    id_ = world.create("productOffering", {"name": "N", "lifecycleStatus": "active"})["id"]
    for state in ("Launched", "retired ", "OBSOLETE"):
        assert world.merge("productOffering", id_, {"lifecycleStatus": state}) is not None
    assert world.reported == []


def test_beginnings() -> None:
    """An entity begins where its life cycle begins."""
    world = World(mode="strict")
    with refusal("transition-forbidden", "lifecycleStatus: a catalogue element does not begin"):
        world.create("productOffering", {"name": "N", "lifecycleStatus": "Launched"})
    with refusal("transition-forbidden"):
        world.create("product", {"status": "terminated"})
    lax = World(mode="warn")
    lax.create("product", {"status": "terminated"})
    assert [(step.before, step.after) for step in lax.reported] == [("", "terminated")]


def test_states_are_not_lost() -> None:
    """Taking the state away is a forbidden step."""
    world = World(mode="strict")
    id_ = world.create("productOffering")["id"]
    with refusal("transition-forbidden", "lifecycleStatus: a catalogue element does not lose"):
        world.merge("productOffering", id_, {"lifecycleStatus": None})


def test_items_have_steps_of_their_own() -> None:
    """The items of an order, found by their ids wherever they stand, step by their own machine."""
    world = World(mode="strict")
    id_ = world.create("productOrder", order_of("acknowledged", "acknowledged"))["id"]
    world.merge("productOrder", id_, order_of("inProgress", "acknowledged"))
    with refusal("transition-forbidden", "productOrderItem[1].state: a product order item"):
        world.merge("productOrder", id_, order_of("completed", "held"))
    swapped = order_of("inProgress", "acknowledged")["productOrderItem"][::-1]
    swapped[1]["state"] = "completed"
    world.merge("productOrder", id_, {"productOrderItem": swapped})
    with refusal("transition-forbidden", "productOrderItem[2].state: "):
        world.merge("productOrder", id_, order_of("completed", "acknowledged", "held"))
    inner = {**swapped[0], "productOrderItem": [{"id": "9", "action": "add", "state": "held"}]}
    with refusal("transition-forbidden", "productOrderItem[0].productOrderItem[0].state: "):
        world.merge("productOrder", id_, {"productOrderItem": [inner]})


def test_usage_is_advised() -> None:
    """The life cycle of usage is drawn nowhere: even in mode strict it is only reported."""
    world = World(mode="strict")
    id_ = world.create("usage", {"status": "billed"})["id"]
    world.merge("usage", id_, {"status": "received"})
    assert [(step.before, step.after) for step in world.reported] == [
        ("", "billed"),
        ("billed", "received"),
    ]


def test_parties_have_no_life_cycle() -> None:
    """Nothing public draws the life of a party: its states follow in any order."""
    world = World(mode="strict")
    id_ = world.create("organization", {**minimal("organization"), "status": "closed"})["id"]
    assert world.merge("organization", id_, {"status": "initialized"}) is not None
    assert world.reported == []


def test_replicas_are_never_refused() -> None:
    """Another member's entity may come in any state, after any other: it is reported alone."""
    world = World(mode="strict")
    base = {"id": "x", "name": "N"}
    world.accept("productOffering", "x", {**base, "lifecycleStatus": "Obsolete"})
    change = world.accept("productOffering", "x", {**base, "lifecycleStatus": "Active"})
    assert change is not None
    assert change.what == "state"
    assert [step.after for step in world.reported] == ["Obsolete", "Active"]
