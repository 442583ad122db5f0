"""Signing again after the safety record was lost.

The validator waits until so many peers have proven their round that an honest one who took part
in the last certificate before the loss must be among them, and then sits out a margin more.

With n validators, quorum Q and f faulty: the highest round in which this key may have signed is
r, entered through a certificate of r - 1 with at least Q - 1 other signers, of whom Q - 1 - f are
honest and prove a round of at least r - 1. Of n - 1 peers, n - Q + f + 1 answers must contain
one of those. So r is at most the highest proven round and one.

The margin also brings the lost lock back. The key signs again in a round that was entered through a
certificate of a round above r, made without it; among its signers is an honest one that voted in r
with this key, and that one has reported or built on what both were locked on. A larger margin
would prove nothing more, and more than f members that recover within it stop the network for good.

Two things this takes for granted. Answers are from after the loss: one that an honest peer had put
into its queue before, and that leaves when the connection is back, proves less than that peer has
signed. And f counts the member itself, until it signs again and again holds every block up to its
highest certificate: members that lose them one after the other, quicker than they fetch them from
each other, lose a certified block that nobody else has.
"""

from ledger.core.ids import NodeIndex, Round
from ledger.core.validators import ValidatorSet

__all__ = ["Recovery"]


class Recovery:
    """Collects the rounds that peers prove while this validator sits out."""

    def __init__(self, validators: ValidatorSet) -> None:
        self._needed = len(validators) - validators.quorum + validators.faulty_max + 1
        self._rounds: dict[NodeIndex, Round] = {}

    def on_proven_round(self, peer: NodeIndex, round_: Round) -> Round | None:
        """Note a proven round; give the highest one once enough peers have proven theirs."""
        self._rounds[peer] = max(self._rounds.get(peer, round_), round_)
        if len(self._rounds) < self._needed:
            return None
        return max(self._rounds.values())
