"""One run, from its scenario to its outcome: chaos, healing, and the plan that repeats it."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from simnet.checkers.standard import standard_checkers
from simnet.choices import Choices, Value
from simnet.digests import remembered_digests
from simnet.federation import CoreFederation, Federation
from simnet.full.federation import FullFederation
from simnet.full.signatures import remembered_verdicts
from simnet.mutants import broken
from simnet.observer import Observer, PromiseError
from simnet.scenario import Plan, Scenario
from simnet.signatures import cheap_signatures
from simnet.world import World

__all__ = ["Outcome", "replay", "simulate"]

_SETTLING_US: Final = 100_000


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
    signatures = remembered_verdicts if scenario.tier == "full" else cheap_signatures
    with signatures(), remembered_digests(), broken(scenario.mutant):
        watching = [*observers, *standard_checkers(scenario)]
        federation = _federation(scenario, choices)
        world = World(scenario, choices, federation, watching)
        try:
            _course(world)
        except PromiseError as error:
            promise, failure = error.promise, str(error)
        except Exception as error:  # noqa: BLE001 - whatever a core raises is a finding
            promise = f"raised {type(error).__name__}"
            failure = f"{promise}: {error}"
    height = max((len(machine.storage.blocks) for machine in world.machines), default=0)
    return Outcome(Plan(scenario, choices.made, failure), promise, world.now_us, height)


def _federation(scenario: Scenario, choices: Choices) -> Federation:
    if scenario.tier == "full":
        return FullFederation(scenario, choices)
    return CoreFederation(scenario)


def _course(world: World) -> None:
    scenario = world.scenario
    world.begin()
    world.run(scenario.chaos_ms * 1_000)
    waiting = _Waiting(world, world.heal())
    until_us = world.now_us + scenario.calm_ms * 1_000
    if not world.run(until_us, waiting.is_over):
        heights = [len(machine.storage.blocks) for machine in world.machines]
        raise PromiseError(
            "liveness", f"not all is final {scenario.calm_ms} ms after healing: {heights}"
        )
    if scenario.sets:
        world.run(world.now_us + _SETTLING_US)  # what was carried into the last epoch is on its way
    if world.now_us < scenario.lasts_ms * 1_000:
        world.run(scenario.lasts_ms * 1_000)
    for observer in world.observers:
        observer.on_end(world)


class _Waiting:
    """Waits until every honest machine has executed what must be final."""

    def __init__(self, world: World, expected: set[bytes]) -> None:
        self._world = world
        self._open = [(m, entry) for m in world.honest for entry in sorted(expected)]
        self._applied = -1

    def is_over(self) -> bool:
        """Look again, if a block was applied since; every change of members must be through."""
        world = self._world
        if world.applied != self._applied:
            self._applied = world.applied
            is_settled = world.federation.is_settled
            self._open = [(m, entry) for m, entry in self._open if not is_settled(m, entry)]
        for machine, _ in self._open:
            if not machine.left:
                return False
        last = len(world.scenario.sets)
        return all(m.left or m.epoch == last for m in world.honest)
