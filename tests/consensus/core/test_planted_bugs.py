"""Breaks one rule at a time and expects the storms to notice: a tester that finds nothing is none.

Every mutant is the smallest change that drops its rule. The seeds are those that find it; should
none of them any longer, the storm has become too mild for that rule. Rules whose loss random
storms find too seldom (R-CONSECUTIVE, the kept timeout certificate) have directed schedules in
``test_agreement_rules``.
"""

from collections.abc import Callable
from typing import Any

import pytest

from consensus.core.agreement import Agreement
from consensus.core.blocktree import BlockTree
from consensus.core.catchup import CatchUp
from consensus.core.dissemination import Dissemination
from consensus.core.effects import Effect, Persist
from consensus.core.outbox import Outbox
from consensus.core.pacemaker import Pacemaker
from consensus.core.proposing import Proposer
from consensus.core.safety import SafetyRules, is_justified
from ledger.core.block import Block
from ledger.core.validators import ValidatorSet
from tests.consensus.core import actors
from tests.consensus.core.storm import Actor, Storm
from tests.support.federation import Disk

Patch = pytest.MonkeyPatch
SEEDS = range(60)


def found(actor: Actor | None = None) -> bool:
    """Say whether a storm of some seed notices what is broken."""
    for seed in SEEDS:
        storm = Storm(4, seed, actor)
        try:
            storm.rage()
            storm.calm()
        except Exception:  # noqa: BLE001 - whatever it is, the broken rule was noticed
            return True
    return False


def a_quorum_too_small(patch: Patch) -> bool:
    """Certify with f + 1 votes, so that two quorums need no honest validator in common."""
    init: Callable[..., None] = ValidatorSet.__init__

    def small(self: ValidatorSet, members: Any) -> None:  # noqa: ANN401
        init(self, members)
        self.quorum = self.faulty_max + 1

    patch.setattr(ValidatorSet, "__init__", small)
    return found(actors.equivocator)


def votes_after_a_timeout(patch: Patch) -> bool:
    """Forget R-NO-VOTE-AFTER-TIMEOUT: only an earlier vote forbids one."""

    def may_vote(self: SafetyRules, block: Block) -> bool:
        last = self.record.last_vote
        return (last is None or block.round > last.round) and is_justified(block)

    patch.setattr(SafetyRules, "may_vote", may_vote)
    return found()


def several_votes_a_round(patch: Patch) -> bool:
    """Forget R-ONCE: vote for every block of the round."""

    def may_vote(self: SafetyRules, block: Block) -> bool:
        return block.round >= self.record.acted_round and is_justified(block)

    patch.setattr(SafetyRules, "may_vote", may_vote)
    return found(actors.spoiler)


def a_record_that_is_not_kept(patch: Patch) -> bool:
    """Forget R-PERSIST: the record never reaches the disk."""
    patch.setattr(Disk, "persist", lambda _self, _effect: None)
    return found()


def signatures_that_leave_before_the_record_is_kept(patch: Patch) -> bool:
    """Send first and write then."""

    def take(self: Outbox, barrier: Persist | None) -> list[Effect]:
        effects = [*self._inside, *self._leaving, *([] if barrier is None else [barrier])]
        self._inside, self._leaving = [], []
        return effects

    patch.setattr(Outbox, "take", take)
    return found()


def blocks_delivered_twice(patch: Patch) -> bool:
    """Give the executor the new head a second time."""
    commit = BlockTree.commit

    def twice(self: BlockTree, *args: Any) -> Any:  # noqa: ANN401
        finals = commit(self, *args)
        return [*finals, finals[-1]] if finals else finals

    patch.setattr(BlockTree, "commit", twice)
    return found()


def ancestors_in_the_wrong_order(patch: Patch) -> bool:
    """Deliver several ancestors newest first, as one known implementation did."""
    commit = BlockTree.commit

    def backwards(self: BlockTree, *args: Any) -> Any:  # noqa: ANN401
        finals = commit(self, *args)
        return finals[::-1] if finals else finals

    patch.setattr(BlockTree, "commit", backwards)
    return found()


def timeouts_said_once(patch: Patch) -> bool:
    """Never say a timeout again: a lost one stops the network."""
    patch.setattr(Pacemaker, "resend_ms", property(lambda _self: 10**9))
    return found()


def no_catching_up(patch: Patch) -> bool:
    """Never ask for committed blocks."""
    patch.setattr(CatchUp, "on_unreachable_commit", lambda _self, _qc: None)
    return found()


def no_fetching(patch: Patch) -> bool:
    """Never ask for batches that a final block names."""
    patch.setattr(CatchUp, "fetch_batches", lambda _self: None)
    return found(actors.miser)


def batches_never_sent_again(patch: Patch) -> bool:
    """Send a batch once only."""
    patch.setattr(Dissemination, "on_rebroadcast_timer", lambda _self, _now: None)
    return found()


def no_flushing(patch: Patch) -> bool:
    """Forget the flush rule and the idle rule: without payload, never propose."""
    patch.setattr(Proposer, "_pause_ms", lambda _self, _path: 10**9)
    patch.setattr(Agreement, "on_idle_timer", lambda _self: None)
    return found()


MUTANTS = (
    a_quorum_too_small,
    votes_after_a_timeout,
    several_votes_a_round,
    a_record_that_is_not_kept,
    signatures_that_leave_before_the_record_is_kept,
    blocks_delivered_twice,
    ancestors_in_the_wrong_order,
    timeouts_said_once,
    no_catching_up,
    no_fetching,
    batches_never_sent_again,
    no_flushing,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_planted_bugs_are_found(mutant: Callable[[Patch], bool], monkeypatch: Patch) -> None:
    """A core that breaks the rule does not survive the storms."""
    assert mutant(monkeypatch)
