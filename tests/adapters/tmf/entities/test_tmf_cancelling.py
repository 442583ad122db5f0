"""Cancelling a product order: the task moves the order, and the order moves the task."""

import pytest

from adapters.tmf.entities.stepping import Mode
from tests.adapters.tmf.entities.entity_world import NOW, World, refusal


def ordered(world: World, *states: str) -> str:
    """Make an order that went through these states, and give its id."""
    id_: str = world.create("productOrder")["id"]
    for state in states:
        world.merge("productOrder", id_, {"state": state})
    return id_


def cancel(world: World, order: str) -> str:
    """Ask for the end of an order, and give the task's id."""
    sent = {"productOrder": {"id": order}, "cancellationReason": "no need"}
    id_: str = world.create("cancelProductOrder", sent)["id"]
    return id_


def states(world: World, order: str, task: str) -> tuple[str, str]:
    """Give the states of an order and its task."""
    return (
        world.stored("productOrder", order)["state"],
        world.stored("cancelProductOrder", task)["state"],
    )


@pytest.mark.parametrize("mode", ["strict", "warn", "off"])
def test_accepted(mode: Mode) -> None:
    """An order that is cancelled in the end ends its task well; the journal tells all of it."""
    world = World(mode=mode)
    order = ordered(world, "inProgress")
    task = cancel(world, order)
    assert states(world, order, task) == ("assessingCancellation", "acknowledged")
    assert world.stored("productOrder", order)["cancellationReason"] == "no need"
    world.merge("productOrder", order, {"state": "pendingCancellation"})
    assert states(world, order, task) == ("pendingCancellation", "inProgress")
    world.merge("productOrder", order, {"state": "cancelled"})
    assert states(world, order, task) == ("cancelled", "done")
    assert world.stored("cancelProductOrder", task)["effectiveCancellationDate"] == NOW
    assert world.reported == []
    told = [(change.resource, change.what) for change in world.store.journal[2:]]
    assert told == [
        ("cancelProductOrder", "create"),
        ("productOrder", "state"),
        ("productOrder", "state"),
        ("cancelProductOrder", "state"),
        ("productOrder", "state"),
        ("cancelProductOrder", "state"),
    ]


def test_denied() -> None:
    """An order that goes on ends its task with an error; a later end of the order does not."""
    world = World(mode="strict")
    order = ordered(world, "inProgress")
    task = cancel(world, order)
    world.merge("productOrder", order, {"state": "held"})
    assert states(world, order, task) == ("held", "terminatedWithError")
    world.merge("productOrder", order, {"state": "cancelled"})
    assert states(world, order, task) == ("cancelled", "terminatedWithError")


@pytest.mark.parametrize("final", ["completed", "failed", "partial"])
def test_too_late(final: str) -> None:
    """A final order stays, and the task ends at once."""
    world = World(mode="strict")
    order = ordered(world, "inProgress", final)
    task = cancel(world, order)
    assert states(world, order, task) == (final, "terminatedWithError")
    assert world.reported == []


def test_not_begun() -> None:
    """The diagram has no way from acknowledged: strict refuses and keeps no task, warn reports."""
    strict = World(mode="strict")
    order = ordered(strict)
    with refusal("transition-forbidden", "state: a product order does not go", status=409):
        cancel(strict, order)
    assert [change.resource for change in strict.store.journal] == ["productOrder"]
    warn = World(mode="warn")
    order = ordered(warn)
    task = cancel(warn, order)
    assert states(warn, order, task) == ("assessingCancellation", "acknowledged")
    assert [step.after for step in warn.reported] == ["assessingCancellation"]


def test_asked_twice() -> None:
    """A second task leaves the order as it is, and ends together with the first."""
    world = World(mode="strict")
    order = ordered(world, "pending")
    tasks = [cancel(world, order), cancel(world, order)]
    assert len(world.store.history("productOrder", order)) == 3
    world.merge("productOrder", order, {"state": "pendingCancellation"})
    world.merge("productOrder", order, {"state": "cancelled"})
    assert {world.stored("cancelProductOrder", task)["state"] for task in tasks} == {"done"}


def test_tasks_of_other_orders_stay() -> None:
    """An order answers the tasks about itself alone."""
    world = World(mode="strict")
    one, other = ordered(world, "pending"), ordered(world, "pending")
    task = cancel(world, other)
    world.merge("productOrder", one, {"state": "cancelled"})
    assert states(world, other, task) == ("assessingCancellation", "acknowledged")


def test_order_that_is_not_here() -> None:
    """A task about an order that nobody knows is kept: the profile may demand more."""
    world = World(mode="strict")
    task = cancel(world, "urn:nowhere")
    assert world.stored("cancelProductOrder", task)["state"] == "acknowledged"
    null = world.create("cancelProductOrder", {"productOrder": {"id": None}})
    assert null["state"] == "acknowledged"


def test_order_of_another_member() -> None:
    """An order is cancelled where it is owned."""
    world = World()
    document = {"id": "x", "state": "inProgress", "productOrderItem": [{"id": "1"}]}
    world.accept("productOrder", "x", document)
    with refusal("not-owned-here", status=403):
        cancel(world, "x")
    assert world.store.get("cancelProductOrder", "x") is None
    assert world.stored("productOrder", "x") == document
