"""Directed schedules for the rules of the protocol, each against one real core.

Random storms find what is easy; what needs four exact steps stands here. The numbers of issues
name public reports of the same mistake elsewhere.
"""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from consensus.core.effects import Broadcast, Effect, Persist, RecordEvidence, Send
from consensus.core.inputs import PeerDown, PeerUp
from consensus.core.messages import (
    Message,
    ProposalMessage,
    ProposalResponse,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from ledger.core.block import Block, block_id
from ledger.core.certificate import Commit, Vote
from ledger.core.codec import encode
from ledger.core.errors import Offence
from ledger.core.ids import Epoch, Height, NodeIndex, Round
from tests.consensus.core import bench as bench_module
from tests.consensus.core.bench import (
    Bench,
    executed_in,
    faults_in,
    halts_in,
    honest_commit,
    proposals_in,
    sent_to,
    timeouts_in,
    votes_in,
)


def test_several_ancestors_are_committed_oldest_first_and_once() -> None:
    """After skipped rounds the pending ancestors come in order, none twice (asonnino core.rs)."""
    bench = Bench()
    chain = bench.grow(1)
    for round_ in (3, 5, 9):
        chain.append(bench.block(round_, chain[-1]))
        bench.say(chain[-1].author, bench.propose(chain[-1]))
    assert bench.height == 0, "over gaps nothing is final"
    last = bench.block(10, chain[-1])
    bench.say(last.author, bench.propose(last))
    effects = bench.say(1, SyncInfo(bench.qc(last), None))
    assert executed_in(effects) == [block_id(b) for b in chain]
    assert not executed_in(bench.say(2, SyncInfo(bench.qc(last), None)))


def fork_over_gaps(bench: Bench) -> list[Message]:
    """Certify two branches, legitimately, in alternating rounds (relab/hotstuff issue 249)."""
    nothing_seen = bench.tc(1)
    first = bench.block(1, None)
    second = bench.block(2, None, qc=bench.genesis_qc, tc=nothing_seen)
    third = bench.block(3, first, tc=bench.tc(2))
    fourth = bench.block(4, second, tc=bench.tc(3, bench.qc(first)), author=NodeIndex(0))
    return [
        bench.propose(first),
        bench.propose(second),
        bench.propose(third),
        bench.propose(fourth),
        SyncInfo(bench.qc(third), None),
        SyncInfo(bench.qc(fourth), None),
    ]


def play_fork(me: int = 0) -> tuple[Bench, list[str]]:
    """Play the fork to one core; give it and its halts."""
    bench = Bench(me, 7)
    halts: list[str] = []
    for message in fork_over_gaps(bench):
        sender = message.proposal.block.author if isinstance(message, ProposalMessage) else 1
        halts += halts_in(bench.say(sender, message))
    return bench, halts


def test_nothing_is_committed_over_a_gap() -> None:
    """Two certified branches in alternating rounds are legal, and neither is final."""
    bench, halts = play_fork(me=6)
    assert (bench.round, bench.height, halts) == (5, 0, [])


def test_committing_over_a_gap_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same schedule forks a core that drops R-CONSECUTIVE, and the core halts."""

    def careless(block: Block) -> Commit:
        return Commit(block.parent_id, Height(block.height - 1), None)

    monkeypatch.setattr(bench_module, "honest_commit", careless)
    _, halts = play_fork(me=6)
    assert "SAFETY VIOLATED" in halts[0]


def test_no_vote_after_the_timeout() -> None:
    """A round that was given up gets no vote of this validator any more, also not late."""
    bench = Bench()
    assert [t.round for t in timeouts_in(bench.time_out())] == [1]
    assert not votes_in(bench.say(1, bench.propose(bench.block(1, None))))


def test_a_timeout_after_the_vote_repeats_the_vote() -> None:
    """Giving up a round it voted in, a validator sends both, and both stay the same bytes."""
    bench = Bench()
    (vote,) = votes_in(bench.say(1, bench.propose(bench.block(1, None))))
    effects = bench.time_out()
    assert votes_in(effects) == [vote]
    again = bench.time_out()
    assert timeouts_in(again) == timeouts_in(effects)
    assert not [e for e in again if isinstance(e, Persist)], "nothing new to keep"


def test_a_timeout_reports_the_lock() -> None:
    """The certificate of the block that was voted for is in the timeout (R-REPORT)."""
    bench = Bench()
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    bench.say(2, bench.propose(bench.block(2, first)))
    (timeout,) = timeouts_in(bench.time_out())
    assert (timeout.round, timeout.high_qc.round, timeout.last_tc) == (2, 1, None)
    assert bench.record.lock_round == 1


def test_what_was_signed_is_sent_again_as_it_was_after_a_restart() -> None:
    """A restarted validator repeats its stored vote and timeout to peers (diem#4390)."""
    bench = Bench()
    (vote,) = votes_in(bench.say(1, bench.propose(bench.block(1, None))))
    (timeout,) = timeouts_in(bench.time_out())
    again = bench.restart()
    again.give(PeerDown(NodeIndex(2)))
    sent = sent_to(again.give(PeerUp(NodeIndex(2))), 2)
    assert VoteMessage(vote) in sent
    assert TimeoutMessage(timeout) in sent
    assert timeouts_in(again.time_out()) == [timeout]


def test_a_proposal_is_sent_again_as_it_was_after_a_restart() -> None:
    """A restarted leader proposes nothing else in its round."""
    bench = Bench(me=1)
    (proposal,) = proposals_in(bench.submit(b"event"))
    again = bench.restart()
    assert not proposals_in(again.effects)
    again.submit(b"another event")
    assert not proposals_in(again.effects)
    sent = sent_to(again.give(PeerUp(NodeIndex(2))), 2)
    assert ProposalMessage(proposal) in sent


def is_ahead(effects: Sequence[Effect]) -> bool:
    """Say whether the proposal among ``effects`` leaves before the record of it is written."""
    (proposed,) = [at for at, effect in enumerate(effects) if proposals_in([effect])]
    voted = [at for at, effect in enumerate(effects) if votes_in([effect])]
    (written,) = [at for at, effect in enumerate(effects) if isinstance(effect, Persist)]
    assert written < min(voted), "its author votes for it, and that waits for the record"
    return proposed < written


def test_a_proposal_need_not_wait_where_the_record_on_disk_reserves_its_round() -> None:
    """The record of the vote of round 1 reserves round 2."""
    bench = Bench(me=2)
    bench.grow(1)
    assert bench.record.acted_round == 1
    assert is_ahead(bench.submit(b"event"))


def test_the_first_proposal_waits_for_its_record() -> None:
    """Nothing was signed before round 1, so no record reserves it."""
    assert not is_ahead(Bench(me=1).submit(b"event"))


def test_a_proposal_waits_where_the_record_on_disk_reserves_another_round() -> None:
    """A certificate took this one from round 1 over round 2, in which it signed nothing."""
    bench = Bench(me=3)
    (first,) = bench.grow(1)
    second = bench.block(2, first)
    bench.say(2, SyncInfo(bench.qc(second, (0, 1, 2)), None))
    bench.say(2, ProposalResponse(bench.propose(second).proposal))
    assert (bench.round, bench.record.acted_round) == (3, 1)
    assert not is_ahead(bench.submit(b"event"))


def test_a_proposal_waits_behind_a_vote_of_the_same_step() -> None:
    """Its own vote completes the certificate of round 1: the record of that is not on disk yet."""
    bench = Bench(me=2)
    bench.auto = False
    bench.submit(b"event")
    bench.release()
    first = bench.block(1, None)
    for signer in (0, 3):
        bench.say(signer, bench.vote_message(signer, first))
    effects = bench.say(1, bench.propose(first))
    kinds = [type(effect) for effect in effects if isinstance(effect, Persist | Broadcast)]
    assert proposals_in(effects)
    assert kinds[0] is Persist
    assert kinds.count(Persist) == 1


def test_a_proposal_waits_behind_a_timeout_of_the_same_step() -> None:
    """It joins those who give round 2 up, and its timeout is in the certificate of that."""
    bench = Bench(me=3)
    (first,) = bench.grow(1)
    bench.say(2, bench.propose(bench.block(2, first)))
    assert bench.record.acted_round == 2
    bench.submit(b"event")
    certificate = bench.qc(first)
    bench.say(0, TimeoutMessage(bench.timeout(0, 2, certificate)))
    effects = bench.say(1, TimeoutMessage(bench.timeout(1, 2, certificate)))
    (proposal,) = proposals_in(effects)
    assert proposal.block.tc is not None
    assert 3 in {entry.signer for entry in proposal.block.tc.entries}
    assert not is_ahead(effects)


def test_no_proposal_in_a_round_that_an_earlier_process_may_have_used() -> None:
    """A crash between a proposal and its record leaves no trace: the round is given up."""
    bench = Bench(me=2)
    (first,) = bench.grow(1)
    proof = SyncInfo(bench.qc(first), None)
    again = bench.restart()
    assert not proposals_in([*again.say(1, proof), *again.submit(b"another event")])
    assert (again.round, again.record.acted_round) == (2, 1)
    assert [timeout.round for timeout in timeouts_in(again.time_out())] == [2]
    assert proposals_in(bench.submit(b"event")), "the process before could have"


def test_no_second_vote_across_a_crash() -> None:
    """The vote that was kept forbids one for another block of the round."""
    bench = Bench()
    first = bench.block(1, None)
    assert votes_in(bench.say(1, bench.propose(first)))
    again = bench.restart()
    other = msgspec.structs.replace(first, time_ms=first.time_ms + 1)
    assert not votes_in(again.say(1, again.propose(other)))


def test_recovery_honours_the_timeout_certificate() -> None:
    """A restarted node is in the round it timed out in, and can act there (babylon-node#243)."""
    bench = Bench()
    for round_ in (1, 2):
        bench.say(1, TimeoutCertificateMessage(bench.tc(round_)))
    (timeout,) = timeouts_in(bench.time_out())
    again = bench.restart()
    assert again.round == 3
    assert timeouts_in(again.time_out()) == [timeout]
    assert timeout.last_tc is not None


def test_a_timeout_certificate_carries_the_certificate_that_it_demands() -> None:
    """A leader that was behind can propose from the timeout certificate alone."""
    bench = Bench(me=3)
    bench.submit(b"event")
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    reports = dict.fromkeys((0, 1, 2), bench.qc(first, (0, 1, 2)))
    (proposal,) = proposals_in(
        bench.say(2, TimeoutCertificateMessage(bench.tc(2, reports=reports)))
    )
    assert (proposal.block.round, proposal.block.qc.round) == (3, 1)
    assert proposal.block.tc is not None


def test_a_leader_may_not_ignore_the_highest_certificate_that_was_reported() -> None:
    """A block on an older parent than the timeout certificate demands is a fault."""
    bench = Bench()
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    low = bench.block(3, None, tc=bench.tc(2, bench.qc(first)))
    assert low.qc.round == 0
    effects = bench.say(3, bench.propose(low))
    assert (votes_in(effects), faults_in(effects)) == ([], [(3, Offence.BAD_BLOCK)])


def unjustified(bench: Bench) -> dict[str, Block]:
    """Give blocks whose certificates do not explain their round."""
    first = bench.block(1, None)
    return {
        "no timeout certificate": bench.block(3, first, tc=None),
        "timeout certificate of another round": bench.block(3, first, tc=bench.tc(1)),
        "needless timeout certificate": bench.block(2, first, tc=bench.tc(1)),
        "parent is not the certified block": bench.block(2, first, parent_id=bytes(32)),
        "certificate of its own round": bench.block(1, first),
    }


@pytest.mark.parametrize("kind", list(unjustified(Bench())))
def test_unjustified_blocks_are_refused(kind: str) -> None:
    """R-JUSTIFY: without the right certificates a block is a fault, not a candidate."""
    bench = Bench()
    block = unjustified(bench)[kind]
    effects = bench.say(block.author, bench.propose(block))
    assert votes_in(effects) == []
    assert faults_in(effects) == [(block.author, Offence.BAD_BLOCK)]


def test_bracha_join() -> None:
    """F + 1 timeouts make a validator give up as well, without its timer; f do not."""
    bench = Bench()
    assert not timeouts_in(bench.say(1, TimeoutMessage(bench.timeout(1, 1))))
    effects = bench.say(2, TimeoutMessage(bench.timeout(2, 1)))
    assert [t.round for t in timeouts_in(effects)] == [1]
    formed = [e.message for e in effects if isinstance(e, Broadcast)]
    assert any(isinstance(m, TimeoutCertificateMessage) for m in formed), "its own is the third"
    assert bench.round == 2


def test_one_timeout_counts_once() -> None:
    """The same validator's timeout, said three times, is one."""
    bench = Bench()
    for _ in range(3):
        assert not timeouts_in(bench.say(1, TimeoutMessage(bench.timeout(1, 1))))
    assert bench.round == 1


def test_a_timeout_has_to_prove_its_round() -> None:
    """A timeout without the certificate that entered its round is a fault."""
    bench = Bench()
    first = bench.block(1, None)
    for timeout in (
        bench.timeout(1, 3),
        bench.timeout(1, 3, bench.qc(first)),
        bench.timeout(1, 3, None, bench.tc(1)),
        bench.timeout(1, 1, bench.qc(first), bench.tc(0)),
    ):
        effects = bench.say(1, TimeoutMessage(timeout))
        assert faults_in(effects) == [(1, Offence.BAD_CERTIFICATE)]
    assert bench.round == 1


def test_a_late_certificate_still_counts() -> None:
    """Votes for a round that timed out form its certificate; it raises the highest one only."""
    bench = Bench()
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    bench.say(2, TimeoutCertificateMessage(bench.tc(1)))
    assert bench.round == 2
    bench.say(1, bench.vote_message(1, first))
    bench.say(2, bench.vote_message(2, first))
    assert bench.round == 2
    (timeout,) = timeouts_in(bench.time_out())
    assert timeout.high_qc.round == 1


def test_a_root_mismatch_gets_no_vote() -> None:
    """Whoever computed another ledger than the leader does not vote, and says so."""
    bench = Bench()
    first, second = bench.grow(2)
    third = bench.block(3, second, ledger_root=bytes(32))
    effects = bench.say(3, bench.propose(third))
    assert votes_in(effects) == []
    assert "ROOT MISMATCH" in str(bench.core.status(bench.now_ms)["obstacle"])
    assert bench.core.counters.root_mismatches == 1
    assert first.round == 1


WRONG: dict[str, Callable[[Block], Block]] = {
    "not the leader": lambda b: msgspec.structs.replace(b, author=NodeIndex(3)),
    "next validator set": lambda b: msgspec.structs.replace(b, next_set_hash=bytes(32)),
    "before its parent": lambda b: msgspec.structs.replace(b, time_ms=0),
    "executed height": lambda b: msgspec.structs.replace(b, executed_height=Height(1)),
    "a batch nobody has": lambda b: msgspec.structs.replace(b, payload=(bytes(32),)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_a_voter_checks(kind: str) -> None:
    """A justified block with one wrong field gets no vote."""
    bench = Bench()
    (first,) = bench.grow(1)
    good = bench.block(2, first)
    wrong = WRONG[kind](good)
    assert votes_in(bench.say(wrong.author, bench.propose(wrong))) == []
    if kind != "a batch nobody has":
        assert bench.core.status(bench.now_ms)["obstacle"]
    assert votes_in(bench.say(2, bench.propose(good))) or wrong.author == 2


def test_only_authors_and_signers_speak_for_themselves() -> None:
    """Proposals, votes and timeouts of somebody else are refused before anything is done."""
    bench = Bench()
    first = bench.block(1, None)
    assert faults_in(bench.say(2, bench.propose(first))) == [(2, Offence.BAD_BLOCK)]
    effects = bench.say(2, bench.vote_message(3, first))
    assert faults_in(effects) == [(2, Offence.BAD_SIGNATURE)]
    effects = bench.say(2, TimeoutMessage(bench.timeout(3, 1)))
    assert faults_in(effects) == [(2, Offence.BAD_SIGNATURE)]
    foreign = msgspec.structs.replace(bench.vote(2, first), epoch=Epoch(1))
    here = [Send(NodeIndex(2), SyncInfo(bench.genesis_qc, None))]
    assert bench.say(2, VoteMessage(foreign)) == here, "whoever is in a later epoch is no offender"
    other_genesis = msgspec.structs.replace(bench.genesis_qc, block_id=bytes(32))
    effects = bench.say(2, SyncInfo(other_genesis, None))
    assert faults_in(effects) == [(2, Offence.BAD_CERTIFICATE)]
    unsigned = msgspec.structs.replace(bench.propose(first).proposal, signature=bytes(64))
    effects = bench.say(1, ProposalMessage(unsigned))
    assert faults_in(effects) == [(1, Offence.BAD_SIGNATURE)]


def test_two_votes_in_one_round_are_evidence() -> None:
    """A double vote is recorded with both statements, once, and counts once."""
    bench = Bench()
    first = bench.block(1, None)
    other = msgspec.structs.replace(first, time_ms=first.time_ms + 1)
    bench.say(2, bench.vote_message(2, first))
    effects = bench.say(2, bench.vote_message(2, other))
    (evidence,) = [e for e in effects if isinstance(e, RecordEvidence)]
    assert (evidence.kind, evidence.offender) == ("double_vote", 2)
    assert evidence.first == encode(bench.vote(2, first))
    assert evidence.second == encode(bench.vote(2, other))
    assert faults_in(effects) == [(2, Offence.EQUIVOCATION)]
    repeated = bench.say(2, bench.vote_message(2, other))
    assert not [e for e in repeated if isinstance(e, RecordEvidence)]


def test_a_vote_that_commits_the_wrong_block_is_evidence() -> None:
    """The commit in a vote follows from the block; another one is a lie that can be shown."""
    bench = Bench()
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    lie = Vote.make(bench.domain, Round(1), block_id(first), None, bench.signers[2])
    effects = bench.say(2, VoteMessage(lie))
    (evidence,) = [e for e in effects if isinstance(e, RecordEvidence)]
    assert (evidence.kind, evidence.first) == ("wrong_commit", encode(lie))
    assert evidence.second == encode(first)
    assert honest_commit(first) is not None


def test_a_wrong_commit_is_no_less_wrong_the_second_time() -> None:
    """Whoever repeats another's lie is held to it, after right votes too."""
    bench = Bench(count=7)
    first = bench.block(1, None)
    bench.say(1, bench.propose(first), bench.vote_message(1, first))
    for liar in (2, 3):
        lie = Vote.make(bench.domain, Round(1), block_id(first), None, bench.signers[liar])
        assert faults_in(bench.say(liar, VoteMessage(lie))) == [(liar, Offence.EQUIVOCATION)]
    assert faults_in(bench.say(4, bench.vote_message(4, first))) == []


def test_vote_and_timeout_of_one_round_are_no_evidence() -> None:
    """Both are legal in this order."""
    bench = Bench()
    effects = bench.say(2, bench.vote_message(2, bench.block(1, None)))
    effects += bench.say(2, TimeoutMessage(bench.timeout(2, 1)))
    assert not [e for e in effects if isinstance(e, RecordEvidence)]
    assert faults_in(effects) == []


def test_forged_votes_form_nothing_and_are_held_against_their_sender() -> None:
    """A quorum with one forged vote waits for a good one; the slot is free again."""
    bench = Bench()
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    forged = msgspec.structs.replace(bench.vote(3, first), signature=bytes(64))
    bench.say(3, VoteMessage(forged))
    effects = bench.say(1, bench.vote_message(1, first))
    assert faults_in(effects) == [(3, Offence.BAD_SIGNATURE)]
    assert bench.round == 1
    bench.say(3, bench.vote_message(3, first))
    assert bench.round == 2


def test_votes_of_far_rounds_are_not_kept() -> None:
    """Votes are collected for a few past rounds and the next one only."""
    bench = Bench()
    ahead = bench.block(3, bench.block(1, None))
    assert bench.say(2, bench.vote_message(2, ahead)) == []
    assert not bench.core._agreement._votes._rounds
    bench.say(1, SyncInfo(bench.qc(bench.block(9, None)), None))
    old = bench.say(2, bench.vote_message(2, bench.block(1, None)))
    assert [type(m) for m in sent_to(old, 2)] == [SyncInfo]
    assert set(bench.core._agreement._votes._rounds) <= set(range(6, 12))
