"""The edges of the core: records, recovery, timers, idling, status, counters, single validators."""

from itertools import pairwise

import msgspec
import pytest

from consensus.core.blocktree import TreeBlock
from consensus.core.control import (
    Attend,
    Head,
    StatusReply,
    Submit,
    decode_reply,
    decode_request,
)
from consensus.core.effects import (
    CancelTimer,
    Execute,
    Persist,
    RecordEvidence,
    Send,
    ServeBlocks,
    SetTimer,
)
from consensus.core.inputs import (
    ChainDurable,
    Executed,
    PeerDown,
    PeerMisbehaved,
    PeerUp,
    Timer,
    TimerFired,
)
from consensus.core.messages import (
    BatchMessage,
    BlocksRequest,
    BlocksResponse,
    Lane,
    ProposalRequest,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
    lane_of,
)
from consensus.core.pacemaker import IDLE_TIMER, ROUND_TIMER, Pacemaker, Tuning
from consensus.core.recovery import Recovery
from consensus.core.safety import SafetyRules
from consensus.core.safety_record import SafetyRecord, encode_record, first_record
from ledger.core.block import LedgerRoot, block_id
from ledger.core.codec import encode
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError, Offence
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.limits import (
    EVIDENCE_COUNT_MAX,
    IDLE_INTERVAL_MS,
    INLINE_BYTES_MAX,
    RECOVERY_MARGIN_ROUNDS,
    ROOT_FLUSH_MS,
    ROUND_TIMEOUT_ABSENT_MS,
    ROUND_TIMEOUT_MS,
    ROUND_TIMEOUT_MS_MAX,
)
from tests.consensus.core.bench import Bench, halts_in, proposals_in, timeouts_in, votes_in
from tests.support.federation import Disk, Federation, make_genesis

# --- the safety record --------------------------------------------------------------------------


def rules(bench: Bench, **fields: object) -> SafetyRules:
    """Give the rules over a fresh record with some fields replaced."""
    record = first_record(EpochStart.of_genesis(bench.genesis), bench.signers[0].public_key)
    domain = bench.core._parts.context.domain
    return SafetyRules(msgspec.structs.replace(record, **fields), domain, bench.signers[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"genesis_hash": bytes(32)},
        {"key": bytes(32)},
        {"epoch": Epoch(1)},
        {"lock_round": Round(1)},
    ],
)
def test_a_foreign_or_impossible_record_is_refused(fields: dict[str, object]) -> None:
    """The start guard: another network, key or epoch, or a lock without its certificate."""
    with pytest.raises(InvariantError):
        rules(Bench(), **fields)


def test_the_rules_never_sign_what_they_forbid() -> None:
    """Asked against the rules, the signer stops the node instead of signing."""
    bench = Bench()
    safety = rules(bench, acted_round=Round(5))
    first = bench.block(1, None)
    genesis = bench.core._parts.tree.head.block
    with pytest.raises(InvariantError, match="vote"):
        safety.vote(first, block_id(first), genesis)
    with pytest.raises(InvariantError, match="propose"):
        safety.propose(bench.propose(first).proposal)
    fresh = rules(bench)
    with pytest.raises(InvariantError, match="vote"):
        fresh.vote(first, block_id(first), first)
    fresh.record = msgspec.structs.replace(fresh.record, lock_round=Round(3))
    with pytest.raises(InvariantError, match="lock"):
        fresh.timeout(Round(1))
    safety.record = msgspec.structs.replace(safety.record, sit_out=True)
    with pytest.raises(InvariantError, match="back"):
        safety._change(acted_round=Round(4))


def test_an_old_record_put_back_is_detected() -> None:
    """A certificate with this key's vote of a round the record does not know stops the node."""
    bench = Bench()
    first = bench.block(1, None)
    certificate = bench.qc(first, (0, 1, 2))
    assert "old record" in halts_in(bench.say(1, SyncInfo(certificate, None)))[0]
    assert bench.say(1, bench.propose(first)) == [], "a halted core does nothing"
    other = Bench()
    timeouts = dict.fromkeys((0, 1, 2), other.genesis_qc)
    certificate_message = TimeoutCertificateMessage(other.tc(1, reports=timeouts))
    assert "old record" in halts_in(other.say(1, certificate_message))[0]


def test_nothing_that_was_signed_leaves_with_a_halt() -> None:
    """When a step halts, its signatures and its barrier are dropped."""
    bench = Bench()
    bench.say(1, bench.propose(bench.block(1, None)))
    effects = bench.say(1, SyncInfo(bench.qc(bench.block(9, None), (0, 1, 2)), None))
    assert [type(e).__name__ for e in effects] == ["Halt"]
    assert bench.give(TimerFired(Timer(ROUND_TIMER))) == []


def lost_record_bench() -> Bench:
    """Give a validator that lost its record in a network that is far ahead."""
    genesis, signers = make_genesis(4)
    disk = Disk(genesis, signers[0])
    disk.record = encode_record(
        first_record(EpochStart.of_genesis(genesis), signers[0].public_key, sit_out=True)
    )
    return Bench(disk=disk)


def test_a_lost_record_sits_out_until_enough_peers_have_proven_their_rounds() -> None:
    """No vote, timeout or proposal before; and then none within the margin either."""
    bench = lost_record_bench()
    assert not votes_in(bench.say(1, bench.propose(bench.block(1, None))))
    assert not timeouts_in(bench.time_out())
    assert bench.core.status(bench.now_ms)["sitting_out"]
    high = bench.block(50, None)
    proof = SyncInfo(bench.qc(high, (0, 1, 2)), None)
    before = encode_record(bench.record)
    for peer in (1, 2, 1, 2):
        bench.say(peer, proof)
    assert encode_record(bench.record) == before, "two peers are not enough"
    assert "sitting out" in str(bench.core.status(bench.now_ms)["progress"])
    bench.say(3, SyncInfo(bench.genesis_qc, bench.tc(50, bench.genesis_qc)))
    assert not bench.record.sit_out
    assert bench.record.acted_round == 51 + RECOVERY_MARGIN_ROUNDS
    assert f"from round {52 + RECOVERY_MARGIN_ROUNDS}" in str(
        bench.core.status(bench.now_ms)["progress"]
    )
    assert not timeouts_in(bench.time_out())
    beyond = bench.record.acted_round
    bench.say(1, TimeoutCertificateMessage(bench.tc(beyond, bench.genesis_qc)))
    assert [t.round for t in timeouts_in(bench.time_out())] == [beyond + 1]


@pytest.mark.parametrize(("count", "needed"), [(1, 0), (4, 3), (5, 3), (7, 5), (10, 7)])
def test_how_many_proofs_recovery_needs(count: int, needed: int) -> None:
    """So many that an honest signer of the last certificate must be among the peers."""
    genesis, _ = make_genesis(count)
    recovery = Recovery(genesis.validator_set())
    answers = [recovery.on_proven_round(NodeIndex(p), Round(p)) for p in range(1, count)]
    assert [answer is not None for answer in answers] == [p >= needed for p in range(1, count)]


def test_a_federation_lives_on_while_one_member_recovers() -> None:
    """The member that lost its record signs again after the margin, and nobody contradicts."""
    world = Federation(4, seed=2)
    world.submit(0, [b"before"])
    world.run(500)
    world.crash(3)
    node = world.nodes[3]
    key = world.signers[3].public_key
    node.disk.record = encode_record(
        first_record(EpochStart.of_genesis(world.genesis), key, sit_out=True)
    )
    node.disk.proposals.clear()
    world.start(3)
    for number in range(60):
        world.submit(number % 3, [b"during %d" % number])
        world.run(300)
    assert world.agree()
    assert node.core is not None
    assert node.core.counters.votes_sent > 0
    assert not world.record(3).sit_out
    assert {len(log) for log in world.logs()} == {61}


def test_an_old_record_stops_a_member_of_a_federation() -> None:
    """Put back, it is noticed from the first certificate that peers show."""
    world = Federation(4, seed=4)
    world.run(100)
    old = world.nodes[3].disk.record
    for number in range(20):
        world.submit(number % 4, [b"%d" % number])
        world.run(20)
    world.crash(3)
    world.nodes[3].disk.record = old
    world.start(3)
    world.run(2_000)
    assert "old record" in world.nodes[3].halted


def test_conflicting_commits_halt() -> None:
    """More than f faulty validators: another block at the head's height, or beside the head."""
    for height in (1, 2):
        bench = Bench()
        bench.grow(2)
        assert bench.height == 1
        first = bench.block(3, None)
        second = bench.block(4, first)
        for block in (first, second):
            tree = bench.core._parts.tree
            tree._blocks[block_id(block)] = TreeBlock(block_id(block), block, None)
        proof = bench.qc(bench.block(4, first) if height == 1 else bench.block(5, second))
        assert "SAFETY VIOLATED" in halts_in(bench.say(1, SyncInfo(proof, None)))[0]


# --- rounds and timers --------------------------------------------------------------------------


def test_the_timer_grows_after_the_grace_and_is_capped() -> None:
    """Factor 6/5 for each round without a commit, never above the cap; short without a leader."""

    def timer(rounds: int, *, connected: bool = True, idle: bool = False) -> int:
        pacemaker = Pacemaker(Tuning(), Round(rounds))
        return pacemaker.timer_ms(Round(0), leader_connected=connected, idle=idle)

    assert [timer(r) for r in (1, 6, 7, 8)] == [
        ROUND_TIMEOUT_MS,
        ROUND_TIMEOUT_MS,
        ROUND_TIMEOUT_MS * 6 // 5,
        ROUND_TIMEOUT_MS * 36 // 25,
    ]
    assert timer(10**15) == ROUND_TIMEOUT_MS_MAX
    assert timer(1, idle=True) == ROUND_TIMEOUT_MS + IDLE_INTERVAL_MS
    assert timer(10**15, connected=False, idle=True) == ROUND_TIMEOUT_ABSENT_MS


def timers_in(effects: list[object], name: str) -> list[int]:
    """Give the lengths of the timers of that name that were set."""
    set_ = [e for e in effects if isinstance(e, SetTimer) and e.timer.name == name]
    return [e.delay_ms for e in set_]


def test_the_timer_of_a_round_that_a_own_timeout_begins_is_that_rounds() -> None:
    """The own timeout that completes a certificate does not shorten the next round's timer."""
    bench = Bench()
    for signer in (1, 2):
        bench.say(signer, bench_timeout(bench, signer))
    assert bench.round == 2
    late = Bench()
    late.say(1, bench_timeout(late, 1))
    late.time_out()
    effects = late.say(2, bench_timeout(late, 2))
    assert timers_in([*effects], ROUND_TIMER) == [ROUND_TIMEOUT_MS + IDLE_INTERVAL_MS]


def bench_timeout(bench: Bench, signer: int) -> TimeoutMessage:
    """Have a validator give up the first round."""
    return TimeoutMessage(bench.timeout(signer, 1))


def test_timers_of_past_rounds_do_nothing() -> None:
    """A timer that ran out while its round ended gives nothing up."""
    bench = Bench()
    old = bench.timers[ROUND_TIMER]
    bench.grow(1)
    assert bench.give(TimerFired(old)) == []
    assert halts_in(bench.give(TimerFired(Timer("unknown"))))


def test_a_leader_that_is_gone_is_not_waited_for() -> None:
    """The round timer becomes short when the leader's connection is lost, for others it stays."""
    bench = Bench()
    bench.grow(1)
    assert timers_in([*bench.give(PeerDown(NodeIndex(1)))], ROUND_TIMER) == []
    effects = bench.give(PeerDown(NodeIndex(2)))
    assert timers_in([*effects], ROUND_TIMER) == [ROUND_TIMEOUT_ABSENT_MS]
    bench.give(PeerUp(NodeIndex(2)))
    again = bench.give(PeerDown(NodeIndex(2)))
    assert timers_in([*again], ROUND_TIMER) == [], "coming and going gains a leader no time"
    bench.time_out()
    assert timers_in([*bench.give(PeerDown(NodeIndex(1)))], ROUND_TIMER) == []


def test_the_awaited_one_is_the_leader_of_this_round_and_after_the_vote_of_the_next() -> None:
    """All wait for the leader to propose, and then for the next one to have the votes."""
    bench = Bench()
    assert bench.core.awaited == 1
    block = bench.block(1, None)
    bench.say(1, bench.propose(block))
    assert bench.core.awaited == 2, "it needs the votes first"
    for peer in (1, 2):
        bench.say(peer, bench.vote_message(peer, block))
    assert bench.round == 2
    assert bench.core.awaited == 2, "it has not proposed yet"


def test_an_idle_leader_waits_and_then_proposes_an_empty_block() -> None:
    """The idle rule: nothing to agree on costs one heartbeat in each interval."""
    world = Federation(4, seed=8)
    world.run(10 * IDLE_INTERVAL_MS)
    assert 8 <= world.heights()[0] <= 12
    counters = [n.core.counters for n in world.nodes if n.core]
    assert all(c.timeouts <= 1 for c in counters), "before they were connected"


def test_payload_ends_the_idle_wait() -> None:
    """A leader that waits proposes at once when an event comes, and cancels its timer."""
    bench = Bench(me=1)
    assert bench.timers[IDLE_TIMER] == Timer(IDLE_TIMER, Round(1))
    effects = bench.submit(b"event")
    assert len(proposals_in(effects)) == 1
    for peer in (2, 3):
        effects = bench.say(peer, bench.vote_message(peer, proposals_in(bench.effects)[0].block))
    assert [e.timer.name for e in effects if isinstance(e, CancelTimer)] == [IDLE_TIMER]


def test_the_flush_rule() -> None:
    """Empty blocks follow an event: at once until it is final, then, paused, until its root is."""
    world = Federation(4, seed=9)
    world.run(100)
    before = world.heights()[0]
    world.submit(2, [b"event"])
    assert world.run(ROOT_FLUSH_MS, until=lambda: all(len(log) == 1 for log in world.logs()))
    assert world.nodes[0].disk.blocks[-1].executed_height < world.heights()[0], "its root is not"
    world.run(200)
    payload = next(b for b in world.nodes[0].disk.blocks if b.payload)
    last = world.nodes[0].disk.blocks[-1]
    assert last.executed_height >= payload.height
    assert 3 <= world.heights()[0] - before <= 6, "and no longer than that"


def _laden_heights(size: int) -> list[int]:
    """Give the heights of the blocks with events when each of 40 comes a moment after the last."""
    world = Federation(4, seed=9)
    world.run(100)
    for number in range(40):
        world.submit(number % 4, [b"%d" % number + bytes(size)])
        world.run(3)
    assert world.run(2_000, until=lambda: all(len(log) == 40 for log in world.logs()))
    return [block.height for block in world.nodes[0].disk.blocks if block.payload]


def test_small_batches_gather_until_what_is_under_way_is_final() -> None:
    """A payload block is followed by an empty one, which makes it final, and then by all the rest.

    Large batches, which a quorum vouches for, do not wait.
    """
    small, large = _laden_heights(1), _laden_heights(INLINE_BYTES_MAX)
    assert min(after - before for before, after in pairwise(small)) == 2
    assert min(after - before for before, after in pairwise(large)) == 1


def test_small_batches_do_not_gather_after_a_timeout() -> None:
    """A leader is dead: the block after its timeout makes nothing final and takes what there is."""
    world = Federation(4, seed=9)
    world.run(100)
    world.crash(3)
    for number in range(40):
        world.submit(number % 3, [b"%d" % number])
        world.run(10)
    live = world.logs()[:3]
    assert world.run(2_000, until=lambda: all(len(log) == 40 for log in live))
    blocks = world.nodes[0].disk.blocks
    behind = [block for before, block in pairwise(blocks) if block.tc and before.payload]
    assert any(block.payload for block in behind)


def test_a_round_that_becomes_idle_waits_for_the_heartbeat() -> None:
    """When the last batch is executed within a round, its timer is that of an idle round."""
    bench = Bench()
    (first,) = bench.grow(1)
    batch = bench.batch(2, b"event")
    busy = bench.say(2, BatchMessage(batch))
    assert timers_in([*busy], ROUND_TIMER) == [ROUND_TIMEOUT_MS]
    dissemination = bench.core._parts.dissemination
    dissemination.on_ordered([next(iter(dissemination.book.held))])
    bench.core._agreement.on_new_payload()
    idle = bench.core._parts.context.outbox.take(None)
    assert timers_in([*idle], ROUND_TIMER) == [ROUND_TIMEOUT_MS + IDLE_INTERVAL_MS]
    assert first.round == 1


# --- status and the rest ------------------------------------------------------------------------


def test_status_says_why_there_is_no_progress() -> None:
    """One sentence an operator can act on."""
    bench = Bench()
    late = bench.now_ms + 60_000
    assert bench.core.status(bench.now_ms)["progress"] == "ok"
    assert "round 1 waits for val-1" in str(bench.core.status(late)["progress"])
    bench.say(1, bench.propose(bench.block(1, None, time_ms=0)))
    assert "cannot vote" in str(bench.core.status(late)["progress"])
    donor = Bench(me=1)
    grown = donor.grow(3)
    proof = donor.qc(grown[2], (1, 2, 3))
    bench.say(1, SyncInfo(proof, None))
    assert "syncing: at height 0 of at least 2" in str(bench.core.status(late)["progress"])
    bench.auto = False
    bench.say(1, BlocksResponse(tuple(grown[:2]), proof))
    assert "executing: 2 final blocks" in str(bench.core.status(late)["progress"])
    for peer in (1, 2):
        bench.give(PeerDown(NodeIndex(peer)))
    assert "halted: 2 of 4" in str(bench.core.status(late)["progress"])
    bench.give(PeerMisbehaved(NodeIndex(1), Offence.FLOOD))
    assert bench.core.counters.peer_faults == {Offence.FLOOD: 1}


def test_a_wrong_answer_of_the_executor_stops_the_node() -> None:
    """Execution out of order, or of another block, is no fault to live with."""
    bench = Bench()
    root = LedgerRoot(Height(1), 0, bytes(32), bytes(32), bytes(32))
    assert "out of order" in halts_in(bench.give(Executed(Height(1), BlockId(bytes(32)), root)))[0]
    other = Bench()
    assert halts_in(other.give(NotAnInput()))  # type: ignore[arg-type]


class NotAnInput(msgspec.Struct, frozen=True):
    """Nothing that the core knows."""


def test_what_is_durable_prunes_the_kept_proposals() -> None:
    """The barrier names the height up to which the chain store has the blocks."""
    bench = Bench()
    bench.grow(5)
    bench.give(ChainDurable(Height(3)))
    bench.give(ChainDurable(Height(2)))
    persists = [e for e in bench.time_out() if isinstance(e, Persist)]
    assert [p.prune_height for p in persists] == [3]
    assert all(p.block.height > 3 for p in bench.disk.proposals.values())


def test_a_core_needs_a_root_and_a_key_of_the_set() -> None:
    """Stores that contradict the genesis file, or hold nothing, are refused at the start."""
    bench = Bench()
    restored = bench.disk.restored()
    with pytest.raises(InvariantError, match="root"):
        bench._make_core(msgspec.structs.replace(restored, roots=()))
    _, others = make_genesis(7)
    bench.signers[0] = others[6]
    with pytest.raises(InvariantError, match="key"):
        bench._make_core(restored)


def test_one_validator_alone_agrees_with_itself() -> None:
    """The smallest network orders events without anybody else."""
    world = Federation(1)
    world.submit(0, [b"event"])
    world.submit(0, [b"x" * 40_000], 2)
    world.run(100)
    assert len(world.logs()[0]) == 2
    world.crash(0)
    world.start(0)
    world.submit(0, [b"more"], 3)
    assert not world.run(ROUND_TIMEOUT_ABSENT_MS // 2, lambda: len(world.logs()[0]) == 3), (
        "whether it had proposed in this round is not known"
    )
    assert world.run(ROUND_TIMEOUT_ABSENT_MS, lambda: len(world.logs()[0]) == 3), (
        "and is not waited for"
    )


def test_evidence_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much is kept and no more; what is old is forgotten first."""
    monkeypatch.setattr("consensus.core.evidence.EVIDENCE_COUNT_MAX", 2)
    monkeypatch.setattr("consensus.core.evidence._PROPOSALS_MAX", 1)
    assert EVIDENCE_COUNT_MAX > 2
    bench = Bench()
    recorded = 0
    parent = None
    for round_ in (1, 2, 3):
        block = bench.block(round_, parent)
        other = msgspec.structs.replace(block, time_ms=block.time_ms + 1)
        for each in (block, other):
            effects = bench.say(round_, bench.propose(each))
            recorded += sum(isinstance(e, RecordEvidence) for e in effects)
        parent = block
    assert recorded == 2


def test_questions_of_agreement_do_not_queue_behind_batches() -> None:
    """Which lane a message takes is a property of its type."""
    bench = Bench()
    vote = bench.vote(1, bench.block(1, None))
    assert lane_of(VoteMessage(vote)) is Lane.CONSENSUS
    assert lane_of(ProposalRequest(BlockId(bytes(32)))) is Lane.CONSENSUS
    assert lane_of(BatchMessage(b"")) is Lane.BULK


def test_control_messages_come_back_as_they_were() -> None:
    """Requests and replies of the gateway's socket survive the wire."""
    for request in (Submit(7, (b"entry",), is_awaited=True), Attend(is_live=True)):
        assert decode_request(encode(request)) == request
    for reply in (StatusReply(1, b"{}"), Head(Height(1), 2, Height(1), 3)):
        assert decode_reply(encode(reply)) == reply


def test_the_first_record_survives_its_encoding() -> None:
    """What is read back is what was written."""
    bench = Bench()
    bench.grow(4)
    record: SafetyRecord = bench.record
    assert encode_record(record) == bench.disk.record
    assert record.counter > 0


def test_roots_of_empty_blocks_are_known_before_they_are_executed() -> None:
    """A block without payload moves only the height, so voting goes on without the executor."""
    bench = Bench()
    bench.auto = False
    parent = None
    for round_ in range(1, 6):
        parent = bench.block(round_, parent)
        effects = bench.say(parent.author, bench.propose(parent))
        assert votes_in(effects), f"round {round_}"
        for peer in (1, 2, 3):
            bench.say(peer, bench.vote_message(peer, parent))
    assert bench.core.status(bench.now_ms)["executed_height"] == 4


def test_an_empty_block_that_changes_the_ledger_halts() -> None:
    """The executor's answer must be the root that was foreseen."""
    bench = Bench()
    _, second = bench.grow(2)
    bench.auto = False
    third = bench.block(3, second)
    bench.say(3, bench.propose(third))
    for peer in (1, 2, 3):
        bench.say(peer, bench.vote_message(peer, third))
    root = LedgerRoot(second.height, 1, bytes(32), bytes(32), bytes(32))
    effects = bench.give(Executed(second.height, block_id(second), root))
    assert halts_in(effects) == ["executing the empty block 2 changed the ledger"]


def test_a_certificate_with_an_own_new_vote_waits_for_the_record() -> None:
    """What the chain store gets may be served to peers: it is handed over behind the barrier."""
    bench = Bench()
    (first,) = bench.grow(1)
    second = bench.block(2, first)
    for signer in (1, 2, 3):
        if signer != second.author:
            bench.say(signer, bench.vote_message(signer, second))
    effects = bench.say(second.author, bench.propose(second))
    kinds = [type(effect) for effect in effects]
    (executed,) = [effect for effect in effects if isinstance(effect, Execute)]
    assert executed.certificate is not None
    assert bench.me in [signer for signer, _ in executed.certificate.signatures]
    assert kinds.index(Persist) < kinds.index(Execute)


def test_whoever_asks_for_a_final_block_by_its_id_is_told_that_it_is_final() -> None:
    """After a restart the block is no proposal any more; the store has its certificate."""
    bench = Bench()
    grown = bench.grow(4)
    head = bench.core._parts.tree.head
    bench.core._parts.tree._blocks[head.id] = TreeBlock(head.id, head.block, None)
    assert bench.say(1, ProposalRequest(head.id)) == [ServeBlocks(NodeIndex(1), head.block.height)]
    assert grown[2].height == bench.height


def test_a_final_block_above_a_gap_makes_its_height_the_target() -> None:
    """Its certificate proves what is final; what lies between is then asked for in order."""
    donor = Bench(me=1)
    grown = donor.grow(6)
    answer = BlocksResponse((grown[4],), donor.qc(grown[5], (1, 2, 3)))
    bench = Bench()
    assert bench.say(2, answer) == [], "nothing was asked for"
    bench.core._parts.catch_up.on_missing_block(block_id(grown[4]))
    effects = bench.say(2, answer)
    assert bench.core.status(bench.now_ms)["sync_target_height"] == 5
    assert BlocksRequest(Height(1)) in [e.message for e in effects if isinstance(e, Send)]
    assert bench.height == 0
