"""One consumer as the engine holds it: its state, who waits, and what is known to be ahead of it.

Owns the known part of the log: from ``_known_from`` on every matching sequence stands in
``_ahead``, put there once for all consumers when the event came in. Below that the log is read.

Invariant: whatever changes its state puts ``changes()`` in the same step. The row of the state is
encoded later than those of the dead letters are collected: an event that died in between would be
in neither.
"""

from collections import deque
from collections.abc import Callable

import anyio

from ledger.core.errors import Unavailable
from ledger.core.ids import Sequence
from ledger.core.limits import INT_MAX
from pubsub.core.consumer.record import encode_letter, encode_state
from pubsub.core.consumer.state import ConsumerState
from pubsub.core.limits import CONSUMER_KNOWN_AHEAD_MAX, CONSUMER_POSITION_LAG_MAX
from pubsub.io.consumers.delivery import ConsumerView, Lag
from pubsub.io.consumers.waiting import Alarm, Queue, now_ms
from pubsub.io.delivery_store import Change

__all__ = ["Entry", "letter_key", "letter_place"]

_SEQUENCE_BYTES = 8
_CLOSED = b"\0"  # stands in no name


def letter_key(name: str, sequence: int) -> bytes:
    """Give the key of a dead letter's row."""
    return name.encode() + _CLOSED + sequence.to_bytes(_SEQUENCE_BYTES, "big")


def letter_place(key: bytes) -> tuple[str, Sequence]:
    """Give the consumer and the sequence of a dead letter's key."""
    name = key[: -_SEQUENCE_BYTES - 1].decode()
    return name, Sequence(int.from_bytes(key[-_SEQUENCE_BYTES:], "big"))


class Entry:
    """One consumer.

    Args:
        put: has the delivery store take rows, in one transaction.

    Attributes:
        taking: held by the fetch that looks for events, so that they are found in order.
        is_deleted: nothing of it may be stored any more.
    """

    def __init__(
        self,
        state: ConsumerState,
        owner: str,
        alarm: Alarm,
        put: Callable[[list[Change]], None],
    ) -> None:
        self.state = state
        self.owner = owner
        self.queue = Queue()
        self.taking = anyio.Lock()
        self.is_deleted = False
        self._alarm = alarm
        self._put = put
        self._alarm_ms: int | None = None
        self._known_from = INT_MAX
        self._ahead: deque[Sequence] = deque()
        self._stored_position = int(state.position)

    @property
    def name(self) -> str:
        """Its name."""
        return self.state.config.name

    # --- what is ahead --------------------------------------------------------------------

    def add_ahead(self, sequence: Sequence) -> None:
        """Note a matching event, the next one of the log, and wake a fetch."""
        if len(self._ahead) == CONSUMER_KNOWN_AHEAD_MAX:
            self._known_from = self._ahead.popleft() + 1
        self._ahead.append(sequence)
        self.queue.notify()

    def forget_ahead(self, known_from: int) -> None:
        """Know nothing below ``known_from``: the log was not followed there."""
        self._ahead.clear()
        self._known_from = known_from

    def ahead(self) -> list[Sequence] | None:
        """Give the matching events from the position on, as far as the log was followed.

        None when the log has to be read because not all of them are known.
        """
        position = self.state.position
        if position < self._known_from or position < self.state.subjects_until:
            return None
        while self._ahead and self._ahead[0] < position:
            self._ahead.popleft()
        return list(self._ahead)

    def lag(self, followed_to: int) -> Lag:
        """Give how far it is behind the log, which was followed up to ``followed_to``."""
        known = self.ahead()
        if known is not None:
            return Lag(len(known), is_exact=True)
        behind = max(0, followed_to - self.state.position)
        return Lag(behind, is_exact=behind == 0)

    def view(self, followed_to: int) -> ConsumerView:
        """Describe it; the log was followed up to the sequence ``followed_to``."""
        self.expire(now_ms())
        state, config = self.state, self.state.config
        return ConsumerView(
            config=config,
            owner=self.owner,
            created_ms=state.created_ms,
            position=state.position,
            in_flight=state.pending.out_count,
            waiting=len(state.pending) - state.pending.out_count,
            dead_letters=len(state.letters),
            paused_until_ms=state.paused_until_ms,
            delivered=state.totals.delivered,
            redelivered=state.totals.redelivered,
            acknowledged=state.totals.acknowledged,
            lag=self.lag(followed_to),
        )

    # --- storing --------------------------------------------------------------------------

    def expire(self, now: int) -> None:
        """Let every event fail whose wait is over, and a pause end; put what that changes.

        Raises:
            InvariantError: the store has failed. Unavailable: it was closed.
        """
        failed = self.state.totals.failed
        self.state.expire(now)
        if self.state.totals.failed != failed and not self.is_deleted:
            self._put(self.changes())

    def changes(self) -> list[Change]:
        """Give the rows that the state's changes since the last time make."""
        assert not self.is_deleted
        found = [Change("positions", self.name.encode(), self._encoded)]
        for sequence in sorted(self.state.changed_letters):
            letter = self.state.letters.get(sequence)
            value = None if letter is None else encode_letter(letter)
            found.append(Change("dead_letters", letter_key(self.name, sequence), value))
        self.state.changed_letters.clear()
        return found

    @property
    def is_far(self) -> bool:
        """Whether the position went so far without being stored that a restart would notice."""
        return self.state.position - self._stored_position > CONSUMER_POSITION_LAG_MAX

    def _encoded(self) -> bytes:
        self._stored_position = self.state.position
        return encode_state(self.state)

    # --- waiting --------------------------------------------------------------------------

    async def wait(self, seen_count: int, deadline_ms: int) -> None:
        """Return at a notice, when something is due again, or at the deadline."""
        await self.queue.wait(seen_count, deadline_ms, self.set_alarm)

    def set_alarm(self) -> None:
        """Have the fetches that wait woken in time."""
        at_ms = self.queue.first_deadline_ms()
        if at_ms is None:
            return
        for other_ms in (self.state.next_due_ms(), self.state.paused_until_ms):
            if other_ms is not None:
                at_ms = min(at_ms, other_ms)
        if self._alarm_ms is None or at_ms < self._alarm_ms:
            self._alarm_ms = at_ms
            self._alarm.at(at_ms, self._on_alarm)

    def _on_alarm(self) -> None:
        now = now_ms()
        if self._alarm_ms is None or now < self._alarm_ms:
            return  # an earlier one took its place
        self._alarm_ms = None
        self.queue.wake_late(now)
        was_paused = self.state.paused_until_ms is not None
        try:
            self.expire(now)
        except Unavailable:
            return  # the gateway is closing: nothing is given out any more
        if self.state.due(now, 1) or (was_paused and self.state.paused_until_ms is None):
            self.queue.notify()
        self.set_alarm()
