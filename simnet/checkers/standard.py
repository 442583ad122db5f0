"""The checkers that watch every run."""

from simnet.checkers.agreement import Agreement
from simnet.observer import Observer
from simnet.scenario import Scenario

__all__ = ["standard_checkers"]


def standard_checkers(scenario: Scenario) -> list[Observer]:
    """Make the checkers of one run."""
    del scenario
    return [Agreement()]
