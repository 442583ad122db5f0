"""Batches from submission to order: acknowledgements, certificates, quotas, resends, limits."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.dissemination import BATCH_TIMER, REBROADCAST_TIMER
from consensus.core.effects import (
    Broadcast,
    Effect,
    ExamineBatch,
    ExamineEntries,
    Reply,
    Send,
    SetTimer,
    StoreBatch,
)
from consensus.core.inputs import BatchExamined, BatchStored, EntriesExamined, PeerUp, TimerFired
from consensus.core.mempool import Mempool
from consensus.core.messages import (
    AckMessage,
    BatchMessage,
    BatchRequest,
    CertificateMessage,
    SyncInfo,
)
from ledger.core.admission import ExaminedEntry, Verdict
from ledger.core.block import batch_id, decode_batch
from ledger.core.certificate import Ack, BatchCertificate
from ledger.core.errors import Offence, RejectCode
from ledger.core.ids import BatchId, Epoch, EventId, NodeIndex
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    BATCH_INTERVAL_MS,
    BATCHES_IN_FLIGHT_MAX,
    BLOCK_BATCHES_MAX,
    INLINE_BYTES_MAX,
    MEMPOOL_ENTRIES_MAX,
    OPEN_BATCHES_PER_ORIGIN_MAX,
    PROPOSED_BYTES_MAX,
    REBROADCAST_INTERVAL_MS,
)
from tests.consensus.core.bench import Bench, faults_in, proposals_in, sent_to, votes_in
from tests.support.federation import BAD_ENTRY, Federation

IN_FLIGHT_MAX = BATCHES_IN_FLIGHT_MAX[0]
LARGE = b"x" * (INLINE_BYTES_MAX + 1)


def batches_in(effects: Iterable[Effect]) -> list[bytes]:
    """Give the batches that were broadcast."""
    messages = [e.message for e in effects if isinstance(e, Broadcast)]
    return [m.batch for m in messages if isinstance(m, BatchMessage)]


def certificates_in(effects: Iterable[Effect]) -> list[BatchCertificate]:
    """Give the batch certificates that were broadcast."""
    messages = [e.message for e in effects if isinstance(e, Broadcast)]
    return [m.certificate for m in messages if isinstance(m, CertificateMessage)]


def ack(bench: Bench, id_: BatchId, signer: int) -> AckMessage:
    """Have a validator acknowledge a batch."""
    return AckMessage(Ack.make(bench.domain, id_, bench.signers[signer]))


def certificate(bench: Bench, id_: BatchId) -> BatchCertificate:
    """Have a quorum of the others acknowledge a batch."""
    acks = [ack(bench, id_, signer).ack for signer in bench.others]
    return BatchCertificate(Epoch(0), id_, tuple((a.signer, a.signature) for a in acks))


# --- own batches --------------------------------------------------------------------------------


def test_a_large_batch_is_stored_sent_acknowledged_and_certified() -> None:
    """The certificate comes with the quorum's last acknowledgement, its own among them."""
    bench = Bench()
    effects = bench.submit(LARGE)
    (batch,) = batches_in(effects)
    id_ = batch_id(batch)
    assert StoreBatch(id_, batch) in effects
    assert not certificates_in(effects)
    assert not certificates_in(bench.say(1, ack(bench, id_, 1)))
    assert not certificates_in(bench.say(1, ack(bench, id_, 1))), "once each"
    (made,) = certificates_in(bench.say(2, ack(bench, id_, 2)))
    made.verify(bench.domain)
    assert [signer for signer, _ in made.signatures] == [0, 1, 2]
    assert not certificates_in(bench.say(3, ack(bench, id_, 3))), "made once"


def test_forged_acknowledgements_are_found_when_they_would_count() -> None:
    """A forged one is held against its signer, and its place is free for a good one."""
    bench = Bench()
    (batch,) = batches_in(bench.submit(LARGE))
    good = ack(bench, batch_id(batch), 1).ack
    bench.say(1, AckMessage(msgspec.structs.replace(good, signature=bytes(64))))
    effects = bench.say(2, ack(bench, batch_id(batch), 2))
    assert faults_in(effects) == [(1, Offence.BAD_SIGNATURE)]
    assert not certificates_in(effects)
    assert certificates_in(bench.say(1, AckMessage(good)))


def test_acknowledgements_of_others_or_for_unknown_batches_do_nothing() -> None:
    """Only a signer's own connection brings its acknowledgement, only for batches from here."""
    bench = Bench()
    (batch,) = batches_in(bench.submit(LARGE))
    effects = bench.say(2, ack(bench, batch_id(batch), 1))
    assert faults_in(effects) == [(2, Offence.BAD_SIGNATURE)]
    foreign = msgspec.structs.replace(ack(bench, batch_id(batch), 1).ack, epoch=Epoch(1))
    here = [Send(NodeIndex(1), SyncInfo(bench.genesis_qc, None))]
    assert bench.say(1, AckMessage(foreign)) == here, "of a later epoch"
    unknown = batch_id(b"nothing")
    asked = [BatchRequest((unknown,))]
    assert sent_to(bench.say(1, ack(bench, unknown, 1)), 1) == asked, "it may be lost here"
    assert not certificates_in(bench.say(2, ack(bench, unknown, 2)))


def test_a_small_batch_needs_no_acknowledgement_until_it_is_late() -> None:
    """Sent once, it rides in a proposal; sent again, it asks for a quorum."""
    bench = Bench()
    effects = bench.submit(b"event")
    (batch,) = batches_in(effects)
    assert not [e for e in effects if isinstance(e, StoreBatch)]
    early = bench.give(TimerFired(REBROADCAST_TIMER))
    assert not batches_in(early)
    bench.now_ms += REBROADCAST_INTERVAL_MS
    late = bench.give(TimerFired(REBROADCAST_TIMER))
    assert batches_in(late) == [batch]
    assert StoreBatch(batch_id(batch), batch) in late
    for signer in (1, 2):
        bench.say(signer, ack(bench, batch_id(batch), signer))
    bench.now_ms += REBROADCAST_INTERVAL_MS
    again = bench.give(TimerFired(REBROADCAST_TIMER))
    assert [c.batch_id for c in certificates_in(again)] == [batch_id(batch)]
    assert not batches_in(again), "a quorum keeps it"


def test_a_clock_that_went_back_keeps_no_batch_from_being_sent_again() -> None:
    """Resending does not wait until the wall clock is where it was."""
    bench = Bench()
    (batch,) = batches_in(bench.submit(b"event"))
    bench.now_ms -= 3_600_000
    assert batches_in(bench.give(TimerFired(REBROADCAST_TIMER))) == [batch]


def test_a_leader_sends_its_small_batch_inside_its_proposal_only() -> None:
    """The bytes leave once."""
    bench = Bench(me=1)
    effects = bench.submit(b"event")
    (proposal,) = proposals_in(effects)
    assert [decode_batch(b).entries for b in proposal.inline] == [(b"event",)]
    assert not batches_in(effects)


def test_the_number_of_own_batches_on_the_way_is_bounded() -> None:
    """More entries wait in the mempool, and leave it as soon as a batch is ordered."""
    bench = Bench()
    for number in range(IN_FLIGHT_MAX + 3):
        bench.submit(b"%d" % number + b"y" * 60_000, ticket=number)
        bench.give(TimerFired(BATCH_TIMER))
    status = bench.core.status(bench.now_ms)
    assert status["own_batches_in_flight"] == IN_FLIGHT_MAX
    assert status["mempool_entries"] == 3
    dissemination = bench.core._parts.dissemination
    dissemination.on_ordered([next(iter(dissemination.book.held))])
    assert bench.core.status(bench.now_ms)["own_batches_in_flight"] == IN_FLIGHT_MAX - 1
    bench.give(TimerFired(BATCH_TIMER))
    assert bench.core.status(bench.now_ms)["mempool_entries"] == 0


def test_the_bytes_of_own_batches_on_the_way_are_bounded() -> None:
    """However few they are: each member keeps them in memory until they are ordered."""
    bench = Bench()
    parts = [[bytes([n, m]) * 20_000 for m in range(52)] for n in range(6)]
    for number, entries in enumerate(parts):
        bench.submit(*entries, ticket=number)
        bench.give(TimerFired(BATCH_TIMER))
    status = bench.core.status(bench.now_ms)
    assert status["own_batches_in_flight"] == 5
    assert 5 * 52 * 40_000 > BATCHES_IN_FLIGHT_MAX[1] > 4 * 52 * 40_000
    assert status["mempool_entries"] == 52
    dissemination = bench.core._parts.dissemination
    dissemination.on_ordered([next(iter(dissemination.book.held))])
    bench.give(TimerFired(BATCH_TIMER))
    assert bench.core.status(bench.now_ms)["mempool_entries"] == 0


def test_a_full_batch_leaves_at_once() -> None:
    """Entries that fill a batch do not wait for the timer."""
    bench = Bench()
    bench.submit(b"first")
    effects = bench.submit(*(b"%05d" % n for n in range(BATCH_ENTRIES_MAX + 5)))
    assert [len(decode_batch(b).entries) for b in batches_in(effects)] == [BATCH_ENTRIES_MAX]
    rest = bench.give(TimerFired(BATCH_TIMER))
    assert [len(decode_batch(b).entries) for b in batches_in(rest)] == [5]
    assert not batches_in(bench.give(TimerFired(BATCH_TIMER)))


def test_the_more_own_batches_are_on_the_way_the_longer_the_next_one_waits() -> None:
    """The first leaves at once; later ones grow meanwhile, and one timer runs for all they hold."""
    bench = Bench()
    delays: list[list[int]] = []
    for number in range(3):
        effects = bench.submit(b"%d" % number + LARGE, ticket=number)
        effects += bench.submit(b"%d" % number, ticket=10 + number)
        set_ = [e for e in effects if isinstance(e, SetTimer) and e.timer == BATCH_TIMER]
        delays.append([e.delay_ms for e in set_])
        bench.give(TimerFired(BATCH_TIMER))
    assert delays == [[BATCH_INTERVAL_MS], [2 * BATCH_INTERVAL_MS], [3 * BATCH_INTERVAL_MS]]
    assert bench.core.status(bench.now_ms)["own_batches_in_flight"] == 4


def test_what_could_not_leave_waits_for_as_long_as_batches_are_on_the_way() -> None:
    """The timer runs on while entries wait, and what is ordered meanwhile lets them go at once."""
    bench = Bench()
    for number in range(IN_FLIGHT_MAX + 1):
        bench.submit(b"%d" % number + LARGE, ticket=number)
        last = bench.give(TimerFired(BATCH_TIMER))
    assert SetTimer(BATCH_TIMER, IN_FLIGHT_MAX * BATCH_INTERVAL_MS) in last
    dissemination = bench.core._parts.dissemination
    dissemination.on_ordered(list(dissemination.book.held))
    status = bench.core.status(bench.now_ms)
    assert (status["own_batches_in_flight"], status["mempool_entries"]) == (1, 0)


# --- mempool ------------------------------------------------------------------------------------


def admitted(*entries: bytes) -> tuple[ExaminedEntry, ...]:
    """Give the verdicts of good entries."""
    return tuple(ExaminedEntry(e, EventId((e * 32)[:32])) for e in entries)


def test_the_mempool_holds_so_many_entries_and_no_more() -> None:
    """A submission for which there is no room is refused as a whole, also while others wait."""
    mempool = Mempool()
    assert mempool.reserve(MEMPOOL_ENTRIES_MAX - 1)
    assert not mempool.reserve(2)
    assert mempool.reserve(1)
    assert not mempool.reserve(1)
    mempool.add((RejectCode.MALFORMED,))
    assert mempool.reserve(1), "what was refused takes no room"


def test_the_mempool_holds_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the bytes are used up nothing is admitted until some have left."""
    monkeypatch.setattr("consensus.core.mempool.MEMPOOL_BYTES_MAX", 10)
    mempool = Mempool()
    for entry, fits in ((b"a" * 9, True), (b"b", True), (b"c", False)):
        assert mempool.reserve(1) == fits
        if fits:
            mempool.add(admitted(entry))
    assert mempool.bytes_count == 10
    mempool.cut()
    assert mempool.bytes_count == 0
    assert mempool.reserve(1)


def test_an_entry_that_waits_already_is_a_duplicate() -> None:
    """An event is in at most one batch of this node, until that batch is ordered."""
    mempool = Mempool()
    entries = admitted(b"event")
    mempool.reserve(3)
    assert mempool.add(entries) == entries
    assert mempool.add(entries) == (RejectCode.DUPLICATE,)
    mempool.cut()
    assert mempool.add(entries) == (RejectCode.DUPLICATE,)
    mempool.settle([EventId(b"eventeventeventeventeventeventev")])
    assert mempool.reserve(1)
    assert mempool.add(entries) == entries


@given(
    waiting=st.sets(st.sampled_from(range(6))),
    drawn=st.lists(st.sampled_from([*range(6), *list(RejectCode)[:3]]), max_size=12),
    same=st.booleans(),
)
def test_each_entry_is_taken_once(
    waiting: set[int], drawn: list[int | RejectCode], *, same: bool
) -> None:
    """Every verdict stays in its place; of equal entries the first is taken, if none waits."""
    one = {number: admitted(bytes([65 + number]) * (number + 1))[0] for number in range(6)}
    mempool = Mempool()
    mempool.reserve(len(waiting) + len(drawn))
    mempool.add(tuple(one[number] for number in sorted(waiting)))
    asked: list[Verdict] = []
    expected: list[Verdict] = []
    seen = set(waiting)
    for item in drawn:
        if isinstance(item, RejectCode):
            asked.append(item)
            expected.append(item)
            continue
        asked.append(one[item] if same else msgspec.structs.replace(one[item]))
        expected.append(RejectCode.DUPLICATE if item in seen else one[item])
        seen.add(item)
    assert mempool.add(tuple(asked)) == tuple(expected)
    assert mempool.bytes_count == sum(number + 1 for number in seen)
    assert sorted(mempool.entries()) == [one[number].entry for number in sorted(seen)]
    assert not mempool.is_examining


def test_a_batch_is_cut_by_bytes_and_by_count() -> None:
    """The next batch takes what fits, and at least one entry."""
    mempool = Mempool()
    large = [bytes([n]) * (BATCH_BYTES_MAX // 2) for n in range(3)]
    mempool.reserve(3)
    mempool.add(admitted(*large))
    assert mempool.fills_a_batch
    assert [len(mempool.cut()), len(mempool.cut()), len(mempool.cut())] == [2, 1, 0]


def test_clients_are_told_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure is an answer, not a delay."""
    monkeypatch.setattr("consensus.core.mempool.MEMPOOL_ENTRIES_MAX", 1)
    bench = Bench()
    bench.auto = False
    assert [type(e) for e in bench.submit(b"a", ticket=7)] == [ExamineEntries]
    assert Reply(8, RejectCode.OVERLOADED) in bench.submit(b"b", ticket=8)
    assert bench.core.counters.entries_refused == 1
    replies = bench.give(EntriesExamined(7, (RejectCode.BAD_SIGNATURE,)))
    assert Reply(7, (RejectCode.BAD_SIGNATURE,)) in replies
    assert bench.core.counters.entries_refused == 2
    bench.submit(b"c", ticket=9)
    good = admitted(b"c")
    assert Reply(9, good) in bench.give(EntriesExamined(9, good))
    assert bench.core.counters.entries_refused == 2, "what is taken is not counted"


# --- batches of others --------------------------------------------------------------------------


def test_a_large_batch_of_a_peer_is_acknowledged_once_it_is_durable() -> None:
    """Not before it is found valid and stored."""
    bench = Bench()
    bench.auto = False
    batch = bench.batch(2, LARGE)
    id_ = batch_id(batch)
    assert [type(e) for e in bench.say(2, BatchMessage(batch))] == [ExamineBatch]
    assert bench.say(2, BatchMessage(batch)) == [], "sent twice, examined once"
    stored = bench.give(BatchExamined(id_, valid=True))
    assert StoreBatch(id_, batch) in stored
    assert not sent_to(stored, 2)
    (answer,) = sent_to(bench.give(BatchStored(id_)), 2)
    assert isinstance(answer, AckMessage)
    assert answer.ack.batch_id == id_
    (repeated,) = sent_to(bench.say(2, BatchMessage(batch)), 2)
    assert repeated == answer, "a lost acknowledgement is given again"


def test_a_small_batch_is_stored_and_acknowledged_when_it_comes_again() -> None:
    """The origin that sends it twice wants a certificate."""
    bench = Bench()
    batch = bench.batch(2, b"event")
    assert not sent_to(bench.say(2, BatchMessage(batch)), 2)
    (answer,) = sent_to(bench.say(2, BatchMessage(batch)), 2)
    assert isinstance(answer, AckMessage)


def test_an_invalid_batch_costs_its_sender() -> None:
    """It is forgotten; nothing of it can be proposed."""
    bench = Bench()
    effects = bench.say(2, BatchMessage(bench.batch(2, BAD_ENTRY)))
    assert faults_in(effects) == [(2, Offence.BAD_BATCH)]
    assert not bench.core._parts.dissemination.book.held
    assert faults_in(bench.say(2, BatchMessage(b"garbage"))) == [(2, Offence.BAD_BATCH)]


def test_a_leader_that_inlines_garbage_in_anothers_name_is_at_fault() -> None:
    """The named origin is not: it said nothing."""
    bench = Bench()
    garbage = bench.batch(3, BAD_ENTRY)
    block = bench.block(1, None, payload=(batch_id(garbage),))
    effects = bench.say(1, bench.propose(block, (garbage,)))
    assert faults_in(effects) == [(1, Offence.BAD_BATCH)]
    assert not votes_in(effects)


def test_batches_of_others_are_taken_from_their_origin_only() -> None:
    """Unasked, nobody passes on a batch of somebody else."""
    bench = Bench()
    assert bench.say(1, BatchMessage(bench.batch(2, b"event"))) == []
    assert bench.core.counters.batches_refused == 1


def test_one_peer_may_have_so_many_open_batches() -> None:
    """One more is refused until some are ordered; other peers are not affected."""
    bench = Bench()
    for sequence in range(OPEN_BATCHES_PER_ORIGIN_MAX):
        bench.say(2, BatchMessage(bench.batch(2, b"event", sequence=sequence)))
    assert bench.core.counters.batches_refused == 0
    assert bench.say(2, BatchMessage(bench.batch(2, b"more"))) == []
    assert bench.say(3, BatchMessage(bench.batch(3, b"event")))
    assert len(bench.core._parts.dissemination.book.held) == OPEN_BATCHES_PER_ORIGIN_MAX + 1


def test_inline_batches_count_for_their_proposer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that never become final do not fill the memory with what they carry."""
    monkeypatch.setattr("consensus.core.batchbook.OPEN_BATCHES_PER_ORIGIN_MAX", 2)
    bench = Bench()
    parent = None
    for round_ in (1, 5, 9):
        batch = bench.batch(1, b"event", sequence=round_)
        block = bench.block(round_, parent, payload=(batch_id(batch),))
        assert bool(votes_in(bench.say(1, bench.propose(block, (batch,))))) == (round_ < 9)
        parent = block
    assert len(bench.core._parts.dissemination.book.held) == 2


def test_certificates_are_checked_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forged ones are faults; beyond the bound good ones are not kept."""
    monkeypatch.setattr("consensus.core.batchbook.OPEN_BATCHES_PER_ORIGIN_MAX", 1)
    bench = Bench()
    forged = msgspec.structs.replace(certificate(bench, batch_id(b"1")), batch_id=batch_id(b"2"))
    effects = bench.say(2, CertificateMessage(forged))
    assert faults_in(effects) == [(2, Offence.BAD_SIGNATURE)]
    for number in range(6):
        bench.say(2, CertificateMessage(certificate(bench, batch_id(b"%d" % number))))
    assert len(bench.core._parts.dissemination.book.certified) == 4


def test_a_certified_batch_is_votable_without_its_bytes() -> None:
    """A quorum holds it, so the vote need not wait; execution will."""
    bench = Bench()
    id_ = batch_id(bench.batch(2, LARGE))
    block = bench.block(1, None, payload=(id_,))
    proposal = bench.propose(block, certificates=(certificate(bench, id_),))
    assert votes_in(bench.say(1, proposal))


def test_a_vote_waits_for_the_certificate() -> None:
    """A leader that names a batch without proof is refused; with proof elsewhere it is not."""
    bench = Bench()
    id_ = batch_id(bench.batch(2, LARGE))
    block = bench.block(1, None, payload=(id_,))
    effects = bench.say(1, bench.propose(block))
    assert faults_in(effects) == [(1, Offence.BAD_BLOCK)]


@pytest.mark.parametrize("kind", ["twice", "both", "too large", "not named", "no batch"])
def test_payloads_that_do_not_add_up_are_refused(kind: str) -> None:
    """Each named batch comes with one certificate or its bytes, and nothing else comes."""
    bench = Bench()
    small = bench.batch(2, b"event")
    big = tuple(bench.batch(2, b"z" * 20_000, sequence=n) for n in range(2))
    proof = certificate(bench, batch_id(small))
    ids = (batch_id(small),)
    garbage = (batch_id(b"garbage"),)
    proposal = {
        "twice": bench.propose(bench.block(1, None, payload=ids * 2), (small, small)),
        "both": bench.propose(bench.block(1, None, payload=ids), (small,), certificates=(proof,)),
        "too large": bench.propose(bench.block(1, None, payload=tuple(map(batch_id, big))), big),
        "not named": bench.propose(bench.block(1, None), (small,)),
        "no batch": bench.propose(bench.block(1, None, payload=garbage), (b"garbage",)),
    }[kind]
    effects = bench.say(1, proposal)
    offence = Offence.BAD_BATCH if kind == "no batch" else Offence.BAD_BLOCK
    assert faults_in(effects) == [(1, offence)]
    assert not votes_in(effects)


def test_a_block_names_so_many_batches_certified_ones_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond the limit they wait for the next block; small ones fill what is left."""
    for limit, named in ((2, (2, 0)), (3, (2, 1)), (9, (2, 2))):
        monkeypatch.setattr("consensus.core.batchbook.BLOCK_BATCHES_MAX", limit)
        bench = Bench()
        book = bench.core._parts.dissemination.book
        for sequence in range(2):
            bench.say(2, BatchMessage(bench.batch(2, b"event", sequence=sequence)))
            large = batch_id(bench.batch(3, LARGE, sequence=sequence))
            bench.say(3, CertificateMessage(certificate(bench, large)))
        payload = book.choose(set())
        assert (len(payload.certificates), len(payload.inline)) == named
        assert len(payload.batch_ids) == sum(named)
    monkeypatch.setattr("consensus.core.batchbook.BLOCK_BATCHES_MAX", 1)
    assert len(book.choose(set()).certificates) == 1


def test_a_leader_proposes_so_many_bytes() -> None:
    """A block of the largest size takes long to execute, and rounds wait for its root."""
    bench = Bench()
    book = bench.core._parts.dissemination.book
    for sequence in range(BLOCK_BATCHES_MAX):
        unknown = batch_id(bench.batch(3, LARGE, sequence=sequence))
        bench.say(3, CertificateMessage(certificate(bench, unknown)))
    few = PROPOSED_BYTES_MAX // BATCH_BYTES_MAX
    assert few < BLOCK_BATCHES_MAX
    assert len(book.choose(set()).certificates) == few, "they may be as large as any"
    for sequence in range(BLOCK_BATCHES_MAX):
        bench.say(3, BatchMessage(bench.batch(3, LARGE, sequence=sequence)))
    assert len(book.choose(set()).certificates) == BLOCK_BATCHES_MAX, "they are known to be small"


def test_ordered_batches_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory only saves a look into the store."""
    monkeypatch.setattr("consensus.core.batchbook.ORDERED_BATCHES_REMEMBERED", 2)
    book = Bench().core._parts.dissemination.book
    ids = [batch_id(bytes([number])) for number in range(3)]
    for id_ in ids:
        book.on_ordered(id_)
    assert [book.is_ordered(id_) for id_ in ids] == [False, True, True]


def test_answers_that_come_after_the_order_change_nothing() -> None:
    """A batch may be ordered while it is examined, or sent again while it is stored."""
    bench = Bench()
    bench.auto = False
    batch = bench.batch(2, LARGE)
    bench.say(2, BatchMessage(batch))
    bench.core._parts.dissemination.on_ordered([batch_id(batch)])
    assert bench.give(BatchExamined(batch_id(batch), valid=True)) == []
    assert bench.give(BatchStored(batch_id(batch))) == []
    assert bench.say(2, BatchMessage(batch)) == [], "it is ordered"
    bench.submit(LARGE)
    own = bench.release()
    assert [type(e) for e in own].count(StoreBatch) == 1
    bench.now_ms += REBROADCAST_INTERVAL_MS
    again = bench.give(TimerFired(REBROADCAST_TIMER))
    assert batches_in(again)
    assert not [e for e in again if isinstance(e, StoreBatch)], "that is under way"


# --- over a crash -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 40_000])
def test_no_stored_event_is_lost_or_doubled_when_its_origin_crashes(size: int) -> None:
    """Whatever the origin had stored is ordered once, after it came back."""
    for crash_after_ms in (0, 1, 2, 3, 5, 8):
        world = Federation(4, seed=crash_after_ms)
        world.run(50)
        world.delivers = lambda sender, _receiver, _message: sender != 0
        entries = [b"%d|".ljust(size, b".") % n for n in range(3)]
        for number, entry in enumerate(entries):
            world.submit(0, [entry], number)
            world.run(crash_after_ms)
        world.crash(0)
        stored = {e for b in world.nodes[0].disk.batches.values() for e in decode_batch(b).entries}
        world.run(500)
        world.delivers = lambda _sender, _receiver, _message: True
        world.start(0)
        world.run(6_000)
        assert len({tuple(log) for log in world.logs()}) == 1
        assert stored <= set(world.logs()[0])
        assert len(world.logs()[0]) == len(set(world.logs()[0]))


def test_a_restored_batch_of_a_peer_keeps_no_bytes_in_memory() -> None:
    """Large batches that the store holds do not fill the memory after a restart."""
    bench = Bench()
    batch = bench.batch(2, LARGE)
    bench.say(2, BatchMessage(batch))
    for node in (bench, bench.restart()):
        held = node.core._parts.dissemination.book.held[batch_id(batch)]
        assert (held.encoded, held.state, held.size) == (None, "stored", len(batch))
    again = bench.restart()
    again.give(PeerUp(NodeIndex(2)))
    assert [type(m) for m in sent_to(again.say(2, BatchMessage(batch)), 2)] == [AckMessage]


def test_a_batch_that_only_its_origin_lost_is_ordered_all_the_same() -> None:
    """Peers that stored it remind its origin after the crash, and no quota is used up for ever."""
    world = Federation(4, seed=1)
    world.run(50)
    world.submit(0, [LARGE])
    vars(world.nodes[0].disk)["sync_batch"] = lambda _id: None
    world.run(20, lambda: all(len(n.disk.batches) == 1 for n in world.nodes))
    world.delivers = lambda _sender, receiver, _message: receiver != 0
    world.run(5)
    world.crash(0)
    del vars(world.nodes[0].disk)["sync_batch"]
    assert not world.nodes[0].disk.batches
    world.delivers = lambda _sender, _receiver, _message: True
    world.start(0)
    world.run(4_000)
    assert world.logs() == [[LARGE]] * 4
    books = [n.core._parts.dissemination.book for n in world.nodes if n.core is not None]
    assert not any(book.held or book.certified for book in books)
