"""The checkers that watch every run."""

from typing import TYPE_CHECKING

from simnet.catalogue import TWIN
from simnet.checkers.accusations import Accusations
from simnet.checkers.agreement import Agreement
from simnet.checkers.certificates import Certificates
from simnet.checkers.checker import Checker, Panel
from simnet.checkers.delivery import Delivery
from simnet.checkers.finality import Finality
from simnet.checkers.limits import Limits
from simnet.checkers.livelock import Livelock
from simnet.checkers.receipts import Receipts
from simnet.checkers.rejections import Rejections
from simnet.checkers.statements import Statements
from simnet.checkers.topics import Topics
from simnet.observer import Observer
from simnet.scenario import Scenario

if TYPE_CHECKING:
    from simnet.world import World

__all__ = ["standard_checkers"]


class _Shared(Checker):
    """Gives those who judge certificates one memory of them."""

    def __init__(self, *users: Statements | Finality) -> None:
        self._users = users

    def on_begin(self, world: "World") -> None:
        certificates = Certificates(world)
        for user in self._users:
            user.use(certificates)


class _Later(Checker):
    """Calls those who watch only what happens after the chaos."""

    def on_calm(self, world: "World") -> None:
        world.watch(Livelock(world))


def standard_checkers(scenario: Scenario) -> list[Observer]:
    """Make the checkers of one run."""
    statements, finality = Statements(), Finality()
    checkers: list[Checker] = [
        _Shared(statements, finality),
        Agreement(),
        statements,
        finality,
        Accusations(),
        Limits(),
        Receipts(),
        _Later(),
    ]
    if any(kind != TWIN for _, kind in scenario.actors):
        checkers.append(Rejections())
    if scenario.tier == "full":
        checkers += (Delivery(), Topics())
    return [Panel(checkers)]
