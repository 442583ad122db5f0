"""Contradictory signed statements of one validator, kept for people to judge.

Evidence is a function of the two statements alone. Nothing acts on it by itself: equivocation in
production is nearly always two machines with one key. Two timeouts of one round, or a vote and a
timeout, contradict nothing.
"""

from collections import OrderedDict

import msgspec

from consensus.core.context import CoreContext
from consensus.core.effects import RecordEvidence
from ledger.core.block import Proposal
from ledger.core.certificate import Vote
from ledger.core.codec import encode
from ledger.core.ids import NodeIndex, Round
from ledger.core.limits import EVIDENCE_COUNT_MAX, VALIDATORS_COUNT_MAX, VOTES_BEHIND_ROUNDS

__all__ = ["EvidenceKeeper"]

_PROPOSALS_MAX = VALIDATORS_COUNT_MAX * (VOTES_BEHIND_ROUNDS + 2)


class EvidenceKeeper:
    """Remembers the first proposal of each author and round; records contradictions once."""

    def __init__(self, context: CoreContext) -> None:
        self._outbox = context.outbox
        self._counters = context.counters
        self._epoch = context.domain.epoch
        self._proposals: OrderedDict[tuple[NodeIndex, Round], Proposal] = OrderedDict()
        self._recorded: set[tuple[str, NodeIndex, Round]] = set()

    def is_first(self, proposal: Proposal) -> bool:
        """Say whether a verified proposal is its author's first (or the same) for its round."""
        key = (proposal.block.author, proposal.block.round)
        statement = msgspec.structs.replace(proposal, certificates=(), inline=())
        first = self._proposals.setdefault(key, statement)
        if len(self._proposals) > _PROPOSALS_MAX:
            self._proposals.popitem(last=False)
        if first is statement or first.block == proposal.block:
            return True
        self._record("double_proposal", *key, encode(first), encode(statement))
        return False

    def double_vote(self, first: Vote, second: Vote) -> None:
        """Record two verified votes of one signer in one round for different things."""
        self._record("double_vote", first.signer, first.round, encode(first), encode(second))

    def wrong_commit(self, vote: Vote, block_bytes: bytes) -> None:
        """Record a verified vote that commits another block than its own block implies."""
        self._record("wrong_commit", vote.signer, vote.round, encode(vote), block_bytes)

    def _record(
        self, kind: str, offender: NodeIndex, round_: Round, first: bytes, second: bytes
    ) -> None:
        key = (kind, offender, round_)
        if key in self._recorded or self._counters.evidence >= EVIDENCE_COUNT_MAX:
            return
        self._recorded.add(key)
        self._counters.evidence += 1
        self._outbox.add(RecordEvidence(offender, kind, first, second, self._epoch))
