"""What one honest validator may do in one round: the real ``SafetyRules``, all choices.

Each step of the real rules is judged by the abstract protocol, in both directions: what they allow
must be allowed, what they refuse must be forbidden, and the record afterwards must be the one that
the proof assumes. ``DepartureError`` is raised otherwise. Each step also begins with a restart: the
record is encoded, decoded and given to new rules, because a crash may come at any time and
what is on disk is all that remains.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from consensus.core.safety import SafetyRules
from consensus.core.safety_record import SafetyRecord, decode_record, encode_record
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate, Timeout, TimeoutCertificate, Vote
from ledger.core.errors import InvariantError
from ledger.core.ids import BlockId, Round
from simnet.model import abstract
from simnet.model.scope import Phase
from simnet.model.world import World

__all__ = ["DepartureError", "FalseAlarmError", "Local", "Offer", "local_outcomes"]


class DepartureError(AssertionError):
    """The real rules did what the abstract protocol forbids, or refused what it allows."""


class FalseAlarmError(AssertionError):
    """An honest validator stopped although nothing was wrong."""


class Offer(NamedTuple):
    """A block that somebody proposes in this round; ``parent`` is an index into the state."""

    parent: int
    variant: int
    id: BlockId
    block: Block
    parent_block: Block


class Cast(NamedTuple):
    """A vote, and the block that it is for."""

    offer: Offer
    vote: Vote


class Local(NamedTuple):
    """One validator within a round: its record, and what it has signed in the round, in order."""

    record: SafetyRecord
    statements: tuple[Cast | Timeout, ...] = ()

    @property
    def votes(self) -> list[Cast]:
        """The votes of the round: at most one, if the rules are right."""
        return [said for said in self.statements if isinstance(said, Cast)]

    @property
    def timeout(self) -> Timeout | None:
        """The timeout of the round."""
        return next((said for said in self.statements if isinstance(said, Timeout)), None)

    def after(self, record: SafetyRecord, statement: Cast | Timeout) -> "Local":
        """Give what it is after one more statement."""
        return Local(record, (*self.statements, statement))

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes this outcome from others of the same validator and round."""
        record = self.record
        votes = tuple((o.parent, o.variant, o.block.tc is None) for o, _ in self.votes)
        reported = -1 if self.timeout is None else self.timeout.high_qc.round
        rounds = record.lock_round, record.acted_round, record.timed_round
        return votes, reported, rounds, record.high_qc.round, record.high_qc.block_id


class Stage(NamedTuple):
    """The round that a validator is in: what it is offered, and what it may learn."""

    round: Round
    offers: Sequence[Offer]
    certificates: Sequence[QuorumCertificate]


def local_outcomes(world: World, index: int, record: SafetyRecord, stage: Stage) -> list[Local]:
    """Give every way through the round for one honest validator, each once.

    Raises:
        DepartureError, FalseAlarmError: the real rules are not what the specification says.
    """
    reached = [Local(record)]
    for phase in world.scope.phases:
        following = {} if _must_act(world, phase) else {local.key: local for local in reached}
        for local in reached:
            for after in _options(world, index, local, phase, stage):
                following.setdefault(after.key, after)
        reached = list(following.values())
    if world.scope.is_correct:
        for local in reached:
            _judge_refusals(world.rules(index, local.record), stage)
    return reached


def _must_act(world: World, phase: Phase) -> bool:
    return world.scope.eager and phase is Phase.GIVE_UP


def _options(world: World, index: int, local: Local, phase: Phase, stage: Stage) -> Iterator[Local]:
    rules = world.rules(index, _restarted(local.record))
    record = rules.record
    if phase is Phase.FORGET:
        yield local._replace(record=world.first_record(index))
    elif phase is Phase.VOTE:
        for offer in stage.offers:
            rules.record = record
            vote = _vote(rules, offer, world)
            if vote is not None:
                yield local.after(rules.record, Cast(offer, vote))
    else:
        known = record.high_qc.round
        learnable = [qc for qc in stage.certificates if known < qc.round < stage.round]
        for qc in (record.high_qc, *([] if world.scope.eager else learnable)):
            rules.record = record
            timeout = _give_up(rules, stage.round, qc, world)
            if timeout is not None:
                yield local.after(rules.record, timeout)


def _restarted(record: SafetyRecord) -> SafetyRecord:
    restarted = decode_record(encode_record(record))
    if restarted != record:
        raise DepartureError("a restart changes the record")
    return restarted


def _vote(rules: SafetyRules, offer: Offer, world: World) -> Vote | None:
    """Take in the block as ``Agreement`` does, certificates first; vote if the rules allow it."""
    block, before = offer.block, rules.record
    if not _learn(rules, block.qc, block.tc, world):
        return None
    allowed = rules.may_vote(block)
    vote = rules.vote(block, offer.id, offer.parent_block) if allowed else None
    if world.scope.is_correct:
        _judge_vote(before, offer, vote, rules.record)
    return vote


def _give_up(
    rules: SafetyRules, round_: Round, qc: QuorumCertificate, world: World
) -> Timeout | None:
    before = rules.record
    if not _learn(rules, qc, None, world):
        return None
    timeout = rules.timeout(round_)
    if world.scope.is_correct:
        _require(rules.record.high_qc.round >= qc.round, "keeping the highest certificate")
        _judge_timeout(before, round_, timeout, rules.record)
    return timeout


def _learn(
    rules: SafetyRules, qc: QuorumCertificate, tc: TimeoutCertificate | None, world: World
) -> bool:
    """Note certificates as ``Agreement`` does; say whether the validator goes on."""
    try:
        rules.note_certificate(qc)
        if tc is not None:
            rules.note_certificate(tc.high_qc)
            rules.note_timeout_certificate(tc)
    except InvariantError as error:
        if world.scope.is_correct:
            raise FalseAlarmError(str(error)) from error
        return False  # the broken validator noticed, and halted
    return True


def _judge_vote(before: SafetyRecord, offer: Offer, vote: Vote | None, after: SafetyRecord) -> None:
    block = offer.block
    tc_round, tc_max = (-1, -1) if block.tc is None else (block.tc.round, block.tc.qc_round_max)
    justified = abstract.is_justified(block.round, block.qc.round, tc_round, tc_max)
    allowed = abstract.may_vote(before.acted_round, block.round) and justified
    _require((vote is not None) == allowed, f"voting in round {block.round}")
    if vote is not None:
        commits = abstract.commits_parent(block.round, block.qc.round)
        _require((vote.commit is not None) == commits, "the commit of a vote")
        _require(after.acted_round == block.round, "acted_round after a vote")
        _require(after.lock_round == max(before.lock_round, block.qc.round), "the lock")


def _judge_timeout(
    before: SafetyRecord, round_: Round, timeout: Timeout | None, after: SafetyRecord
) -> None:
    allowed = abstract.may_time_out(before.acted_round, round_)
    _require((timeout is not None) == allowed, f"giving up round {round_}")
    if timeout is not None:
        reported = timeout.high_qc.round
        reports = abstract.may_report(before.lock_round, round_, reported)
        _require(reports, f"reporting {reported} with lock {before.lock_round}")
        _require(after.acted_round == round_, "acted_round after a timeout")
        _require(after.lock_round == before.lock_round, "the lock after a timeout")


def _judge_refusals(rules: SafetyRules, stage: Stage) -> None:
    """After all that was done in the round: no second vote, and no way back.

    What is asked for here is never signed, so it adds no behaviour.
    """
    acted, stored = rules.record.acted_round, rules.record.last_timeout
    for offer in stage.offers:
        if not abstract.may_vote(acted, offer.block.round):
            _require(not rules.may_vote(offer.block), "a vote in a round acted in")
    for earlier in range(1, acted):
        again = rules.timeout(Round(earlier))
        _require(again is None or again is stored, "giving an earlier round up")


def _require(condition: bool, what: str) -> None:  # noqa: FBT001 - an assertion with a name
    if not condition:
        raise DepartureError(f"the rules and the abstract protocol differ on {what}")
