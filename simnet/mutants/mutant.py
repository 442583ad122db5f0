"""What a mutant is: one rule dropped, the runs that must notice, and how many it may take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from simnet.changes import DRAWN
from simnet.scenario import Scenario

__all__ = ["Mutant", "Patch", "Registry"]


class Patch:
    """Changes attributes of production code, and puts them back."""

    def __init__(self) -> None:
        self._saved: list[tuple[object, str, object]] = []

    def set(self, owner: object, name: str, value: object) -> None:
        """Replace an attribute of a class or a module."""
        self._saved.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back."""
        while self._saved:
            setattr(*self._saved.pop())


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule broken on purpose.

    Attributes:
        name: of the function that breaks it.
        rule: the row of the table in docs/consensus.md ("What holds each rule") that it is of.
        description: what is no longer done.
        apply: does it.
        seeds: so many seeds at most until a run notices.
        schedule: the directed schedule (simnet.schedules) that notices, where seeds seldom do.
        mark: the mark (simnet.marks) that no run hits any more: how the loss of a rule shows that
            only makes recovery slower.
        actor: the Byzantine member without whom nobody can notice, "" when none is needed.
        tier: of the runs.
        weather: what the runs of the swarm get instead of their own weather.
    """

    name: str
    rule: str
    description: str
    apply: Callable[[Patch], None]
    seeds: int = 100
    schedule: str = ""
    mark: str = ""
    actor: str = ""
    tier: str = "core"
    weather: Mapping[str, int] = field(default_factory=dict)

    def scenario(self, seed: int) -> Scenario:
        """Give the run of a seed: the swarm's, with the rule broken."""
        drawn = DRAWN[self.tier](seed)
        weather = msgspec.structs.replace(drawn.weather, **self.weather)
        actors = ((seed % drawn.validators, self.actor),) if self.actor else drawn.actors
        return msgspec.structs.replace(drawn, mutant=self.name, actors=actors, weather=weather)


class Registry:
    """Collects mutants as they are defined."""

    def __init__(self) -> None:
        self.mutants: dict[str, Mutant] = {}

    def breaks(
        self, rule: str, **details: object
    ) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
        """Register a function that breaks ``rule``; its docstring says how."""

        def register(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
            name = apply.__name__
            assert name not in self.mutants, f"two mutants are called {name}"
            description = (apply.__doc__ or "").strip().splitlines()[0]
            make: Callable[..., Mutant] = Mutant
            self.mutants[name] = make(name, rule, description, apply, **details)
            return apply

        return register
