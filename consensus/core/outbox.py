"""Collects the effects of one step and puts them into the order that keeps the promises."""

from consensus.core.effects import (
    Broadcast,
    Effect,
    EndEpoch,
    Execute,
    Halt,
    Penalize,
    Persist,
    Reply,
    Send,
)

__all__ = ["Outbox"]

# A certificate that a block is executed with may hold this validator's own new vote: in the chain
# store, which is read to peers, it would outlive the record of it.
_LEAVING = frozenset({Send, Broadcast, Execute, Reply, Penalize, Halt, EndEpoch})


class Outbox:
    """Effects of the step in progress.

    What stays inside the process comes first, then the barrier, then what leaves, into the chain
    store too: so nothing that was signed in a step outlives the record of it (R-PERSIST). Only what
    the record of an earlier step covers goes ahead of all that, and need not wait for the disk.
    """

    def __init__(self) -> None:
        self._ahead: list[Effect] = []
        self._inside: list[Effect] = []
        self._leaving: list[Effect] = []

    def add(self, effect: Effect, *, ahead: bool = False) -> None:
        """Add an effect; the order within each kind is kept.

        Args:
            ahead: it may leave before the barrier, because the record on the disk covers it.
        """
        if ahead:
            self._ahead.append(effect)
        else:
            (self._leaving if type(effect) in _LEAVING else self._inside).append(effect)

    def take(self, barrier: Persist | None) -> list[Effect]:
        """Give all effects in order, the barrier among them, and start anew."""
        effects = [*self._ahead, *self._inside]
        if barrier is not None:
            effects.append(barrier)
        effects += self._leaving
        self._ahead, self._inside, self._leaving = [], [], []
        return effects
