"""Life cycles: the states of a resource and which may follow which.

Owns the state machines that the TM Forum guides and DOME's architecture draw. Never decides what
happens to a forbidden step: that is the mode of ``adapters/tmf/entities/stepping.py``.

States are compared without regard to case and outer blanks: marketplaces write "active" and
"Active", and one definition has the word "aborted " with a blank at its end.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

__all__ = [
    "CANCELLATION",
    "CATALOGUE_ELEMENT",
    "CATEGORY",
    "JOB",
    "ORDER",
    "ORDER_ITEM",
    "ORDER_ITEMS",
    "PRODUCT",
    "USAGE",
    "LifeCycle",
    "fold",
]


def fold(state: str) -> str:
    """Give the form of a state that is compared."""
    return state.strip().casefold()


class LifeCycle(msgspec.Struct, frozen=True):
    """One state machine.

    Attributes:
        first: folded states that an entity may begin with.
        steps: by folded state, the folded states that may follow; final states have none.
        is_advisory: no public text draws it: a forbidden step is told, never refused.
    """

    name: str
    first: frozenset[str]
    steps: Mapping[str, frozenset[str]]
    is_advisory: bool = False

    def may_begin(self, state: str) -> bool:
        """Tell whether an entity may begin in this state."""
        return fold(state) in self.first

    def may_follow(self, before: str, after: str) -> bool:
        """Tell whether ``after`` may follow ``before``; staying is always allowed."""
        return fold(before) == fold(after) or fold(after) in self.steps.get(fold(before), ())

    def is_final(self, state: str) -> bool:
        """Tell whether nothing may follow; False for a state that it does not know."""
        return self.steps.get(fold(state)) == frozenset()


def _life_cycle(name: str, first: str, text: str, *, is_advisory: bool = False) -> LifeCycle:
    """Read lines of the form ``before > after, after``; words after ``first`` may begin."""
    steps: dict[str, frozenset[str]] = {}
    for line in text.strip().splitlines():
        before, _, after = line.partition(">")
        steps[fold(before)] = frozenset(fold(word) for word in after.split(",") if word.strip())
    ends = frozenset().union(*steps.values()) - steps.keys()
    steps |= dict.fromkeys(ends, frozenset())
    beginnings = frozenset(fold(word) for word in first.split(","))
    assert beginnings <= steps.keys(), "a beginning is one of the states"
    return LifeCycle(name, beginnings, MappingProxyType(steps), is_advisory)


CATALOGUE_ELEMENT: Final = _life_cycle(
    "catalogue element",
    "In study, In design, Active",
    """
    In study > In design
    In design > In test
    In test > In design, Rejected, Active
    Active > Launched, Retired
    Launched > Retired
    Retired > Obsolete
    """,
)

CATEGORY: Final = _life_cycle(
    "category",
    "In design, Active",
    """
    In design > In test
    In test > Rejected, Active
    Active > Retired
    Retired > Obsolete
    """,
)

_ORDERING = """
    acknowledged > inProgress, pending
    inProgress > pending, held, assessingCancellation, completed, failed{partial}
    pending > inProgress, cancelled, assessingCancellation
    held > inProgress, cancelled, assessingCancellation
    assessingCancellation > inProgress, pending, held, pendingCancellation
    pendingCancellation > cancelled
    rejected >
    """

ORDER: Final = _life_cycle(
    "product order", "acknowledged, rejected", _ORDERING.replace("{partial}", ", partial")
)

ORDER_ITEMS: Final = "productOrderItem"
"""The attribute of an order, and of an item, that holds items."""

ORDER_ITEM: Final = _life_cycle(
    "product order item", "acknowledged, rejected", _ORDERING.replace("{partial}", "")
)

CANCELLATION: Final = _life_cycle(
    "cancellation of a product order",
    "acknowledged, terminatedWithError",
    """
    acknowledged > inProgress, done, terminatedWithError
    inProgress > done, terminatedWithError
    """,
)

PRODUCT: Final = _life_cycle(
    "product",
    "created, pendingActive, active",
    """
    created > pendingActive, active
    pendingActive > active, aborted, cancelled
    active > suspended, pendingTerminate, terminated
    suspended > active
    pendingTerminate > terminated
    """,
)

USAGE: Final = _life_cycle(
    "usage",
    "received",
    """
    received > guided, rejected
    rejected > recycled
    recycled > received, guided
    guided > rated
    rated > rerated, billed
    rerated > rerated, billed
    """,
    is_advisory=True,
)

JOB: Final = _life_cycle(
    "job",
    "Not Started",
    """
    Not Started > Running, Failed
    Running > Succeeded, Failed
    """,
)
