"""Cosigning: honest validators sign the same checkpoints, and a liar changes nothing."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.cosigning import (
    CheckpointSchedule,
    Cosigning,
    Due,
    LedgerPoint,
    Outcome,
)
from consensus.core.cosigning_messages import (
    COSIGNING,
    CheckpointMessage,
    CosignatureMessage,
    decode_peer_message,
    encode_cosigning,
)
from consensus.core.messages import Lane, Message, SyncInfo, encode_message
from ledger.core.certificate import genesis_certificate
from ledger.core.epoch import EpochStart
from ledger.core.errors import DecodeError, Offence
from ledger.core.ids import Epoch, Height, NodeIndex
from ledger.core.limits import (
    CHECKPOINT_REFRESH_S,
    CHECKPOINTS_BURST_MAX,
    CHECKPOINTS_PENDING_MAX,
)
from ledger.core.tlog.checkpoint import Checkpoint, StoredCheckpoint, sign_checkpoint
from ledger.core.tlog.note import parse_note
from ledger.core.tlog.policy import check_checkpoint, policy_of
from tests.support.memory_chain import make_genesis, signer_of

MINUTE_MS = CHECKPOINT_REFRESH_S * 1_000
START_MS = 30_000_000 * MINUTE_MS  # a whole minute
ROOT = b"r" * 32


def points(*rows: tuple[int, int]) -> list[LedgerPoint]:
    """Give ledgers from (ms since the start, log size); the root says the size."""
    return [
        LedgerPoint(Height(height), START_MS + ms, size, size.to_bytes(32, "big"))
        for height, (ms, size) in enumerate(rows)
    ]


def followed(ledgers: Sequence[LedgerPoint], *, begins_epoch: bool = True) -> list[tuple[int, int]]:
    """Give (seconds since the start, log size) of what is signed."""
    schedule = CheckpointSchedule(ledgers[0], begins_epoch=begins_epoch)
    found = [schedule.follow(point) for point in ledgers[1:]]
    return [(due.time_s - START_MS // 1_000, due.log_size) for due in found if due is not None]


# --- which checkpoints ----------------------------------------------------------------------


def test_a_new_epoch_signs_when_its_first_second_is_over() -> None:
    """Also a log that has not grown is signed once, so that new validators show themselves."""
    assert followed(points((200, 7), (900, 7), (1_100, 7), (2_100, 7))) == [(1, 7)]


def test_what_grew_is_signed_when_the_second_is_over() -> None:
    """The last ledger before a second begins is signed as of that second, if the log grew."""
    rows = [(0, 0), (1_000, 1), (1_500, 3), (1_999, 4), (2_000, 5), (4_100, 5), (9_000, 5)]
    assert followed(points(*rows)) == [(1, 0), (2, 4), (4, 5)]


def test_a_lone_event_is_signed_when_a_block_adds_nothing() -> None:
    """The empty block that makes an event final gives its checkpoint: none may follow for long."""
    assert followed(points((0, 0), (1_100, 0), (1_200, 1), (1_230, 1), (1_260, 1))) == [
        (1, 0),
        (1, 1),
    ]


def test_credit_bounds_how_often_it_is_signed() -> None:
    """Whatever the traffic, there is one a second in the long run, and a burst at first."""
    rows = [(0, 0), (1_000, 0)]
    for number in range(1, 400):  # an event and an empty block after it, ten times a second
        rows += [(1_000 + 100 * number, number), (1_030 + 100 * number, number)]
    signed = followed(points(*rows))
    assert len(signed) <= 1 + 41 + CHECKPOINTS_BURST_MAX
    assert len(signed) >= 40
    assert len(set(signed)) == len(signed)
    assert sorted(signed) == signed


def test_a_minute_begins_with_all_credit() -> None:
    """What was used up before a minute began does not matter in it, so that restarts agree."""
    rows = [(1_000, 0)]
    for number in range(1, CHECKPOINTS_BURST_MAX + 3):
        rows += [(59_990, number), (59_990, number)]
    size = rows[-1][1]
    rows += [(60_000, size)]
    for number in range(size + 1, size + CHECKPOINTS_BURST_MAX + 3):
        rows += [(60_001, number), (60_001, number)]
    signed = followed(points(*rows))
    assert len(signed) == 2 * CHECKPOINTS_BURST_MAX + 1


@pytest.mark.parametrize("quiet_ms", [1_000, 50_000])
def test_credit_at_its_bound(quiet_ms: int) -> None:
    """So many lone events at once are each signed, and no more, however long it was quiet."""
    rows = [(0, 0), (1_000, 0), (quiet_ms + 1_000, 0)]
    for number in range(1, CHECKPOINTS_BURST_MAX + 3):
        rows += [(quiet_ms + 1_000, number), (quiet_ms + 1_000, number)]
    signed = [size for _, size in followed(points(*rows)) if size]
    assert signed == list(range(1, CHECKPOINTS_BURST_MAX + 1))


def test_a_quiet_log_is_signed_anew_each_minute() -> None:
    """Whoever reads the checkpoint sees that nothing was kept from it for longer."""
    rows = [(0, 7)] + [(2_000 * number, 7) for number in range(1, 91)]
    assert followed(points(*rows)) == [(2, 7), (60, 7), (120, 7), (180, 7)]


STEPS_MS = st.integers(0, 60) | st.integers(0, 60) | st.integers(0, 1_500) | st.integers(0, 40_000)
LEDGERS = st.lists(st.tuples(STEPS_MS, st.integers(0, 1)), min_size=1, max_size=120)


@given(LEDGERS, st.data())
def test_who_begins_at_a_minute_agrees(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """A node that starts anew signs what the others sign, from the first minute on."""
    rows, ms, size = [(0, 0)], 0, 0
    for step_ms, grown in steps:
        ms, size = ms + step_ms, size + grown
        rows.append((ms, size))
    ledgers = points(*rows)
    everything = followed(ledgers)
    begin = data.draw(st.integers(0, len(rows) - 1))
    mine = followed(ledgers[begin:], begins_epoch=False)
    minute = next(
        (
            after.time_ms // 1_000 - START_MS // 1_000
            for before, after in zip(ledgers[begin:], ledgers[begin + 1 :], strict=False)
            if after.time_ms // MINUTE_MS > before.time_ms // MINUTE_MS
        ),
        None,
    )
    if minute is None:
        assert mine == []
    else:
        assert mine == [row for row in everything if row >= mine[0]]
        assert mine[0][0] == minute


@given(LEDGERS)
def test_everything_is_covered(steps: list[tuple[int, int]]) -> None:
    """Once a block of a later second follows, everything before it is under a checkpoint."""
    rows, ms, size = [(0, 0)], 0, 0
    for step_ms, grown in steps:
        ms, size = ms + step_ms, size + grown
        rows.append((ms, size))
    signed = followed(points(*rows, (ms + 1_000, size)))
    assert signed
    assert signed[-1][1] == size


# --- how a quorum comes together ------------------------------------------------------------


class World:
    """The cosigning of n validators, at each of which the same ledgers are due."""

    def __init__(
        self, count: int = 4, epoch: int = 0, kept: StoredCheckpoint | None = None
    ) -> None:
        self.genesis = make_genesis(count)
        start = EpochStart.of_genesis(self.genesis)
        self.start = msgspec.structs.replace(start, number=Epoch(epoch))
        self.nodes = [self.node(number, kept) for number in range(count)]
        self.policy = policy_of(self.genesis.chain_id, self.genesis.validator_set())

    def node(self, number: int, kept: StoredCheckpoint | None = None) -> Cosigning:
        """Give the cosigning of a validator, or with another number of an observer."""
        return Cosigning(self.genesis.chain_id, self.start, signer_of(number), kept)

    def said(self, number: int, due: Due, *, by: int | None = None) -> CosignatureMessage:
        """Give what a validator says of a ledger, perhaps with another's key."""
        checkpoint = Checkpoint(self.genesis.chain_id, due.log_size, due.log_root)
        signed = sign_checkpoint(signer_of(number if by is None else by), checkpoint, due.time_s)
        return CosignatureMessage(self.start.number, *due, *signed)

    def require_kept(self, outcome: Outcome, due: Due) -> StoredCheckpoint:
        """Check that an outcome stores a checkpoint that a quorum signed; give it."""
        kept = outcome.keep
        assert kept is not None
        shown = check_checkpoint(kept.note, self.policy)
        assert (shown.checkpoint.size, shown.checkpoint.root) == due[1:]
        assert len(shown.times_s) == self.genesis.validator_set().quorum
        assert set(shown.times_s.values()) == {due.time_s}
        assert len(parse_note(kept.note).signatures) == 1 + len(shown.times_s)
        assert (kept.time_s, kept.log_size, kept.epoch) == (*due.place, self.start.number)
        return kept


DUE = Due(1_000, 5, ROOT)
LATER = Due(1_001, 6, b"s" * 32)


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_quorum_completes_a_checkpoint(count: int) -> None:
    """Each node stores the checkpoint with the signature that makes a quorum, and not before."""
    world = World(count)
    said = [node.on_due(DUE) for node in world.nodes]
    quorum = world.genesis.validator_set().quorum
    for index, node in enumerate(world.nodes):
        outcome, known = said[index], 1
        for peer, other in enumerate(said):
            if peer != index and outcome.keep is None:
                assert known < quorum
                assert other.say is not None
                outcome, known = node.on_message(NodeIndex(peer), other.say), known + 1
                assert outcome.fault is None
        assert known == quorum
        world.require_kept(outcome, DUE)
        assert outcome.pass_on is not None


def test_what_is_done_is_done() -> None:
    """Further signatures of a complete checkpoint, or of an older one, change nothing."""
    world = World()
    node = world.nodes[0]
    node.on_due(DUE)
    outcomes = [node.on_message(NodeIndex(peer), world.said(peer, DUE)) for peer in (1, 2, 3)]
    assert [outcome.keep is not None for outcome in outcomes] == [False, True, False]
    assert node.on_message(NodeIndex(3), world.said(3, Due(999, 5, ROOT))) == Outcome()


def test_what_comes_too_early_is_held() -> None:
    """Signatures of a ledger that this node has not reached count when it does."""
    world = World()
    node = world.nodes[0]
    for peer in (1, 2):
        assert node.on_message(NodeIndex(peer), world.said(peer, DUE)) == Outcome()
    world.require_kept(node.on_due(DUE), DUE)


def test_only_the_newest_of_a_peer_is_held() -> None:
    """A flood of ledgers to come takes the place of one, and of the sender's own alone."""
    world = World()
    node = world.nodes[0]
    node.on_message(NodeIndex(1), world.said(1, DUE))
    node.on_message(NodeIndex(2), world.said(2, DUE))
    for second in range(2_000, 2_500):
        node.on_message(NodeIndex(3), world.said(3, Due(second, 9, ROOT)))
    assert len(node._ahead) == 3
    world.require_kept(node.on_due(DUE), DUE)
    assert len(node._ahead) == 1


def test_an_older_one_does_not_take_the_place_of_a_newer() -> None:
    """What a peer says again of an older ledger changes nothing of what is held."""
    world = World()
    node = world.nodes[0]
    for peer in (1, 2):
        node.on_message(NodeIndex(peer), world.said(peer, LATER))
        node.on_message(NodeIndex(peer), world.said(peer, DUE))
    assert node.on_due(DUE).keep is None
    world.require_kept(node.on_due(LATER), LATER)


def test_one_signature_of_each_is_looked_at() -> None:
    """What a validator says once more of a ledger costs no verification."""
    world = World()
    node = world.nodes[0]
    node.on_due(DUE)
    assert node.on_message(NodeIndex(1), world.said(1, DUE)) == Outcome()
    assert node.on_message(NodeIndex(1), world.said(1, DUE, by=2)) == Outcome()


def test_what_was_passed_by_is_forgotten() -> None:
    """What was held of a ledger that is not signed here is dropped, and counts for no other."""
    world = World()
    node = world.nodes[0]
    for peer in (1, 2, 3):
        node.on_message(NodeIndex(peer), world.said(peer, DUE))
    assert node.on_due(LATER).keep is None
    assert not node._ahead


def test_ledgers_to_sign_are_bounded() -> None:
    """Of checkpoints that never become complete the newest few are kept."""
    world = World()
    node = world.nodes[0]
    for second in range(3 * CHECKPOINTS_PENDING_MAX):
        node.on_due(Due(1_000 + second, 5 + second, ROOT))
    assert len(node._pending) == CHECKPOINTS_PENDING_MAX
    newest = Due(1_000 + 3 * CHECKPOINTS_PENDING_MAX - 1, 5 + 3 * CHECKPOINTS_PENDING_MAX - 1, ROOT)
    node.on_message(NodeIndex(1), world.said(1, newest))
    world.require_kept(node.on_message(NodeIndex(2), world.said(2, newest)), newest)
    assert not node._pending


def test_a_wrong_signature_is_a_fault() -> None:
    """Who sends a signature that is not its own is at fault, and counts for nothing."""
    world = World()
    node = world.nodes[0]
    node.on_due(DUE)
    good = world.said(1, DUE)
    wrong = [
        world.said(1, DUE, by=2),
        msgspec.structs.replace(good, as_log=bytes(64)),
        msgspec.structs.replace(good, as_cosigner=bytes(64)),
        msgspec.structs.replace(good, as_log=good.as_cosigner),
    ]
    for message in wrong:
        outcome = node.on_message(NodeIndex(1), message)
        assert outcome.fault is not None
        assert outcome.fault.offence is Offence.BAD_CHECKPOINT
    assert node.on_message(NodeIndex(2), world.said(2, DUE)).keep is None
    world.require_kept(node.on_message(NodeIndex(1), good), DUE)


def test_a_signature_of_another_ledger_is_a_lie() -> None:
    """It is told apart, needs no verification, and changes nothing."""
    world = World()
    node = world.nodes[0]
    node.on_due(DUE)
    lie = world.said(1, DUE._replace(log_root=b"x" * 32))
    assert node.on_message(NodeIndex(1), lie) == Outcome(is_lie=True)
    node.on_message(NodeIndex(2), world.said(2, DUE))
    world.require_kept(node.on_message(NodeIndex(3), world.said(3, DUE)), DUE)


def test_a_lie_that_came_early_is_dropped() -> None:
    """What was held and is of another ledger counts for nothing."""
    world = World()
    node = world.nodes[0]
    for peer in (1, 2, 3):
        lie = world.said(peer, DUE._replace(log_root=b"x" * 32))
        assert node.on_message(NodeIndex(peer), lie) == Outcome()
    assert node.on_due(DUE).keep is None


def test_another_epoch_says_nothing() -> None:
    """Signatures of validators of other epochs are not looked at."""
    world, before = World(epoch=1), World(epoch=0)
    node = world.nodes[0]
    node.on_due(DUE)
    for peer in (1, 2, 3):
        assert node.on_message(NodeIndex(peer), before.said(peer, DUE)) == Outcome()


def test_who_is_no_validator_signs_for_nobody() -> None:
    """A guest's cosignature is not looked at."""
    world = World()
    node = world.nodes[0]
    node.on_due(DUE)
    assert node.on_message(NodeIndex(101), world.said(1, DUE)) == Outcome()
    assert not node._ahead


def completed(world: World, node: Cosigning) -> CheckpointMessage:
    """Complete a checkpoint at a node; give what it tells others."""
    node.on_due(DUE)
    node.on_message(NodeIndex(1), world.said(1, DUE))
    outcome = node.on_message(NodeIndex(2), world.said(2, DUE))
    assert outcome.pass_on is not None
    return outcome.pass_on


def test_a_late_node_is_told() -> None:
    """A peer that connects gets the complete checkpoint, which is enough for it by itself."""
    world = World()
    completed(world, world.nodes[0])
    (told,) = world.nodes[0].on_peer_up().answer
    assert isinstance(told, CheckpointMessage)
    late = world.nodes[3]
    assert late.on_message(NodeIndex(0), told) == Outcome()
    world.require_kept(late.on_due(DUE), DUE)
    observer = world.node(50)
    assert observer.index is None
    assert observer.on_due(DUE) == Outcome()
    world.require_kept(observer.on_message(NodeIndex(0), told), DUE)


def test_a_late_node_is_told_what_is_not_complete() -> None:
    """A peer that connects gets this node's own signature of the newest ledger."""
    world = World()
    node = world.nodes[0]
    assert node.on_peer_up().answer == ()
    own = node.on_due(DUE).say
    assert node.on_peer_up().answer == (own,)
    assert world.node(50).on_peer_up().answer == ()


def test_a_node_that_starts_again_signs_the_same_again() -> None:
    """What is stored is not stored twice, and whoever lacks it gets this node's signature."""
    world = World()
    completed(world, world.nodes[0])
    kept = StoredCheckpoint(Epoch(0), DUE.time_s, DUE.log_size, b"note")
    again = world.node(0, kept)
    own = again.on_due(DUE)
    assert own == Outcome(say=world.said(0, DUE))
    assert again.on_message(NodeIndex(1), world.said(1, DUE, by=2)) == Outcome()  # not looked at
    assert again.on_message(NodeIndex(1), world.said(1, DUE)) == Outcome()
    assert again.on_peer_up().answer == (own.say,)
    other_epoch = World(epoch=1, kept=kept).nodes[0]
    assert other_epoch._done < DUE.place


def test_a_false_checkpoint_is_a_fault_of_who_passed_it_on() -> None:
    """Wrong rows in a checkpoint that is passed on are refused, and right ones in it count."""
    world = World()
    told = completed(world, world.nodes[0])
    late = world.nodes[3]
    late.on_due(DUE)
    (index, as_log, _), *rest = told.rows
    for rows in (
        ((index, as_log, bytes(64)), *rest),
        ((NodeIndex(4), as_log, bytes(64)),),
    ):
        false = msgspec.structs.replace(told, rows=tuple(rows))
        outcome = late.on_message(NodeIndex(0), false)
        assert outcome.fault is not None
        assert outcome.keep is None
    world.require_kept(late.on_message(NodeIndex(0), told), DUE)


# --- messages -------------------------------------------------------------------------------


def test_messages_have_tags_of_their_own() -> None:
    """One decoder reads the messages of consensus and those of cosigning, on the bulk lane."""
    world = World()
    own = world.said(0, DUE)
    told = completed(world, world.nodes[0])
    for message in (own, told):
        assert decode_peer_message(encode_cosigning(message)) == message
        assert isinstance(message, COSIGNING)
        assert message.lane is Lane.BULK
    other: Message = SyncInfo(genesis_certificate(world.genesis.block_id), None)
    assert decode_peer_message(encode_message(other)) == other
    assert not isinstance(other, COSIGNING)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes(data: bytes, place: int) -> None:
    """Any bytes are a message that has this one form, or a DecodeError."""
    good = encode_cosigning(World(1).said(0, DUE))
    for content in (data, good[:place] + data, good[:place] + data + good[place:]):
        try:
            message = decode_peer_message(content)
        except DecodeError:
            continue
        if isinstance(message, COSIGNING):
            assert encode_cosigning(message) == content
