"""Many interests at once: which of them an event fulfils, without asking each.

Owns no meaning of its own: the answer is always that of asking every interest.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from ledger.core.event import Event
from ledger.core.ids import EventId
from pubsub.core.interest import Interest
from pubsub.core.interest_match import Predicate, compile_interest

__all__ = ["InterestIndex"]

K = TypeVar("K", bound=Hashable)


class InterestIndex(Generic[K]):
    """Interests by the keys of those who have them."""

    def __init__(self) -> None:
        self._predicates: dict[K, Predicate] = {}

    def add(self, key: K, interest: Interest) -> None:
        """Say that ``key``, which has no interest so far, has ``interest``."""
        assert key not in self._predicates
        self._predicates[key] = compile_interest(interest)

    def remove(self, key: K) -> None:
        """Forget the interest of ``key``, which has one."""
        del self._predicates[key]

    def keys(self, event: Event, id_: EventId) -> list[K]:
        """Give the keys whose interests ``event`` fulfils, in the order of their adding."""
        return [key for key, predicate in self._predicates.items() if predicate(event, id_)]
