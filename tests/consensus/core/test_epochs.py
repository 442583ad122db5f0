"""How an epoch ends: the block that names the next set, what is committed, who is answered."""

import msgspec
import pytest

from consensus.core.blocktree import BlockTree, TreeBlock
from consensus.core.effects import Effect, EndEpoch, Penalize, ServeEpochEnd
from consensus.core.inputs import ChainDurable, PeerMessage, Started
from consensus.core.messages import BlocksRequest, EpochEnd, SyncInfo, TimeoutMessage
from consensus.core.node import NodeCore, Tuning
from consensus.core.safety import commit_of
from consensus.core.safety_record import encode_record, first_record, record_of_epoch
from ledger.core.block import Block, block_id
from ledger.core.certificate import Commit, QuorumCertificate, Vote, opening_certificate
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError, Offence
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex, Round
from tests.consensus.core.bench import (
    Bench,
    faults_in,
    proposals_in,
    sent_to,
    timeouts_in,
    votes_in,
)
from tests.support.federation import START_MS

SET = b"s" * 32


def _ending() -> tuple[Bench, Block]:
    """Give a validator whose state holds a next set, and the last block that names none."""
    bench = Bench()
    bench.pending = SET
    return bench, bench.grow(2)[-1]


def _next(bench: Bench, parent: Block, **fields: object) -> Block:
    """Make the block of the present round on ``parent``; it names the set, if nothing else."""
    return bench.block(bench.round, parent, **({"next_set_hash": SET} | fields))


def _certify(bench: Bench, block: Block, commit: Commit) -> QuorumCertificate:
    """Have a quorum of the others vote for a block with a commit."""
    votes = [
        Vote.make(bench.domain, block.round, block_id(block), commit, bench.signers[signer])
        for signer in bench.others
    ]
    rows = tuple((vote.signer, vote.signature) for vote in votes)
    return QuorumCertificate(Epoch(0), block.round, block_id(block), commit, rows)


def _end(bench: Bench, parent: Block) -> tuple[Block, QuorumCertificate]:
    """Give the last block of the epoch and the certificate that ends it."""
    last = _next(bench, parent)
    qc = bench.qc(last)
    child = bench.block(last.round + 1, last, qc=qc, next_set_hash=SET)
    return last, _certify(bench, child, Commit(block_id(last), last.height, SET))


@pytest.mark.parametrize("named", [None, b"x" * 32])
def test_a_block_must_name_the_set_that_its_state_holds(named: bytes | None) -> None:
    """No vote for a block that names none, or another one; one for the right block."""
    bench, parent = _ending()
    wrong = _next(bench, parent, next_set_hash=named)
    assert not votes_in(bench.say(wrong.author, bench.propose(wrong)))
    assert "next validator set" in str(bench.core.status(bench.now_ms)["obstacle"])


def test_a_block_that_ends_the_epoch_has_no_payload() -> None:
    """With a batch it can be of no honest leader."""
    bench, parent = _ending()
    laden = _next(bench, parent, payload=(BatchId(bytes(32)),))
    effects = bench.say(laden.author, bench.propose(laden))
    assert faults_in(effects) == [(laden.author, Offence.BAD_BLOCK)]


def test_a_set_that_does_not_wait_may_not_be_named() -> None:
    """Without an approved change a block that names a set gets no vote."""
    bench = Bench()
    (parent,) = bench.grow(1)
    named = _next(bench, parent)
    assert not votes_in(bench.say(named.author, bench.propose(named)))


def test_above_the_end_nothing_but_the_end_is_committed() -> None:
    """A vote for a block above R names R, however far above it is."""
    bench, parent = _ending()
    last = _next(bench, parent, author=NodeIndex(1))
    above = bench.block(last.round + 1, last, next_set_hash=SET)
    higher = bench.block(last.round + 2, above, next_set_hash=SET)
    closing = (block_id(last), last)
    expected = Commit(block_id(last), last.height, SET)
    assert commit_of(above, last, closing) == commit_of(higher, above, closing) == expected
    assert commit_of(last, parent) == Commit(block_id(parent), parent.height, None)


def test_the_rules_refuse_a_false_end() -> None:
    """Safety checks what it is told to be the end of the epoch."""
    bench, parent = _ending()
    rules = bench.core._parts.rules
    last = _next(bench, parent)
    above = bench.block(last.round + 1, last, next_set_hash=SET)
    id_ = block_id(above)
    for closing in (None, (BlockId(bytes(32)), last), (block_id(parent), parent)):
        with pytest.raises(InvariantError, match="against the rules"):
            rules.vote(above, id_, last, closing)
    assert rules.vote(above, id_, last, (block_id(last), last)).commit is not None


def test_nothing_is_signed_after_the_end_is_seen() -> None:
    """No vote, timeout or proposal; who says something of the epoch is sent its end."""
    bench, parent = _ending()
    last, end = _end(bench, parent)
    bench.say(1, EpochEnd(end))
    bench.effects.clear()
    bench.time_out()
    bench.say(last.author, bench.propose(last))
    bench.submit(b"more")
    said = (timeouts_in(bench.effects), votes_in(bench.effects), proposals_in(bench.effects))
    assert said == ([], [], [])
    late = bench.timeout(2, parent.round + 1, bench.qc(parent))
    answers = bench.say(2, TimeoutMessage(late))
    assert EpochEnd(end) in [getattr(e, "message", None) for e in answers]
    assert last.next_set_hash == SET


def test_the_core_ends_when_the_last_block_is_durable() -> None:
    """Own entries that are not ordered, and submissions that came late, are handed over."""
    bench, parent = _ending()
    last, end = _end(bench, parent)
    bench.submit(b"open", ticket=7)
    bench.say(last.author, bench.propose(last))
    bench.say(1, EpochEnd(end))
    assert bench.height == last.height
    bench.submit(b"late", ticket=8)
    effects = bench.give(ChainDurable(last.height))
    assert isinstance(effects[-1], EndEpoch)
    assert effects[-1].carried == (b"open",)
    assert [item.ticket for item in effects[-1].submitted] == [8]
    assert bench.give(ChainDurable(last.height)) == []


def test_what_ends_no_epoch_is_an_offence() -> None:
    """A certificate without a next set, or a false one, proves no end."""
    bench, parent = _ending()
    _, end = _end(bench, parent)
    effects = bench.say(1, EpochEnd(bench.qc(parent)))
    assert faults_in(effects) == [(1, Offence.BAD_CERTIFICATE)]
    forged = msgspec.structs.replace(end, signatures=end.signatures[:2])
    assert faults_in(bench.say(2, EpochEnd(forged))) == [(2, Offence.BAD_CERTIFICATE)]
    assert not bench.core._parts.rules.epoch_end


# --- the next epoch -------------------------------------------------------------------------


def _second_epoch(bench: Bench, *, key_index: int = 0) -> tuple[NodeCore, EpochStart]:
    """Give a core of an epoch 1 with the same members, which block 9 opened."""
    start = EpochStart(
        bench.genesis.hash,
        Epoch(1),
        Height(9),
        BlockId(b"R" * 32),
        START_MS,
        bench.genesis.validators,
    )
    root = msgspec.structs.replace(bench.disk.roots[0], height=Height(9))
    signer = bench.signers[key_index]
    restored = msgspec.structs.replace(
        bench.disk.restored(),
        start=start,
        record=first_record(start, signer.public_key),
        roots=(root,),
        recent=(),
    )
    core = NodeCore(signer, restored, bench.disk, Tuning())
    core.step(Started(), START_MS)
    return core, start


def _say(core: NodeCore, peer: int, message: object, now_ms: int) -> list[Effect]:
    return core.step(PeerMessage(NodeIndex(peer), message), now_ms)  # type: ignore[arg-type]


def test_messages_of_an_older_epoch_are_answered_now_and_then() -> None:
    """The end of that epoch is sent, not too often, and nobody is penalised."""
    bench = Bench()
    core, _ = _second_epoch(bench)
    old = _timeout_of_epoch_0(bench)
    first = _say(core, 2, old, START_MS)
    again = _say(core, 2, old, START_MS + 10)
    later = _say(core, 2, old, START_MS + 1_000)
    assert first == later == [ServeEpochEnd(NodeIndex(2), Epoch(0))]
    assert again == []


def _timeout_of_epoch_0(bench: Bench) -> TimeoutMessage:
    """Make a message of epoch 0, with a false signer at that."""
    return TimeoutMessage(bench.timeout(3, 1))


def test_the_opening_certificate_is_valid_in_its_epoch_alone() -> None:
    """That of the epoch starts rounds; one of another block is refused."""
    core, start = _second_epoch(Bench())
    good = _say(core, 1, SyncInfo(start.certificate, None), START_MS)
    assert not [e for e in good if isinstance(e, Penalize)]
    false = msgspec.structs.replace(start.certificate, block_id=bytes(32))
    bad = _say(core, 1, SyncInfo(false, None), START_MS)
    assert [e.offence for e in bad if isinstance(e, Penalize)] == [Offence.BAD_CERTIFICATE]
    status = core.status(START_MS)
    assert (status["epoch"], status["round"], status["height"]) == (1, 1, 9)


def test_a_guest_is_served_and_not_heard() -> None:
    """Who is no validator of the epoch may ask for blocks; what it says changes nothing."""
    core, start = _second_epoch(Bench())
    guest = 150
    served = _say(core, guest, BlocksRequest(Height(1)), START_MS)
    assert len(served) == 1
    false = msgspec.structs.replace(start.certificate, block_id=bytes(32))
    assert _say(core, guest, SyncInfo(false, None), START_MS) == []


@pytest.mark.parametrize(("head", "sits_out"), [(9, False), (10, True)])
def test_a_record_of_an_earlier_epoch_is_replaced(head: int, sits_out: bool) -> None:
    """It is over; but if the new epoch has blocks here, its own record is lost."""
    bench = Bench()
    _, start = _second_epoch(bench)
    record = record_of_epoch(bench.record, start, Height(head), Round(0))
    assert (record.epoch, record.acted_round, record.sit_out) == (1, 0, sits_out)
    assert record_of_epoch(record, start, Height(head), Round(0)) is record


# --- other epochs, other branches -------------------------------------------------------------


def test_who_hears_a_later_epoch_says_in_which_it_is() -> None:
    """One who may sign nothing would else say nothing, and never be told that its epoch is over."""
    bench = Bench()
    key = bench.signers[0].public_key
    bench.disk.record = encode_record(first_record(bench.disk.restored().start, key, sit_out=True))
    bench = bench.restart()
    later = SyncInfo(opening_certificate(Epoch(1), BlockId(b"R" * 32)), None)
    own = SyncInfo(bench.record.high_qc, bench.record.high_tc)
    assert sent_to(bench.say(2, later), 2) == [own]
    assert bench.say(2, later) == []  # now and then
    bench.now_ms += 1_000
    assert sent_to(bench.say(2, later), 2) == [own]


def test_who_knows_the_end_asks_nobody_for_it() -> None:
    """It would be told what it knows, for as long as the last blocks are on the way."""
    bench, parent = _ending()
    _, end = _end(bench, parent)
    bench.say(1, EpochEnd(end))
    bench.now_ms += 1_000
    later = SyncInfo(opening_certificate(Epoch(1), BlockId(b"R" * 32)), None)
    assert bench.say(2, later) == []


def test_beside_the_head_another_block_may_end_the_epoch() -> None:
    """The last block of a branch that lost is not the one that is final: its voters are honest."""
    bench, parent = _ending()
    ours = bench.block(bench.round, parent, next_set_hash=SET)
    theirs = bench.block(ours.round + 1, parent, next_set_hash=SET)
    above = bench.block(theirs.round + 1, theirs, next_set_hash=SET)
    highest = bench.block(above.round + 1, above, next_set_hash=SET)
    tree = BlockTree(TreeBlock(block_id(parent), parent, None), tuple(bench.disk.roots))
    held = {block.round: tree.add(block, None) for block in (ours, theirs, above, highest)}
    mine, top = held[ours.round], held[above.round]
    assert mine is not None
    assert top is not None
    assert tree.closing(top) == (block_id(theirs), theirs)
    tree.commit(Commit(mine.id, ours.height, SET), bench.qc(ours))
    assert tree.get(top.id) is top
    assert tree.closing(mine) == (mine.id, ours)
    assert tree.closing(top) is None
