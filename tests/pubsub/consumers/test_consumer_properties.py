"""The state of a consumer against a naive model, step by step, restarts included."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.core.ids import Sequence
from pubsub.core.consumer import state as state_module
from pubsub.core.consumer.config import AckPolicy, ConsumerConfig
from pubsub.core.consumer.record import (
    decode_config,
    decode_letter,
    decode_state,
    encode_config,
    encode_letter,
    encode_state,
)
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.consumer.state import ConsumerState
from pubsub.core.problems import Refusal
from tests.pubsub.consumers.naive_consumer import LETTERS_MAX, Naive, Row

START = 1_000


def give(state: ConsumerState, now: int, limit: int, log_size: int) -> list[tuple[int, int]]:
    """Take what there is, as the engine does, from a log of which every event matches."""
    state.expire(now)
    if state.is_paused(now):
        return []
    again = state.due(now, limit)
    replays = sum(number in state.replaying for number in again)
    count = min(limit - len(again), state.room - replays, log_size - state.position)
    if state.config.is_ordered and len(again) < len(state.pending) + len(state.replaying):
        count = 0
    new = [Sequence(state.position + number) for number in range(max(0, count))]
    return list(state.give(again, new, Sequence(state.position + len(new)), now))


class ConsumerMachine(RuleBasedStateMachine):
    """Does the same to both."""

    @initialize(
        ordered=st.booleans(),
        in_flight=st.integers(1, 6),
        most=st.none() | st.integers(1, 3),
        backoff=st.lists(st.integers(100, 300), min_size=1, max_size=3),
        cumulative=st.booleans(),
    )
    def begin(
        self,
        *,
        ordered: bool,
        in_flight: int,
        most: int | None,
        backoff: list[int],
        cumulative: bool,
    ) -> None:
        """Make a consumer."""
        self.now = START
        self.given: dict[int, int] = {}
        config = ConsumerConfig(
            name="c",
            ack_policy=AckPolicy.CUMULATIVE if cumulative else AckPolicy.EXPLICIT,
            ack_wait_ms=200,
            max_in_flight=in_flight,
            max_deliveries=most,
            backoff_ms=tuple(backoff),
            is_ordered=ordered,
        )
        self.real = ConsumerState(config, START, Sequence(0))
        self.naive = Naive(ordered, in_flight, most, tuple(backoff), 200)
        self.naive.rows = [Row() for _ in range(12)]

    @rule(limit=st.integers(1, 8), step=st.integers(0, 250), count=st.integers(0, 3))
    def fetch(self, limit: int, step: int, count: int) -> None:
        """Time goes on, the log grows; both give the same, as often as was seen."""
        self.now += step
        self.naive.rows += [Row() for _ in range(count)]
        found = give(self.real, self.now, limit, len(self.naive.rows))
        assert found == self.naive.give(self.now, limit)
        for number, deliveries in found:
            self.given[number] = self.given.get(number, 0) + 1
            assert deliveries == self.given[number]
        if self.real.config.is_ordered and found:
            first = found[0][0]
            assert [number for number, _ in found] == sorted(number for number, _ in found)
            assert not [n for n in self.naive.pending() if n < first]

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Some events, given out or not, are settled in every way."""
        known = self.naive.pending() or range(len(self.naive.rows))
        any_number = st.integers(0, len(self.naive.rows) - 1)
        choice = st.sampled_from(known) | st.sampled_from(known) | any_number
        numbers = data.draw(st.lists(choice, unique=True, max_size=6))
        ways = [data.draw(st.sampled_from(["ack", "nak", "progress", "term"])) for _ in numbers]
        delay = data.draw(st.none() | st.integers(0, 300))
        by_way = {
            way: tuple(n for n, found in zip(numbers, ways, strict=True) if found == way)
            for way in ("ack", "nak", "progress", "term")
        }
        is_cumulative = self.real.config.ack_policy is AckPolicy.CUMULATIVE
        settlement = Settlement(
            ack=() if is_cumulative else by_way["ack"],
            ack_through=max(by_way["ack"], default=None) if is_cumulative else None,
            nak=tuple(Nak(n, delay) for n in by_way["nak"]),
            in_progress=by_way["progress"],
            terminate=tuple(Termination(n, "no") for n in by_way["term"]),
        )
        named = [*by_way["nak"], *by_way["progress"], *by_way["term"]]
        through = -1 if settlement.ack_through is None else settlement.ack_through
        if any(n <= through for n in named) or (
            len(self.naive.letters()) + len(by_way["term"]) > LETTERS_MAX
        ):
            with pytest.raises(Refusal):
                self.real.settle(settlement, self.now)
            return
        settled = self.real.settle(settlement, self.now)
        unknown = self._settle_naively(settlement, delay)
        assert sorted(settled.unknown) == sorted(unknown)

    def _settle_naively(  # noqa: PLR0912 - one branch for each way
        self, settlement: Settlement, delay: int | None
    ) -> list[int]:
        rows, unknown = self.naive.rows, []
        head = min(self.naive.pending(), default=None)
        through = -1 if settlement.ack_through is None else settlement.ack_through
        for n in (*settlement.ack, *[n for n in self.naive.pending() if n <= through]):
            if rows[n].status in ("out", "waiting"):
                rows[n].status = "acked"
            else:
                unknown.append(n)
        for n in settlement.in_progress:
            if rows[n].status == "out":
                rows[n].due = self.now + 200
            else:
                unknown.append(n)
        for term in settlement.terminate:
            if rows[term.sequence].status in ("out", "waiting"):
                rows[term.sequence].status = "dead"
            else:
                unknown.append(term.sequence)
        for nak in settlement.nak:
            if rows[nak.sequence].status == "out":
                self.naive.fail(nak.sequence, self.now, delay)
            else:
                unknown.append(nak.sequence)
        new_head = min(self.naive.pending(), default=None)
        if self.naive.ordered and new_head is not None and new_head != head:
            row = rows[new_head]
            row.due = self.now + 200 if row.status == "out" else row.due
        return unknown

    @rule(
        limit=st.integers(1, 8),
        count=st.integers(1, 3),
        way=st.sampled_from(["ack", "term", "nak", "nak"]),
    )
    def handle(self, limit: int, count: int, way: str) -> None:
        """The first of what is pending is handled in one way, as most subscribers do."""
        self.fetch(limit, 150, 0)
        numbers = tuple(self.naive.pending()[:count])
        if not numbers:
            return
        if way == "term":
            numbers = numbers[: LETTERS_MAX - len(self.naive.letters())]
            settlement = Settlement(terminate=tuple(Termination(n) for n in numbers))
        elif way == "nak":
            settlement = Settlement(nak=tuple(Nak(n, 0) for n in numbers))
        elif self.real.config.ack_policy is AckPolicy.CUMULATIVE:
            settlement = Settlement(ack_through=numbers[-1])
        else:
            settlement = Settlement(ack=numbers)
        settled = self.real.settle(settlement, self.now)
        assert sorted(settled.unknown) == sorted(self._settle_naively(settlement, 0))

    @precondition(lambda self: self.naive.letters())
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Some dead letters, or all, are to come again."""
        chosen = data.draw(st.none() | st.lists(st.sampled_from(self.naive.letters())))
        wanted = set(self.naive.letters() if chosen is None else chosen)
        news = [n for n in wanted if not self.naive.rows[n].replaying]
        assert self.real.replay(chosen) == len(news)
        for n in wanted:
            self.naive.rows[n].replaying = True

    @precondition(lambda self: self.naive.letters())
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """A dead letter is forgotten."""
        number = data.draw(st.sampled_from(self.naive.letters()))
        assert self.real.delete_letter(Sequence(number)) is not None
        self.naive.rows[number].status = "gone"
        self.naive.rows[number].replaying = False

    @rule(length=st.integers(1, 150))
    def pause(self, length: int) -> None:
        """Nothing is given out for a while."""
        self.real.paused_until_ms = self.naive.paused_until = self.now + length

    @rule(in_flight=st.integers(1, 6))
    def change(self, in_flight: int) -> None:
        """More or less may be in flight."""
        self.real.config = msgspec.structs.replace(self.real.config, max_in_flight=in_flight)
        self.naive.max_in_flight = in_flight

    @rule()
    def restart(self) -> None:
        """What is stored is all that counts."""
        self.real = restarted(self.real)

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every event that was looked at is settled, pending or a dead letter, in both alike."""
        if not hasattr(self, "real"):
            return
        pending = self.naive.pending()
        assert sorted(self.real.pending.rows) == pending
        assert sorted(self.real.letters) == self.naive.letters()
        assert self.real.position == sum(row.status != "new" for row in self.naive.rows)
        out = [n for n in pending if self.naive.rows[n].status == "out"]
        assert self.real.pending.out_count == len(out)

    @invariant()
    def bounded(self) -> None:
        """Neither the timetable's heap nor the dead letters grow without bound."""
        if hasattr(self, "real"):
            pending = self.real.pending
            assert len(pending._heap) <= 2 * len(pending.rows) + 65
            assert len(self.real.letters) <= LETTERS_MAX
            assert pending.ready <= set(pending.rows)

    def teardown(self) -> None:
        """In the end everything was acknowledged, or is a dead letter."""
        if not hasattr(self, "real"):
            return
        state, size = self.real, len(self.naive.rows)
        state.paused_until_ms = None
        done = {n for n, row in enumerate(self.naive.rows) if row.status in ("acked", "gone")}
        for _ in range(3 * size + 10):
            self.now += 1_000
            for number, _ in give(state, self.now, 1, size):
                done.add(number)
                policy = state.config.ack_policy
                if policy is AckPolicy.EXPLICIT:
                    state.settle(Settlement(ack=(number,)), self.now)
                else:
                    state.settle(Settlement(ack_through=number), self.now)
        assert not state.pending.rows
        assert state.position == size
        assert done | set(state.letters) == set(range(size))


def restarted(state: ConsumerState) -> ConsumerState:
    """Give what is read back of a state that was stored."""
    letters = [
        decode_letter(number, encode_letter(letter)) for number, letter in state.letters.items()
    ]
    config, owner = decode_config(encode_config(state.config, "owner"))
    assert owner == "owner"
    return decode_state(config, encode_state(state), letters)


def test_state_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any sequence of steps leaves both alike, and in the end nothing is missing."""
    monkeypatch.setattr(state_module, "CONSUMER_DEAD_LETTERS_MAX", LETTERS_MAX)
    run_state_machine_as_test(
        ConsumerMachine, settings=settings(max_examples=150, stateful_step_count=50, deadline=None)
    )
