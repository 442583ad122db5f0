"""The protocol broken on purpose, one rule at a time: the model must find each break.

A mutant is a scope that differs from the correct one in a single rule. The broken rules inherit
the real ones and give up exactly one of them, so everything else that a counterexample shows is
what nodes really do.
"""

from typing import NamedTuple

import msgspec

from consensus.core.safety import SafetyRules
from ledger.core.block import Block
from ledger.core.certificate import Commit, QuorumCertificate, Vote
from ledger.core.ids import BlockId, Round
from simnet.model.scope import Phase, Scope

__all__ = ["MUTANTS", "Mutant"]


Closing = tuple[BlockId, Block] | None


class Mutant(NamedTuple):
    """A broken protocol, and the scope in which two final blocks conflict."""

    name: str
    scope: Scope


class VotesTwice(SafetyRules):
    """R-ONCE is gone: a vote does not forbid another one in its round."""

    def may_vote(self, block: Block) -> bool:
        """Look at the rounds that were given up only."""
        return _may_vote_since(self, self.record.timed_round, block)


class VotesAfterTimeout(SafetyRules):
    """R-NO-VOTE-AFTER-TIMEOUT is gone: giving a round up does not forbid a vote in it."""

    def may_vote(self, block: Block) -> bool:
        """Look at the rounds that were voted in only."""
        last = self.record.last_vote
        return _may_vote_since(self, Round(0) if last is None else last.round, block)


class IgnoresReports(SafetyRules):
    """Half of R-JUSTIFY is gone: what the timeouts reported does not matter."""

    def may_vote(self, block: Block) -> bool:
        """Take any certificate of the round before, of either kind."""
        qc_round, tc = block.qc.round, block.tc
        follows = qc_round + 1 == block.round
        given_up = tc is not None and tc.round + 1 == block.round
        return block.round > self.record.acted_round and (follows or given_up)


class NeedsNoJustification(SafetyRules):
    """R-JUSTIFY is gone: any certified parent will do."""

    def may_vote(self, block: Block) -> bool:
        """Look at the round only."""
        return block.round > self.record.acted_round


class CommitsOverGaps(SafetyRules):
    """R-CONSECUTIVE is gone: every vote commits the parent."""

    def vote(self, block: Block, id_: BlockId, parent: Block, closing: Closing = None) -> Vote:
        """Vote, and commit whatever the rounds are."""
        vote = super().vote(block, id_, parent, closing)
        commit = Commit(block.parent_id, parent.height, parent.next_set_hash)
        return Vote.make(self._domain, vote.round, id_, commit, self._signer)


class HidesItsLock(SafetyRules):
    """R-REPORT is gone: a timeout reports the first certificate that the validator ever had."""

    def note_certificate(self, qc: QuorumCertificate) -> None:
        """Learn nothing."""

    def vote(self, block: Block, id_: BlockId, parent: Block, closing: Closing = None) -> Vote:
        """Vote, but lock nothing."""
        before, vote = self.record, super().vote(block, id_, parent, closing)
        self.record = msgspec.structs.replace(
            self.record, high_qc=before.high_qc, lock_round=before.lock_round
        )
        return vote


def _may_vote_since(rules: SafetyRules, acted_round: Round, block: Block) -> bool:
    """Ask the real rules what they would allow had nothing been signed after ``acted_round``."""
    record = msgspec.structs.replace(rules.record, acted_round=acted_round)
    return rules.record.acted_round <= block.round and SafetyRules.may_vote(
        SafetyRules(record, rules._domain, rules._signer), block
    )


_TWICE = (Phase.VOTE, Phase.VOTE, Phase.GIVE_UP)
_LATE = (Phase.GIVE_UP, Phase.VOTE)
_AMNESIA = (Phase.VOTE, Phase.FORGET, Phase.VOTE, Phase.GIVE_UP)
_EAGER = Scope(eager=True)

MUTANTS = (
    Mutant("two faulty of four", _EAGER._replace(faulty=2)),
    Mutant("a quorum of two", _EAGER._replace(quorum=2)),
    Mutant("without R-ONCE", _EAGER._replace(rules=VotesTwice, phases=_TWICE)),
    Mutant(
        "without R-NO-VOTE-AFTER-TIMEOUT", _EAGER._replace(rules=VotesAfterTimeout, phases=_LATE)
    ),
    Mutant("without R-JUSTIFY", _EAGER._replace(rules=NeedsNoJustification)),
    Mutant("R-JUSTIFY without the reports", _EAGER._replace(rules=IgnoresReports)),
    Mutant("without R-CONSECUTIVE", _EAGER._replace(rules=CommitsOverGaps)),
    Mutant("without R-REPORT", _EAGER._replace(rules=HidesItsLock)),
    Mutant("without R-PERSIST", _EAGER._replace(phases=_AMNESIA)),
)
