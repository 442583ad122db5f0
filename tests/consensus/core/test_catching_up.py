"""Catching up: lying servers, missing blocks and batches, long absences. Nothing blocks."""

import pytest

from consensus.core.catchup import CATCH_UP_TIMER
from consensus.core.effects import Effect, Send, ServeBatches, ServeBlocks, SetTimer
from consensus.core.inputs import BatchExamined, PeerDown, TimerFired
from consensus.core.messages import (
    BatchMessage,
    BatchRequest,
    BlocksRequest,
    BlocksResponse,
    Message,
    ProposalMessage,
    ProposalRequest,
    ProposalResponse,
    SyncInfo,
    TimeoutCertificateMessage,
)
from ledger.core.block import Block, batch_id, block_id
from ledger.core.errors import Offence
from ledger.core.ids import Height, NodeIndex
from ledger.core.limits import FETCH_RETRY_MS, SERVE_BURST, SERVE_INTERVAL_MS
from simnet.actors.serving import lie_about_blocks
from tests.consensus.core.bench import Bench, executed_in, faults_in, sent_to, votes_in
from tests.support.federation import BAD_ENTRY, Disk, Federation

FAULTY_LIES = ("uncertified", "wrong parent", "gap", "cut", "stale", "forged", "uncommitting")


def behind() -> tuple[Bench, BlocksResponse]:
    """Give a core at height 0 that knows of height 10, and the right answer to its question."""
    donor = Bench(me=1)
    grown = donor.grow(11)
    certificate = donor.qc(grown[10], (1, 2, 3))
    bench = Bench()
    asked = bench.say(1, SyncInfo(certificate, None))
    assert BlocksRequest(Height(1)) in [e.message for e in asked if isinstance(e, Send)]
    return bench, BlocksResponse(tuple(grown[:10]), certificate)


@pytest.mark.parametrize("kind", FAULTY_LIES)
def test_a_lying_server_is_found_out(kind: str) -> None:
    """Blocks that no certificate binds to the head change nothing and cost their sender."""
    bench, answer = behind()
    effects = bench.say(2, lie_about_blocks(answer, kind)[0])
    assert [peer for peer, _ in faults_in(effects)] == [2]
    assert bench.height == 0
    bench.say(3, answer)
    assert bench.height == 10


def test_an_empty_or_late_answer_only_moves_the_question_on() -> None:
    """The next peer is asked when the one before has nothing or says nothing."""
    bench, answer = behind()
    assert faults_in(bench.say(1, lie_about_blocks(answer, "empty")[0])) == []
    asked = [
        e.peer
        for _ in range(4)
        for e in bench.give(TimerFired(CATCH_UP_TIMER))
        if isinstance(e, Send) and e.message == BlocksRequest(Height(1))
    ]
    assert sorted(set(asked)) == [1, 2, 3], "in turn"
    bench.say(1, answer)
    assert bench.say(2, answer) == [], "the second answer is of no use any more"


def test_nobody_is_asked_who_is_not_connected() -> None:
    """With all peers down the question waits, and goes on when the timer comes."""
    bench, _ = behind()
    for peer in (1, 2, 3):
        bench.give(PeerDown(NodeIndex(peer)))
    effects = bench.give(TimerFired(CATCH_UP_TIMER))
    assert not [e for e in effects if isinstance(e, Send)]
    assert bench.timers[CATCH_UP_TIMER.name] == CATCH_UP_TIMER


def test_unasked_blocks_are_ignored() -> None:
    """Who needs nothing takes nothing."""
    donor = Bench(me=1)
    grown = donor.grow(3)
    bench = Bench()
    answer = BlocksResponse(tuple(grown[:2]), donor.qc(grown[2], (1, 2, 3)))
    assert bench.say(1, answer) == []
    assert bench.height == 0


def test_a_missing_proposal_is_fetched_by_its_id() -> None:
    """A certified parent that never came is asked for, and the waiting block is voted for."""
    bench = Bench()
    first = bench.block(1, None)
    second = bench.block(2, first)
    assert votes_in(bench.say(2, bench.propose(second))) == []
    bench.say(3, ProposalResponse(bench.propose(bench.block(1, None, time_ms=1)).proposal))
    asked = bench.give(TimerFired(CATCH_UP_TIMER))
    assert ProposalRequest(block_id(first)) in [e.message for e in asked if isinstance(e, Send)]
    effects = bench.say(3, ProposalResponse(bench.propose(first).proposal))
    assert [v.block_id for v in votes_in(effects)] == [block_id(second)]


def test_blocks_proposals_and_batches_are_served() -> None:
    """Questions are answered from memory where possible, else from the store, within bounds."""
    bench = Bench()
    (first,) = bench.grow(1)
    (answer,) = sent_to(bench.say(2, ProposalRequest(block_id(first))), 2)
    assert isinstance(answer, ProposalResponse)
    (answer,) = sent_to(bench.say(2, ProposalRequest(block_id(bench.block(2, first)))), 2)
    assert isinstance(answer, SyncInfo)
    assert ServeBlocks(NodeIndex(2), Height(1)) in bench.say(2, BlocksRequest(Height(1)))
    batch = bench.batch(3, b"event")
    bench.say(3, BatchMessage(batch))
    wanted = (batch_id(batch), batch_id(b""))
    effects = bench.say(2, BatchRequest(wanted))
    assert sent_to(effects, 2) == [BatchMessage(batch)]
    assert ServeBatches(NodeIndex(2), wanted[1:]) in effects


def test_a_peer_that_asks_too_often_is_not_answered() -> None:
    """A burst is served, then one question in each interval, also after the clock went back."""
    bench = Bench()
    served = sum(bool(bench.say(2, BlocksRequest(Height(1)))) for _ in range(SERVE_BURST + 5))
    assert served == SERVE_BURST
    assert bench.say(3, BlocksRequest(Height(1))), "others are not affected"
    bench.now_ms += SERVE_INTERVAL_MS
    assert bench.say(2, BlocksRequest(Height(1)))
    assert not bench.say(2, BlocksRequest(Height(1)))
    bench.now_ms -= 10_000
    assert not bench.say(2, BlocksRequest(Height(1)))
    bench.now_ms += SERVE_INTERVAL_MS
    assert bench.say(2, BlocksRequest(Height(1)))


def test_only_stored_batches_are_looked_for_in_the_store() -> None:
    """A request for what is in memory does not take the place of one that waits there."""
    bench = Bench()
    batch = bench.batch(3, b"event")
    bench.say(3, BatchMessage(batch))
    assert bench.say(2, BatchRequest((batch_id(batch),))) == [
        Send(NodeIndex(2), BatchMessage(batch))
    ]


def test_batches_that_are_being_examined_are_not_asked_for() -> None:
    """They are large; what is found invalid is asked for when the timer runs out."""
    encoded = [Bench().batch(2, b"event %d" % n, sequence=n) for n in range(2)]
    donor = Bench(me=1)
    grown: list[Block] = []
    for batch in encoded:
        donor.say(2, BatchMessage(batch))
        grown += donor.grow(5, grown[-1] if grown else None)
    assert sum(len(block.payload) for block in grown[:-1]) == 2
    certificate = donor.qc(grown[-1], (1, 2, 3))
    bench = Bench()
    bench.auto = False
    bench.say(2, BatchMessage(encoded[0]))
    bench.say(1, SyncInfo(certificate, None))
    effects = bench.say(1, BlocksResponse(tuple(grown[:-1]), certificate))

    def asked(effects: list[Effect]) -> list[tuple[bytes, ...]]:
        sent = [e.message for e in effects if isinstance(e, Send)]
        return [message.batch_ids for message in sent if isinstance(message, BatchRequest)]

    assert asked(effects) == [(batch_id(encoded[1]),)]
    assert SetTimer(CATCH_UP_TIMER, FETCH_RETRY_MS + 100) in effects
    bench.say(1, BatchMessage(encoded[1]))
    again = bench.give(TimerFired(CATCH_UP_TIMER))
    assert asked(again) == []
    assert SetTimer(CATCH_UP_TIMER, FETCH_RETRY_MS) in again
    bench.give(BatchExamined(batch_id(encoded[0]), valid=False))
    assert asked(bench.give(TimerFired(CATCH_UP_TIMER))) == [(batch_id(encoded[0]),)]


def test_batches_of_final_blocks_are_fetched_from_one_peer_after_the_other() -> None:
    """Nothing is executed before all bytes are here; whoever has them may send them."""
    batch = Bench().batch(2, b"event")
    donor = Bench(me=1)
    donor.say(2, BatchMessage(batch))
    donor.fire("idle")
    grown = donor.grow(4)
    assert any(block.payload for block in grown)
    bench = Bench()
    certificate = donor.qc(grown[3], (1, 2, 3))
    bench.say(1, SyncInfo(certificate, None))
    effects = bench.say(1, BlocksResponse(tuple(grown[:3]), certificate))
    request = BatchRequest((batch_id(batch),))
    assert request in [e.message for e in effects if isinstance(e, Send)]
    asked = [
        e.peer
        for _ in range(3)
        for e in bench.give(TimerFired(CATCH_UP_TIMER))
        if isinstance(e, Send) and e.message == request
    ]
    assert sorted(asked) == [1, 2, 3]
    other = bench.batch(2, b"another")
    assert executed_in(bench.say(3, BatchMessage(other))) == []
    effects = bench.say(3, BatchMessage(batch))
    assert [block_id(grown[2])] == executed_in(effects)[-1:]
    assert faults_in(effects) == []
    assert BAD_ENTRY not in batch


def test_a_node_away_for_a_thousand_blocks_catches_up_under_load() -> None:
    """Others go on meanwhile and afterwards; the returned node votes again within seconds."""
    world = Federation(4, seed=5)
    world.crash(3)
    number = 0

    def load(milliseconds: int) -> None:
        nonlocal number
        for _ in range(milliseconds // 20):
            number += 1
            world.submit(number % 3, [b"event %d" % number])
            world.run(20)

    while world.heights()[0] < 1_000:
        load(200)
    world.start(3)
    before = world.heights()[0]
    load(1_500)
    assert world.heights()[0] > before + 100, "the others did not wait"
    world.run(500)
    assert world.agree()
    assert world.heights()[3] > world.heights()[0] - 5
    assert all(len(log) == number for log in world.logs())
    votes = world.nodes[3].core
    assert votes is not None
    assert votes.counters.votes_sent > 20


@pytest.mark.parametrize("kind", [*FAULTY_LIES, "empty"])
def test_one_lying_server_does_not_keep_a_node_from_catching_up(kind: str) -> None:
    """With one liar among three servers the node gets there all the same."""
    world = Federation(4, seed=6)
    world.crash(3)
    for number in range(40):
        world.submit(number % 3, [b"event %d" % number])
        world.run(20)

    def tamper(effect: object) -> tuple[object, ...]:
        if isinstance(effect, ServeBlocks):
            answer: Message = world._blocks(world.nodes[0], effect.from_height)
            assert isinstance(answer, BlocksResponse)
            if len(answer.blocks) > 2:
                return (Send(effect.peer, lie_about_blocks(answer, kind)[0]),)
        return (effect,)

    world.nodes[0].tamper = tamper  # type: ignore[assignment]
    world.start(3)
    world.run(3_000)
    assert len(world.logs()[3]) == 40
    assert {fault.offence for fault in world.nodes[3].penalties} <= {
        Offence.BAD_SYNC,
        Offence.BAD_SIGNATURE,
    }


def test_a_node_that_missed_one_proposal_goes_on_with_the_others() -> None:
    """Whoever alone lost a proposal fetches it and votes again soon, without a timeout."""
    world = Federation(4, seed=7)
    lost: list[int] = []

    def delivers(_sender: NodeIndex, receiver: NodeIndex, message: Message) -> bool:
        drop = receiver == 3 and isinstance(message, ProposalMessage) and len(lost) < 1
        lost.extend([1] if drop else [])
        return not drop

    world.submit(0, [b"event"])
    world.delivers = delivers
    for number in range(50):
        world.submit(number % 4, [b"event %d" % number])
        world.run(10)
    world.run(1_000)
    assert lost
    assert all(len(log) == 51 for log in world.logs())
    cores = [node.core for node in world.nodes if node.core is not None]
    assert sum(core.counters.timeouts for core in cores) <= 4


def test_final_blocks_that_are_durable_nowhere_are_found_among_the_votes() -> None:
    """After a power failure of all, each holds only what it voted for: together it is enough.

    Every node's chain ends at one height, and of the four final blocks above each lacks another.
    """
    world = Federation(4, seed=5)
    for number in range(6):
        world.submit(number % 4, [b"event %d" % number])
        world.run(15)
    sent = [m.proposal for _, m in world.wire if isinstance(m, ProposalMessage)]
    height = min(world.heights()) - 5
    for node in world.nodes:
        node.disk.durable = height
        lacks = height + 1 + node.index
        node.disk.proposals = {
            block_id(p.block): p
            for p in sent
            if p.block.height > height and p.block.height != lacks
        }
    for node in world.nodes:
        world.crash(node.index)
    assert world.heights() == [height] * 4
    for node in world.nodes:
        world.start(node.index)
    assert world.run(5_000, until=lambda: min(world.heights()) > height + 6), world.heights()
    assert world.agree()
    assert all(len(log) == 6 for log in world.logs())


def test_what_was_final_before_a_crash_is_final_after_it() -> None:
    """The highest certificate may commit nothing; one that a kept proposal carries does."""
    bench = Bench()
    blocks = bench.grow(3)
    bench.time_out()
    tc = bench.tc(4, bench.qc(blocks[2]))
    beyond = bench.block(5, blocks[2], tc=tc)
    bench.say(1, TimeoutCertificateMessage(tc), bench.propose(beyond))
    bench.say(2, SyncInfo(bench.qc(beyond), None))
    bench.time_out()
    assert (bench.height, bench.record.high_qc.commit) == (2, None)
    empty = Disk(bench.genesis, bench.signers[0])
    empty.record, empty.proposals = bench.disk.record, bench.disk.proposals
    assert Bench(disk=empty).height == 2
