"""What one faulty validator may not do to the others: the traps that a review of the core found.

Each test sends what the code's author did not think of and expects the core to stay live.
"""

import msgspec
import pytest

from consensus.core.blocktree import BlockTree
from consensus.core.catchup import CATCH_UP_TIMER
from consensus.core.dissemination import REBROADCAST_TIMER
from consensus.core.effects import Execute, Persist, RecordEvidence, Send
from consensus.core.inputs import TimerFired
from consensus.core.messages import (
    AckMessage,
    BatchRequest,
    BlocksRequest,
    BlocksResponse,
    ProposalRequest,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
)
from consensus.core.verification import RememberingDomain
from ledger.core import limits
from ledger.core.block import Proposal, batch_id, block_id
from ledger.core.certificate import Ack
from ledger.core.codec import Codec
from ledger.core.errors import Offence
from ledger.core.ids import BatchId, Epoch, Height, NodeIndex, Round
from ledger.core.limits import (
    BATCHES_IN_FLIGHT_MAX,
    BLOCK_DRIFT_MS_MAX,
    SYNC_BLOCKS_AHEAD_MAX,
    VERIFIED_SIGNATURES_MAX,
)
from tests.consensus.core.bench import Bench, faults_in, halts_in, proposals_in, sent_to, votes_in


def test_a_block_of_a_false_height_is_refused() -> None:
    """Whoever proposes a height that is not its parent's plus one is at fault, at once."""
    bench = Bench()
    first = bench.grow(1)[0]
    false = bench.block(2, first, height=Height(10**9))
    assert faults_in(bench.say(2, bench.propose(false))) == [(2, Offence.BAD_BLOCK)]
    assert block_id(false) not in bench.blocks


def test_blocks_of_past_rounds_are_not_collected() -> None:
    """A validator that proposes in rounds long past takes no room in the tree."""
    bench = Bench()
    grown = bench.grow(30)
    held = len(bench.blocks)
    for parent in grown[2:20]:
        late = bench.block(parent.round + 1, parent, height=Height(10**9), author=NodeIndex(3))
        bench.say(3, bench.propose(late))
    assert len(bench.blocks) == held


def test_what_a_commit_passes_by_is_dropped_by_round_too() -> None:
    """No block of a round up to the head's stays in the tree, whatever height it claims."""
    bench = Bench()
    last = bench.grow(4)[-1]
    tree = bench.core._parts.tree
    false = bench.block(bench.round, None, height=Height(10**9))
    assert tree.add(false, None) is not None
    bench.grow(4, last)
    assert block_id(false) not in bench.blocks
    past = bench.block(1, None, height=Height(10**9))
    assert tree.add(past, None) is None


def test_the_leaders_block_is_not_displaced_by_anothers() -> None:
    """A block of a validator that does not lead cannot take the place of the leader's."""
    bench = Bench()
    bench.grow(1)
    second = bench.block(2, bench.blocks[bench.last_voted])
    bench.say(2, bench.propose(second))
    bench.auto = False
    for peer in (1, 2, 3):
        bench.say(peer, bench.vote_message(peer, second))
    batch = bench.batch(3, b"entry")
    third = bench.block(3, second, payload=(batch_id(batch),))
    waiting = bench.say(3, bench.propose(third, inline=(batch,)))
    assert not votes_in(waiting), "its batch is examined only later"
    other = msgspec.structs.replace(third, author=NodeIndex(2), payload=())
    assert not votes_in(bench.say(2, bench.propose(other)))
    assert [v.block_id for v in votes_in(bench.release())] == [block_id(third)]


def test_time_is_at_most_a_bounded_step_ahead_of_the_voters_clock() -> None:
    """Leaders cannot ratchet the chain's time ahead, one drift on top of the other."""
    bench = Bench()
    latest = bench.now_ms + BLOCK_DRIFT_MS_MAX
    first = bench.block(1, None, time_ms=latest)
    assert votes_in(bench.say(1, bench.propose(first)))
    for peer in (1, 2, 3):
        bench.say(peer, bench.vote_message(peer, first))
    assert not votes_in(bench.say(2, bench.propose(bench.block(2, first, time_ms=latest + 1))))
    other = Bench()
    assert votes_in(other.say(1, other.propose(first)))
    for peer in (1, 2, 3):
        other.say(peer, other.vote_message(peer, first))
    assert votes_in(other.say(2, other.propose(other.block(2, first, time_ms=latest))))


def test_a_full_memory_of_signatures_never_makes_a_valid_one_invalid() -> None:
    """A verdict does not depend on what has to be forgotten while it is found."""
    bench = Bench()
    domain = RememberingDomain(bench.genesis.hash, Epoch(0), bench.genesis.validator_set())
    first = bench.block(1, None)
    known = bench.vote(1, first).check(domain)
    assert domain.verdicts([known]) == [True]
    key = bench.signers[0].public_key
    for number in range(VERIFIED_SIGNATURES_MAX - 1):
        domain.remember((key, number.to_bytes(4), b""))
    fresh = bench.vote(2, first).check(domain)
    assert domain.verdicts([known, fresh]) == [True, True]


def test_evidence_of_two_proposals_holds_both_signatures() -> None:
    """Evidence convinces a third party: both blocks come with their author's signature."""
    bench = Bench()
    first = bench.block(1, None)
    second = msgspec.structs.replace(first, time_ms=first.time_ms + 1)
    bench.say(1, bench.propose(first))
    effects = bench.say(1, bench.propose(second))
    (evidence,) = [e for e in effects if isinstance(e, RecordEvidence)]
    assert (evidence.offender, evidence.kind) == (1, "double_proposal")
    for data, block in ((evidence.first, first), (evidence.second, second)):
        proposal = Codec(Proposal).decode(data)
        assert proposal.block == block
        bench.core._parts.context.domain.require(proposal.check(bench.domain))
    assert faults_in(effects) == [(1, Offence.EQUIVOCATION)]
    assert not [e for e in bench.say(1, bench.propose(second)) if isinstance(e, RecordEvidence)]


def test_a_conflicting_final_branch_halts_a_syncing_node() -> None:
    """Blocks that are final on another branch are no fault of the peer that has them: halt."""
    bench = Bench()
    bench.grow(3)
    other = Bench(me=1)
    branch = []
    parent = None
    for round_ in range(10, 16):
        parent = other.block(round_, parent, tc=other.tc(9) if parent is None else None)
        branch.append(parent)
    certificate = bench.qc(branch[5])
    bench.say(1, SyncInfo(certificate, None))
    head = bench.height
    answer = BlocksResponse(tuple(branch[head:5]), certificate)
    assert "SAFETY VIOLATED" in halts_in(bench.say(1, answer))[0]


def test_sync_pauses_while_the_executor_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Final blocks given to the executor count as well: what waits for it is bounded."""
    monkeypatch.setattr("consensus.core.execution.SYNC_BLOCKS_AHEAD_MAX", 3)
    assert SYNC_BLOCKS_AHEAD_MAX > 3
    donor = Bench(me=1)
    grown = donor.grow(12)
    bench = Bench()
    bench.auto = False
    bench.say(1, SyncInfo(donor.qc(grown[10], (1, 2, 3)), None))
    effects = bench.say(1, BlocksResponse(tuple(grown[:4]), donor.qc(grown[4], (1, 2, 3))))
    assert len([e for e in effects if isinstance(e, Execute)]) == 4
    assert not [e for e in effects if isinstance(e, Send) and isinstance(e.message, BlocksRequest)]
    bench.auto = True
    bench.release()
    assert BlocksRequest(Height(5)) in sent_to(bench.give(TimerFired(CATCH_UP_TIMER)), 2)


def test_a_missing_block_that_came_by_itself_is_not_asked_for_for_ever() -> None:
    """Requests for a certified block end once it is here or no longer of use."""
    bench = Bench()
    first = bench.block(1, None)
    second = bench.block(2, first)
    bench.say(2, bench.propose(second))
    asked = bench.give(TimerFired(CATCH_UP_TIMER))
    assert ProposalRequest(block_id(first)) in [e.message for e in asked if isinstance(e, Send)]
    assert votes_in(bench.say(1, bench.propose(first))), "the round's block can be voted now"
    later = bench.give(TimerFired(CATCH_UP_TIMER))
    assert not [e for e in later if isinstance(e, Send)]


def test_own_vote_counts_again_after_a_restart() -> None:
    """With one validator down, the three others certify a round although one restarts in it."""
    bench = Bench()
    first = bench.block(1, None)
    assert votes_in(bench.say(1, bench.propose(first)))
    again = bench.restart()
    again.say(1, again.vote_message(1, first))
    again.say(2, again.vote_message(2, first))
    assert again.round == 2


def test_no_proposal_for_a_round_that_a_timeout_certificate_is_about_to_end() -> None:
    """A certificate inside a timeout certificate does not make its receiver propose in between."""
    bench = Bench(me=2)
    bench.submit(b"event")
    first = bench.block(1, None)
    bench.say(1, bench.propose(first))
    effects = bench.say(3, TimeoutCertificateMessage(bench.tc(4, bench.qc(first))))
    assert bench.round == 5
    assert not proposals_in(effects)
    assert not [e for e in effects if isinstance(e, Persist)]


def test_timeout_messages_of_a_past_round_are_answered_with_the_proof_of_this_one() -> None:
    """A straggler learns the round from whoever it tells its old one, but not too often."""
    bench = Bench()
    bench.grow(3)
    straggler = TimeoutMessage(bench.timeout(2, 1))
    assert [type(m) for m in sent_to(bench.say(2, straggler), 2)] == [SyncInfo]
    assert not sent_to(bench.say(2, straggler), 2)
    bench.now_ms += limits.SYNC_INFO_INTERVAL_MS
    assert len(sent_to(bench.say(2, straggler), 2)) == 1
    bench.now_ms -= 3_600_000
    assert len(sent_to(bench.say(2, straggler), 2)) == 1, "a clock that went back mutes nobody"


def test_the_tree_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full tree refuses proposals, but never blocks that a certificate makes final."""
    monkeypatch.setattr("consensus.core.blocktree.PENDING_BLOCKS_MAX", 4)
    bench = Bench()
    tree: BlockTree = bench.core._parts.tree
    for round_ in range(1, 6):
        block = bench.block(round_, None)
        added = tree.add(block, bench.propose(block).proposal)
        assert (added is not None) == (round_ <= 3)
    assert tree.add(bench.block(Round(9), None), None) is not None


def test_a_batch_in_this_nodes_name_is_not_taken_for_its_own() -> None:
    """A peer cannot use up this node's batches in flight with batches that name it as origin."""
    bench = Bench()
    for round_, peer in ((1, 1), (2, 2), (3, 3)):
        junk = bench.batch(0, b"old event", sequence=round_)
        block = bench.block(round_, None, payload=(batch_id(junk),), author=NodeIndex(peer))
        bench.say(peer, bench.propose(block, inline=(junk,)))
    assert len(bench.core._parts.dissemination.book.held) >= 1
    assert bench.core.status(bench.now_ms)["own_batches_in_flight"] == 0


def test_lost_batches_are_asked_for_by_true_acknowledgements_only_and_few_at_a_time() -> None:
    """Forged acks of unknown batches cost their sender; made-up ones hold few places, not long."""
    bench = Bench()
    made_up = [BatchId(bytes([number]) * 32) for number in range(BATCHES_IN_FLIGHT_MAX[0] + 3)]
    forged = msgspec.structs.replace(
        Ack.make(bench.domain, made_up[0], bench.signers[1]), signature=bytes(64)
    )
    effects = bench.say(1, AckMessage(forged))
    assert faults_in(effects) == [(1, Offence.BAD_SIGNATURE)]
    assert not sent_to(effects, 1)

    def asked() -> int:
        acks = [Ack.make(bench.domain, id_, bench.signers[1]) for id_ in made_up]
        effects = [e for ack in acks for e in bench.say(1, AckMessage(ack))]
        return sum(isinstance(message, BatchRequest) for message in sent_to(effects, 1))

    assert asked() == BATCHES_IN_FLIGHT_MAX[0]
    bench.fire(REBROADCAST_TIMER.name)
    assert asked() == BATCHES_IN_FLIGHT_MAX[0]
