"""Mutants of the rules of safety: what may be signed, and what certificates say."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from consensus.core import proposing, safety
from consensus.core.blocktree import BlockTree
from consensus.core.effects import Effect, Persist
from consensus.core.node import NodeCore
from consensus.core.outbox import Outbox
from consensus.core.ports import Restored
from consensus.core.safety import SafetyRules, is_justified
from consensus.core.verification import RememberingDomain
from consensus.core.votes import VoteCollector
from ledger.core.block import Block, block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate, Timeout, TimeoutCertificate
from ledger.core.ids import Round
from ledger.core.signing import SignatureCheck
from ledger.core.validators import ValidatorSet
from simnet.mutants.mutant import Patch, Registry

__all__ = ["registry"]

registry: Final = Registry()


# --- one vote, one timeout, one proposal ----------------------------------------------------


@registry.breaks("R-ONCE", actor="equivocating_leader")
def several_votes_a_round(patch: Patch) -> None:
    """Vote for every block of a round that was not given up."""

    def may_vote(self: SafetyRules, block: Block) -> bool:
        record, last = self.record, self.record.last_vote
        is_new = last is None or last.block_id != block_id(block)
        return is_new and record.timed_round < block.round >= record.acted_round

    patch.set(SafetyRules, "may_vote", may_vote)


@registry.breaks("R-NO-VOTE-AFTER-TIMEOUT")
def votes_after_a_timeout(patch: Patch) -> None:
    """Let only an earlier vote forbid one, not a timeout."""

    def may_vote(self: SafetyRules, block: Block) -> bool:
        last = self.record.last_vote
        return (last is None or block.round > last.round) and is_justified(block)

    patch.set(SafetyRules, "may_vote", may_vote)


@registry.breaks("R-PROPOSE-ONCE")
def several_proposals_a_round(patch: Patch) -> None:
    """Propose again whenever there is something new."""

    def may_propose(self: SafetyRules, round_: Round) -> bool:
        return not self.record.sit_out and self.record.timed_round < round_

    patch.set(SafetyRules, "may_propose", may_propose)


@registry.breaks("R-RESERVE")
def a_reserved_round_is_used_again_after_a_restart(patch: Patch) -> None:
    """Propose in the round that the process before may have proposed in."""
    init: Callable[..., None] = SafetyRules.__init__

    def forgetful(self: SafetyRules, *a: Any, **k: Any) -> None:  # noqa: ANN401
        init(self, *a, **k)
        self._reserved_before = Round(0)

    patch.set(SafetyRules, "__init__", forgetful)


@registry.breaks("R-RESERVE")
def any_proposal_leaves_before_it_is_recorded(patch: Patch) -> None:
    """Take every round for reserved."""
    patch.set(SafetyRules, "is_reserved", lambda _self, _round, is_kept: True)  # noqa: ARG005


@registry.breaks("R-RESERVE")
def a_record_that_is_not_kept_yet_reserves(patch: Patch) -> None:
    """Let a proposal go ahead of what else its step has signed."""

    def is_reserved(self: SafetyRules, round_: Round, *, is_kept: bool) -> bool:
        del is_kept
        return round_ == self.record.acted_round + 1

    patch.set(SafetyRules, "is_reserved", is_reserved)


# --- what a block must show -----------------------------------------------------------------


def _set_justified(patch: Patch, rule: Callable[[Block], bool]) -> None:
    patch.set(safety, "is_justified", rule)
    patch.set(proposing, "is_justified", rule)


@registry.breaks("R-JUSTIFY", actor="mutator")
def unjustified_blocks_accepted(patch: Patch) -> None:
    """Vote for any block with an older certificate, timeout certificate or not."""
    _set_justified(
        patch, lambda block: block.parent_id == block.qc.block_id and block.qc.round < block.round
    )


@registry.breaks("R-JUSTIFY", actor="false_header")
def reports_of_a_timeout_certificate_ignored(patch: Patch) -> None:
    """Accept a certificate older than the newest that the timeout certificate reports."""

    def rule(block: Block) -> bool:
        linked = block.parent_id == block.qc.block_id and block.qc.round < block.round
        before = block.qc.round if block.tc is None else block.tc.round
        return linked and before + 1 == block.round

    _set_justified(patch, rule)


@registry.breaks("R-CONSECUTIVE")
def commits_over_a_gap(patch: Patch) -> None:
    """Let every certificate commit the parent, consecutive rounds or not."""

    def careless(block: Block, parent: Block, _closing: object = None) -> Commit:
        return Commit(block.parent_id, parent.height, parent.next_set_hash)

    patch.set(safety, "commit_of", careless)
    patch.set(proposing, "commit_of", careless)


@registry.breaks("R-REPORT", schedule="certificate_newer_than_the_record")
def a_timeout_that_hides_the_lock(patch: Patch) -> None:
    """Report the certificate by which the round was entered, though a higher one is locked."""
    original = SafetyRules.timeout

    def timeout(self: SafetyRules, round_: Round) -> Timeout | None:
        true = self.record
        if true.high_tc is None or true.high_tc.round + 1 != round_:
            return original(self, round_)
        self.record = msgspec.structs.replace(
            true, high_qc=true.high_tc.high_qc, lock_round=Round(0)
        )
        made = original(self, round_)
        self.record = msgspec.structs.replace(
            self.record, high_qc=true.high_qc, lock_round=true.lock_round
        )
        return made

    patch.set(SafetyRules, "timeout", timeout)


# --- the record -----------------------------------------------------------------------------


@registry.breaks("R-PERSIST")
def a_record_that_is_not_kept(patch: Patch) -> None:
    """Never write the record to the disk."""
    patch.set(NodeCore, "_barrier", lambda _self: None)


@registry.breaks("R-PERSIST")
def signatures_that_leave_before_the_record_is_kept(patch: Patch) -> None:
    """Send first and write then."""

    def take(self: Outbox, barrier: Persist | None) -> list[Effect]:
        last = [] if barrier is None else [barrier]
        effects = [*self._ahead, *self._inside, *self._leaving, *last]
        self._ahead, self._inside, self._leaving = [], [], []
        return effects

    patch.set(Outbox, "take", take)


def _restart_with(patch: Patch, forget: Callable[[Restored], Restored]) -> None:
    init: Callable[..., None] = NodeCore.__init__

    def forgetful(self: NodeCore, signer: Any, restored: Restored, *a: Any) -> None:  # noqa: ANN401
        init(self, signer, forget(restored), *a)

    patch.set(NodeCore, "__init__", forgetful)


def _change_record(restored: Restored, **fields: object) -> Restored:
    record = msgspec.structs.replace(restored.record, **fields)
    return msgspec.structs.replace(restored, record=record)


@registry.breaks("R-ONCE")
def votes_forgotten_at_restart(patch: Patch) -> None:
    """Start with a record that has signed nothing, but knows its round."""
    _restart_with(
        patch,
        lambda restored: _change_record(
            restored,
            acted_round=Round(0),
            timed_round=Round(0),
            last_vote=None,
            last_timeout=None,
            last_proposal=None,
        ),
    )


@registry.breaks("timeout certificate kept and whole")
def a_timeout_certificate_forgotten_at_restart(patch: Patch) -> None:
    """Start without the timeout certificate by which the round was entered."""
    _restart_with(patch, lambda restored: _change_record(restored, high_tc=None))


@registry.breaks("R-PERSIST")
def voted_proposals_forgotten_at_restart(patch: Patch) -> None:
    """Keep no block that was voted for: after a power failure of all nobody has it."""
    _restart_with(patch, lambda restored: msgspec.structs.replace(restored, proposals=()))


@registry.breaks("start guard, old and lost records", weather={"safety_loss": 900_000})
def a_lost_record_is_no_reason_to_wait(patch: Patch) -> None:
    """Sign at once after the record was lost."""
    _restart_with(patch, lambda restored: _change_record(restored, sit_out=False))


# --- certificates ---------------------------------------------------------------------------


@registry.breaks("quorum, distinct signers")
def a_quorum_too_small(patch: Patch) -> None:
    """Certify with f + 1 signatures, so that two quorums need no honest member in common."""
    init: Callable[..., None] = ValidatorSet.__init__

    def small(self: ValidatorSet, members: Any) -> None:  # noqa: ANN401
        init(self, members)
        self.quorum = self.faulty_max + 1

    patch.set(ValidatorSet, "__init__", small)


@registry.breaks("quorum, distinct signers", actor="forger")
def duplicate_signers_counted(patch: Patch) -> None:
    """Count a signer as often as a certificate names it."""

    def signer_checks(self: Domain, signers: Any) -> list[SignatureCheck]:  # noqa: ANN401
        return [
            (key, message, signature)
            for index, message, signature in signers
            if (key := self.validators.key(index)) is not None
        ]

    patch.set(Domain, "signer_checks", signer_checks)


@registry.breaks("quorum, distinct signers", actor="forger")
def certificates_not_verified(patch: Patch) -> None:
    """Believe every quorum certificate."""
    patch.set(QuorumCertificate, "verify", lambda _self, _domain: None)


@registry.breaks("quorum, distinct signers", actor="forger")
def timeout_certificates_not_verified(patch: Patch) -> None:
    """Believe every timeout certificate."""
    patch.set(TimeoutCertificate, "verify", lambda _self, _domain, _verify_qc: None)


@registry.breaks("quorum, distinct signers", actor="forger")
def signatures_not_verified(patch: Patch) -> None:
    """Take every signature for good."""

    def verdicts(_self: RememberingDomain, checks: list[SignatureCheck]) -> list[bool]:
        return [True] * len(checks)

    patch.set(RememberingDomain, "verdicts", verdicts)


@registry.breaks("quorum, distinct signers")
def votes_for_different_blocks_counted_together(patch: Patch) -> None:
    """Make a certificate of a quorum of votes of a round, whatever they are for."""
    original = VoteCollector.add

    def add(self: VoteCollector, vote: Any) -> Any:  # noqa: ANN401
        slots = self._rounds[vote.round].slots if vote.round in self._rounds else {}
        for signer, other in slots.items():
            slots[signer] = msgspec.structs.replace(
                other, block_id=vote.block_id, commit=vote.commit
            )
        return original(self, vote)

    patch.set(VoteCollector, "add", add)


# --- commit ---------------------------------------------------------------------------------


@registry.breaks("commit order, exactly once")
def blocks_delivered_twice(patch: Patch) -> None:
    """Give the executor the new head a second time."""
    commit = BlockTree.commit

    def twice(self: BlockTree, *args: Any) -> Any:  # noqa: ANN401
        finals = commit(self, *args)
        return [*finals, finals[-1]] if finals else finals

    patch.set(BlockTree, "commit", twice)


@registry.breaks("commit order, exactly once")
def ancestors_in_the_wrong_order(patch: Patch) -> None:
    """Deliver several ancestors newest first, as one known implementation did."""
    commit = BlockTree.commit

    def backwards(self: BlockTree, *args: Any) -> Any:  # noqa: ANN401
        finals = commit(self, *args)
        return finals[::-1] if finals else finals

    patch.set(BlockTree, "commit", backwards)
