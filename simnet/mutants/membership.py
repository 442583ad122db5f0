"""Mutants of how one epoch follows the other."""

from typing import Any, Final

import msgspec

from consensus.core import proposing, restoring, safety
from consensus.core.effects import EndEpoch
from consensus.core.handover import Handover
from consensus.core.node import NodeCore
from consensus.core.proposing import Judge
from consensus.core.safety import commit_of
from consensus.core.safety_record import SafetyRecord, first_record, record_of_epoch
from consensus.core.stragglers import Stragglers
from ledger.core import execute
from ledger.core.block import Block
from ledger.core.certificate import Commit, Domain
from ledger.core.epoch import EpochStart
from ledger.core.ids import Height, PublicKey, Round
from ledger.core.state import StateView
from ledger.core.trust.membership import end_of_epoch
from ledger.core.validators import Validator
from simnet.mutants.mutant import Patch, Registry

__all__ = ["registry"]

registry: Final = Registry()

_END = "R-EPOCH-END"
_NEXT = "the next epoch begins anew"
_AWAY = "who was away learns of the end"


@registry.breaks(_END, tier="change")
def the_last_block_of_an_epoch_has_a_payload(patch: Patch) -> None:
    """Propose batches in the blocks that end the epoch, and vote for them."""
    require, draft = Judge.require_possible, proposing.Proposer.draft

    def careless(self: Judge, block: Block) -> None:
        require(self, msgspec.structs.replace(block, payload=()))

    def laden(self: proposing.Proposer, *args: Any) -> Any:  # noqa: ANN401
        tree, proposal = self._parts.tree, draft(self, *args)
        if proposal is None or proposal.block.next_set_hash is None:
            return proposal
        path = tree.walk(proposal.block.parent_id).path
        payload = self._parts.dissemination.book.choose(tree.batches_in(path))
        block = msgspec.structs.replace(proposal.block, payload=payload.batch_ids)
        return msgspec.structs.replace(
            proposal, block=block, certificates=payload.certificates, inline=payload.inline
        )

    patch.set(Judge, "require_possible", careless)
    patch.set(proposing.Proposer, "draft", laden)


@registry.breaks(_END, tier="change")
def the_commit_names_the_parent_beyond_the_end(patch: Patch) -> None:
    """Commit the parent although the epoch ended with an ancestor of it."""

    def careless(block: Block, parent: Block, closing: Any = None) -> Commit | None:  # noqa: ANN401
        commit = commit_of(block, parent, closing)
        return commit and Commit(block.parent_id, parent.height, parent.next_set_hash)

    patch.set(safety, "commit_of", careless)
    patch.set(proposing, "commit_of", careless)


@registry.breaks(_NEXT, tier="change")
def votes_of_the_epoch_before_are_looked_at(patch: Patch) -> None:
    """Take every message for one of this epoch."""
    patch.set(NodeCore, "_is_of_this_epoch", lambda *_args: True)
    patch.set(Domain, "require_epoch", lambda *_args: None)


@registry.breaks(_NEXT, tier="change")
def the_record_of_the_epoch_before_is_kept(patch: Patch) -> None:
    """Count what was signed in the old epoch's rounds as signed in those of the new one."""

    def kept(stored: SafetyRecord, start: EpochStart, *_args: object) -> SafetyRecord:
        if stored.epoch == start.number:
            return stored
        return msgspec.structs.replace(
            stored,
            epoch=start.number,
            lock_round=Round(0),
            high_qc=start.certificate,
            high_tc=None,
        )

    patch.set(restoring, "record_of_epoch", kept)


@registry.breaks(_NEXT, tier="change", weather={"crash": 900_000})
def the_record_of_this_epoch_is_made_anew(patch: Patch) -> None:
    """Begin with an empty record whenever the epoch is not the first."""
    true = record_of_epoch

    def anew(
        stored: SafetyRecord, start: EpochStart, head: Height, end_round: Round
    ) -> SafetyRecord:
        record = true(stored, start, head, end_round)
        signed = record.epoch > 0 and record.acted_round > 0
        return first_record(start, PublicKey(stored.key)) if signed else record

    patch.set(restoring, "record_of_epoch", anew)


@registry.breaks(_NEXT, tier="change")
def open_entries_are_not_carried_over(patch: Patch) -> None:
    """Forget what was admitted and not ordered when the epoch ends."""
    true = Handover.leftovers

    def nothing(self: Handover, *args: Any) -> EndEpoch | None:  # noqa: ANN401
        end = true(self, *args)
        return end and EndEpoch((), end.submitted)

    patch.set(Handover, "leftovers", nothing)


@registry.breaks(_AWAY, tier="change")
def nobody_is_told_that_an_epoch_is_over(patch: Patch) -> None:
    """Answer nothing to messages of an earlier epoch."""
    patch.set(Stragglers, "answer_epoch", lambda *_args: None)


@registry.breaks(_NEXT, tier="full")
def the_set_in_force_goes_on_waiting(patch: Patch) -> None:
    """Leave the set that the governors approved pending when it takes over."""

    def forgetful(
        state: StateView, next_set_hash: bytes
    ) -> tuple[tuple[Validator, ...], dict[bytes, bytes]]:
        members, changes = end_of_epoch(state, next_set_hash)
        return members, {key: value for key, value in changes.items() if value}

    patch.set(execute, "end_of_epoch", forgetful)
