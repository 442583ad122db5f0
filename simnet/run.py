"""One run, from its scenario to its outcome: chaos, healing, and the plan that repeats it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from simnet.checkers.standard import standard_checkers
from simnet.choices import Choices, Value
from simnet.federation import CoreFederation
from simnet.mutants import broken
from simnet.observer import Observer, PromiseError
from simnet.scenario import Plan, Scenario
from simnet.signatures import cheap_signatures
from simnet.world import World

__all__ = ["Outcome", "replay", "simulate"]


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        plan: repeats it; ``plan.failure`` is "" when every promise was kept.
        promise: short name of the promise that was broken, "" for none.
        virtual_us: virtual time that passed.
        height: highest final block.
    """

    plan: Plan
    promise: str
    virtual_us: int
    height: int


def replay(plan: Plan, observers: Iterable[Observer] = ()) -> Outcome:
    """Run a plan again: exactly its faults."""
    return _run(plan.scenario, plan.faults, observers)


def simulate(scenario: Scenario, observers: Iterable[Observer] = ()) -> Outcome:
    """Run a scenario with the faults that its seed draws."""
    return _run(scenario, None, observers)


def _run(
    scenario: Scenario, planned: Mapping[str, Value] | None, observers: Iterable[Observer]
) -> Outcome:
    choices = Choices(scenario.seed, planned)
    failure = promise = ""
    with cheap_signatures(), broken(scenario.mutant):
        watching = [*observers, *standard_checkers(scenario)]
        world = World(scenario, choices, CoreFederation(scenario.validators), watching)
        try:
            _course(world)
        except PromiseError as error:
            promise, failure = error.promise, str(error)
        except Exception as error:  # noqa: BLE001 - whatever a core raises is a finding
            promise = f"raised {type(error).__name__}"
            failure = f"{promise}: {error}"
    height = max((len(machine.storage.blocks) for machine in world.machines), default=0)
    return Outcome(Plan(scenario, choices.made, failure), promise, world.now_us, height)


def _course(world: World) -> None:
    scenario = world.scenario
    world.begin()
    world.run(scenario.chaos_ms * 1_000)
    expected = world.heal()

    def all_is_final() -> bool:
        return all(expected <= set(machine.storage.log) for machine in world.honest)

    until_us = world.now_us + scenario.calm_ms * 1_000
    if not world.run(until_us, all_is_final):
        heights = [len(machine.storage.blocks) for machine in world.machines]
        raise PromiseError(
            "liveness", f"not all is final {scenario.calm_ms} ms after healing: {heights}"
        )
    for observer in world.observers:
        observer.on_end(world)
