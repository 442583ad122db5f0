"""The state of one durable consumer: what it was given, what is settled, what comes next.

Owns every rule of delivery. Time is an argument; nothing is read or written here. Invariants:

- Every sequence below ``position`` was looked at; of those that match, each is settled, is in
  ``pending``, or is a dead letter. So nothing is lost, whatever is stored and read back.
- ``pending`` holds at most ``max_in_flight`` events, ``letters`` at most
  CONSUMER_DEAD_LETTERS_MAX: when these are all there, none dies and failures go on being repeated.
- What an ordered consumer gives out is in order; nothing follows while something is out, and what
  fails pulls everything behind it back.

An event has failed when its wait is over or a subscriber says so. Only failures count towards
``max_deliveries``; after each the event waits as long as the backoff says.
"""

from collections.abc import Container, Iterable

import msgspec

from ledger.core.ids import Sequence
from pubsub.core.consumer.config import AckPolicy, ConsumerConfig
from pubsub.core.consumer.pending import Pending, Timetable
from pubsub.core.consumer.settlement import DeadLetter, Settled, Settlement
from pubsub.core.limits import CONSUMER_DEAD_LETTERS_MAX, CONSUMER_SETTLED_MAX
from pubsub.core.problems import HttpCode, Refusal

__all__ = ["ConsumerState", "Totals"]


class Totals:
    """What happened so far, in events.

    Attributes:
        delivered: given out, again ones included. redelivered: the again ones alone.
        acknowledged: handled, says the subscriber. failed: timeouts and negative acknowledgements.
    """

    __slots__ = ("acknowledged", "delivered", "failed", "redelivered")

    def __init__(
        self, delivered: int = 0, redelivered: int = 0, acknowledged: int = 0, failed: int = 0
    ) -> None:
        self.delivered = delivered
        self.redelivered = redelivered
        self.acknowledged = acknowledged
        self.failed = failed


class ConsumerState:
    """One consumer.

    Attributes:
        config: may be replaced by one with the same start, policy and order.
        position: the next sequence that was not looked at.
        subjects_until: below it only the last event of each subject is wanted; 0 for none.
        pending: given out and not settled.
        letters: dead letters by sequence.
        changed_letters: sequences whose dead letter came, changed or went; whoever stores them
            takes them away.
        paused_until_ms: nothing is given out before; None when not paused.
        active_ms: when somebody used it last.
    """

    def __init__(self, config: ConsumerConfig, created_ms: int, position: Sequence) -> None:
        self.config = config
        self.created_ms = created_ms
        self.position = position
        self.subjects_until = 0
        self.pending = Timetable()
        self.letters: dict[Sequence, DeadLetter] = {}
        self.changed_letters: set[Sequence] = set()
        self.replaying: set[Sequence] = set()
        self.paused_until_ms: int | None = None
        self.active_ms = created_ms
        self.totals = Totals()

    # --- giving out -----------------------------------------------------------------------

    def is_paused(self, now_ms: int) -> bool:
        """Say whether nothing may be given out now."""
        return self.paused_until_ms is not None and now_ms < self.paused_until_ms

    @property
    def room(self) -> int:
        """How many events more may be pending."""
        if self.config.ack_policy is AckPolicy.NONE:
            return self.config.max_in_flight
        return max(0, self.config.max_in_flight - len(self.pending))

    def expire(self, now_ms: int) -> None:
        """Let every event fail whose wait is over at ``now_ms``, and a pause end."""
        if not self.is_paused(now_ms):
            self.paused_until_ms = None
        while (found := self.pending.pop_due(now_ms)) is not None:
            sequence, pending = found
            # In an ordered batch the wait of an event begins when it is the first one left.
            if not self.config.is_ordered or sequence == min(self.pending.rows):
                self._fail(sequence, pending.due_ms)

    def due(self, now_ms: int, limit: int) -> list[Sequence]:
        """Give up to ``limit`` events that are to be given out again now, ascending.

        Call :meth:`expire` first. An ordered consumer may give out new events behind them only
        when these are all that is pending.
        """
        if self.config.is_ordered:
            return self._due_in_order(now_ms, limit)
        if not self.pending.ready and not self.replaying:
            return []
        replays = sorted(self.replaying)[: self.room]
        return sorted([*self.pending.ready, *replays])[:limit]

    def give(
        self, again: Iterable[Sequence], new: Iterable[Sequence], position: Sequence, now_ms: int
    ) -> list[tuple[Sequence, int]]:
        """Note that events are given out; give (sequence, number of its deliveries) of each.

        Args:
            again: events that :meth:`due` gave; one that was settled since is left out.
            new: matching events from ``position`` on, ascending; at most ``room``.
            position: the next sequence that was not looked at, behind all of ``new``.
        """
        assert position >= self.position
        given: list[tuple[Sequence, int]] = []
        due_ms = now_ms + self.config.ack_wait_ms
        for sequence in again:
            pending = self._again(sequence, due_ms)
            if pending is not None:
                pending.deliveries += 1
                self.totals.redelivered += 1
                given.append((sequence, pending.deliveries))
        keeps = self.config.ack_policy is not AckPolicy.NONE
        for sequence in new:
            assert self.position <= sequence < position
            if keeps:
                self.pending.add(sequence, Pending(1, 0, due_ms, is_out=True))
            given.append((sequence, 1))
        self.position = position
        self.totals.delivered += len(given)
        assert len(given) == len({sequence for sequence, _ in given})
        return given

    def pass_over(self, sequences: Iterable[Sequence]) -> None:
        """Forget events that may not be given out any more, as if they had never matched."""
        for sequence in sequences:
            self.pending.remove(sequence)
            if sequence in self.replaying:
                self.delete_letter(sequence)

    def take_back(self, kept: Container[int], now_ms: int) -> int:
        """Let events that are out, but for ``kept``, be due at once; give how many.

        For a subscriber that is sure that nobody has them any more. They have not failed.
        """
        lost = [
            sequence
            for sequence, pending in self.pending.rows.items()
            if pending.is_out and sequence not in kept
        ]
        for sequence in lost:
            self.pending.move(sequence, now_ms, is_out=False)
        return len(lost)

    def failures(self, sequence: Sequence) -> int:
        """Say how many attempts with an event have failed; 0 for one that is not pending."""
        pending = self.pending.rows.get(sequence)
        return 0 if pending is None else pending.failures

    def next_due_ms(self) -> int | None:
        """Give when :meth:`expire` or :meth:`due` may have something; call them first."""
        return self.pending.next_due_ms()

    # --- settling -------------------------------------------------------------------------

    def settle(self, settlement: Settlement, now_ms: int) -> Settled:
        """Take what a subscriber says; all of it, or nothing when it is refused.

        Raises:
            Refusal: it does not fit the consumer's policy, names an event twice, or there is no
                room for dead letters.
        """
        self._require(settlement)
        unknown: list[int] = []
        acknowledged = [Sequence(number) for number in settlement.ack]
        if settlement.ack_through is not None:
            acknowledged = [
                number for number in self.pending.rows if number <= settlement.ack_through
            ]
        head = self._head()
        for sequence in acknowledged:
            if self.pending.remove(sequence) is None:
                unknown.append(sequence)
            else:
                self.totals.acknowledged += 1
        for number in settlement.in_progress:
            if self._is_out(number):
                self.pending.move(Sequence(number), now_ms + self.config.ack_wait_ms, is_out=True)
            else:
                unknown.append(number)
        for term in settlement.terminate:
            reason = f"terminated: {term.reason}" if term.reason else "terminated"
            if not self._bury(Sequence(term.sequence), reason, now_ms):
                unknown.append(term.sequence)
        for nak in settlement.nak:
            if self._is_out(nak.sequence):
                self._fail(Sequence(nak.sequence), now_ms, nak.delay_ms)
            else:
                unknown.append(nak.sequence)
        self._begin_wait(head, now_ms)
        named = len(acknowledged) + len(settlement.in_progress) + len(settlement.terminate)
        return Settled(named + len(settlement.nak) - len(unknown), tuple(unknown))

    # --- dead letters ---------------------------------------------------------------------

    def replay(self, sequences: Iterable[int] | None) -> int:
        """Let dead letters, or all, be given out again; give how many will be that were not."""
        wanted = list(self.letters) if sequences is None else map(Sequence, sequences)
        count = 0
        for sequence in wanted:
            letter = self.letters.get(sequence)
            if letter is not None and not letter.is_replaying:
                count += 1
                self.replaying.add(sequence)
                self._put_letter(msgspec.structs.replace(letter, is_replaying=True))
        return count

    def delete_letter(self, sequence: Sequence) -> DeadLetter | None:
        """Forget a dead letter; None when there is none."""
        letter = self.letters.pop(sequence, None)
        if letter is not None:
            self.replaying.discard(sequence)
            self.changed_letters.add(sequence)
        return letter

    # --- rules ----------------------------------------------------------------------------

    def _due_in_order(self, now_ms: int, limit: int) -> list[Sequence]:
        """Give what is pending from the first event on, up to one that must wait longer."""
        if self.pending.out_count:
            return []
        replays = sorted(self.replaying)[: self.room]  # the others must not block what is pending
        found: list[Sequence] = []
        for sequence in sorted([*self.pending.rows, *replays])[:limit]:
            pending = self.pending.rows.get(sequence)
            if pending is not None and pending.due_ms > now_ms:
                break
            found.append(sequence)
        return found

    def _again(self, sequence: Sequence, due_ms: int) -> Pending | None:
        """Put an event out once more; None when it was settled or is out."""
        if sequence in self.replaying:
            letter = self.delete_letter(sequence)
            assert letter is not None
            self.pending.add(sequence, Pending(letter.deliveries, 0, due_ms, is_out=True))
            return self.pending.rows[sequence]
        pending = self.pending.rows.get(sequence)
        if pending is None or pending.is_out:
            return None
        self.pending.move(sequence, due_ms, is_out=True)
        return pending

    def _require(self, settlement: Settlement) -> None:
        named = [
            *settlement.ack,
            *settlement.in_progress,
            *(nak.sequence for nak in settlement.nak),
            *(term.sequence for term in settlement.terminate),
        ]
        policy = self.config.ack_policy
        if len(named) > CONSUMER_SETTLED_MAX:
            raise _refused(f"a settlement names at most {CONSUMER_SETTLED_MAX} events")
        if len(set(named)) != len(named):
            raise _refused("an event is named twice")
        if policy is AckPolicy.NONE:
            raise _refused("this consumer's events are settled by being given out")
        if policy is AckPolicy.EXPLICIT and settlement.ack_through is not None:
            raise _refused("this consumer acknowledges each event by itself, with `ack`")
        if policy is AckPolicy.CUMULATIVE and settlement.ack:
            raise _refused("this consumer acknowledges with `ack_through`")
        through = -1 if settlement.ack_through is None else settlement.ack_through
        if any(number <= through for number in named):
            raise _refused("an event that `ack_through` acknowledges is named once more")
        if len(self.letters) + len(settlement.terminate) > CONSUMER_DEAD_LETTERS_MAX:
            raise Refusal(
                HttpCode.TOO_MANY_DEAD_LETTERS,
                f"replay or delete some of the {len(self.letters)} dead letters first",
            )

    def _is_out(self, number: int) -> bool:
        pending = self.pending.rows.get(Sequence(number))
        return pending is not None and pending.is_out

    def _fail(self, sequence: Sequence, failed_ms: int, delay_ms: int | None = None) -> None:
        """Count a failure of an event that is out: it waits, or is given up."""
        pending = self.pending.rows[sequence]
        pending.failures += 1
        self.totals.failed += 1
        most = self.config.max_deliveries
        if (
            most is None
            or pending.failures < most
            or not self._bury(sequence, "max_deliveries", failed_ms)
        ):
            steps = self.config.backoff_ms
            step_ms = steps[min(pending.failures, len(steps)) - 1]
            due_ms = failed_ms + (step_ms if delay_ms is None else delay_ms)
            self.pending.move(sequence, due_ms, is_out=False)
        if self.config.is_ordered:
            for number, other in list(self.pending.rows.items()):
                if number > sequence and other.is_out:
                    self.pending.move(number, failed_ms, is_out=False)

    def _bury(self, sequence: Sequence, reason: str, time_ms: int) -> bool:
        """Make a dead letter of a pending event; False when it is not there, or no room is."""
        if len(self.letters) >= CONSUMER_DEAD_LETTERS_MAX:
            return False
        pending = self.pending.remove(sequence)
        if pending is None:
            return False
        self._put_letter(DeadLetter(sequence, reason, pending.deliveries, time_ms))
        return True

    def _put_letter(self, letter: DeadLetter) -> None:
        self.letters[letter.sequence] = letter
        self.changed_letters.add(letter.sequence)

    def _head(self) -> Sequence | None:
        """Give the first pending event of an ordered consumer."""
        return min(self.pending.rows, default=None) if self.config.is_ordered else None

    def _begin_wait(self, former: Sequence | None, now_ms: int) -> None:
        """Let the wait of an ordered consumer's first event begin when it has become the first."""
        head = self._head()
        if head is not None and head != former and self.pending.rows[head].is_out:
            self.pending.move(head, now_ms + self.config.ack_wait_ms, is_out=True)


def _refused(detail: str) -> Refusal:
    return Refusal(HttpCode.SETTLEMENT_REFUSED, detail)
