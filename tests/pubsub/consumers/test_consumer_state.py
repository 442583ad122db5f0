"""Single rules of the state of a consumer that the machine of steps hardly comes by."""

import pytest

from ledger.core.ids import Sequence
from pubsub.core.consumer import state as state_module
from pubsub.core.consumer.config import AckPolicy, ConsumerConfig
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.consumer.state import ConsumerState
from pubsub.core.problems import Refusal


def given(policy: AckPolicy = AckPolicy.EXPLICIT, count: int = 5) -> ConsumerState:
    """Give a consumer that has given out so many events at the time 0."""
    config = ConsumerConfig(name="c", ack_policy=policy, ack_wait_ms=1_000)
    state = ConsumerState(config, 0, Sequence(0))
    state.give([], map(Sequence, range(count)), Sequence(count), 0)
    return state


def test_progress_told_for_ever() -> None:
    """An event that is long in progress neither fails nor makes the timetable grow."""
    state = given()
    for now in range(0, 500_000, 500):
        state.settle(Settlement(in_progress=(0, 1, 2, 3, 4)), now)
        state.expire(now)
        assert len(state.pending._heap) <= 2 * 5 + 65
    assert state.pending.out_count == 5
    assert state.next_due_ms() == 499_500 + 1_000
    state.expire(500_500)
    assert (state.pending.out_count, state.totals.failed) == (0, 5)


def test_timetable_made_anew_keeps_what_is_ready() -> None:
    """Events that may be given out again are not forgotten when the timetable is made anew."""
    state = given()
    state.settle(Settlement(nak=(Nak(3, 0),)), 0)
    state.expire(0)
    for now in range(200):
        state.settle(Settlement(in_progress=(0, 1)), now)
    assert state.due(200, 10) == [3]


@pytest.mark.parametrize(
    ("policy", "settlement"),
    [
        (AckPolicy.EXPLICIT, Settlement(ack=(1, 1))),
        (AckPolicy.EXPLICIT, Settlement(ack=(1,), nak=(Nak(1),))),
        (AckPolicy.EXPLICIT, Settlement(terminate=(Termination(1),), in_progress=(1,))),
        (AckPolicy.EXPLICIT, Settlement(ack_through=3)),
        (AckPolicy.CUMULATIVE, Settlement(ack=(1,))),
        (AckPolicy.CUMULATIVE, Settlement(ack_through=3, nak=(Nak(3),))),
        (AckPolicy.NONE, Settlement(ack=(1,))),
        (AckPolicy.NONE, Settlement()),
    ],
)
def test_refused_settlements(policy: AckPolicy, settlement: Settlement) -> None:
    """A settlement that contradicts itself or the policy changes nothing."""
    state = given(policy)
    before = dict(state.pending.rows)
    with pytest.raises(Refusal, match="settlement_refused"):
        state.settle(settlement, 0)
    assert state.pending.rows == before


@pytest.mark.parametrize(("limit", "is_refused"), [(4, True), (5, False), (6, False)])
def test_size_of_a_settlement(
    monkeypatch: pytest.MonkeyPatch, limit: int, *, is_refused: bool
) -> None:
    """A settlement names so many events and no more."""
    monkeypatch.setattr(state_module, "CONSUMER_SETTLED_MAX", limit)
    state = given()
    if is_refused:
        with pytest.raises(Refusal, match="settlement_refused"):
            state.settle(Settlement(ack=(0, 1, 2, 3, 4)), 0)
    else:
        assert state.settle(Settlement(ack=(0, 1, 2, 3, 4)), 0).settled_count == 5


@pytest.mark.parametrize(("limit", "is_refused"), [(1, True), (2, False), (3, False)])
def test_room_for_dead_letters(
    monkeypatch: pytest.MonkeyPatch, limit: int, *, is_refused: bool
) -> None:
    """Nothing is terminated when there is no room, and nothing else of the settlement counts."""
    monkeypatch.setattr(state_module, "CONSUMER_DEAD_LETTERS_MAX", limit)
    state = given()
    settlement = Settlement(ack=(0,), terminate=(Termination(1), Termination(2)))
    if is_refused:
        with pytest.raises(Refusal, match="too_many_dead_letters"):
            state.settle(settlement, 0)
        assert len(state.pending) == 5
    else:
        state.settle(settlement, 0)
        assert sorted(state.letters) == [1, 2]


def test_passed_over() -> None:
    """What may not be read any more is forgotten, be it pending or about to be replayed."""
    state = given()
    state.settle(Settlement(terminate=(Termination(0),)), 0)
    state.replay([0])
    state.pass_over([Sequence(0), Sequence(1)])
    assert sorted(state.pending.rows) == [2, 3, 4]
    assert state.letters == {}
    assert state.changed_letters == {0}
