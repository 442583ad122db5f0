"""Signing again after the safety record was lost.

The validator waits until so many peers have proven their round that an honest one who took part
in the last certificate before the loss must be among them, and then sits out a margin more.

With n validators, quorum Q and f faulty: the highest round in which this key may have signed is
r, entered through a certificate of r - 1 with at least Q - 1 other signers, of whom Q - 1 - f are
honest and still prove a round of at least r. Of n - 1 peers, n - Q + f + 1 answers must contain
one of those.
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
