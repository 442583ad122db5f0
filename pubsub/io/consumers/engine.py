"""All durable consumers of a gateway: making them, giving events out, settling.

Owns what ties the pure state of each consumer to the log, the delivery store and the clock. Two
promises hold for every caller: an event is handed out after its delivery count is on the disk, and
a settlement is answered after it is. State in memory changes first and in one step with what is put
into the store, so that whoever reads it sees what will be stored, or the process ends.
"""

from collections.abc import Container, Iterable
from typing import NamedTuple

import anyio
import structlog

from ledger.core.ids import Sequence
from pubsub.core.consumer.config import ConsumerConfig, check_config
from pubsub.core.consumer.record import encode_config
from pubsub.core.consumer.settlement import DeadLetter, Settled, Settlement
from pubsub.core.consumer.state import ConsumerState
from pubsub.core.limits import (
    CONSUMER_FETCHES_WAITING_MAX,
    CONSUMERS_MAX,
    CONSUMERS_PER_OWNER_MAX,
)
from pubsub.core.problems import HttpCode, Refusal
from pubsub.io.consumers.delivery import ConsumerView, Delivery, Fetch
from pubsub.io.consumers.entry import Entry, letter_key
from pubsub.io.consumers.following import Following
from pubsub.io.consumers.loading import load_states
from pubsub.io.consumers.measures import Measures, kind_of, measure, totals_of
from pubsub.io.consumers.starting import find_beginning
from pubsub.io.consumers.taking import Taking
from pubsub.io.consumers.waiting import Alarm, now_ms
from pubsub.io.delivery_store import Change, DeliveryStore
from pubsub.io.feed import Feed
from pubsub.io.store_access import StoreAccess
from pubsub.io.wanted import Readable, wanted_of

__all__ = ["ConsumerSettings", "Consumers"]

_log = structlog.get_logger("gateway.consumers")
_SWEEP_MS = 1_000  # how often consumers that nobody uses are looked for


class ConsumerSettings(NamedTuple):
    """How many consumers there may be: in all, and of one owner."""

    consumers_max: int = CONSUMERS_MAX
    consumers_per_owner_max: int = CONSUMERS_PER_OWNER_MAX


class Consumers:
    """The consumers of one gateway. Names are unique in it."""

    def __init__(
        self,
        settings: ConsumerSettings,
        store: DeliveryStore,
        access: StoreAccess,
        feed: Feed,
    ) -> None:
        """Load all consumers.

        Raises:
            StorageError: the delivery store is damaged, or of a newer release.
        """
        self._settings = settings
        self._store = store
        self._access = access
        self._taking = Taking(access, feed)
        self._alarm = Alarm()
        self._following = Following(feed)
        self._entries: dict[str, Entry] = {}
        self._gone: dict[str, Measures] = {}  # totals of deleted ones: counters never fall
        self._is_closing = False
        for state, owner in load_states(store):
            self._add(state, owner)

    # --- consumers ------------------------------------------------------------------------

    async def create(self, config: ConsumerConfig, owner: str, readable: Readable) -> ConsumerView:
        """Make a consumer; the same one again changes nothing.

        Raises:
            Refusal: there is another one of this name, or too many; the start is not possible.
            DecodeError: a value of ``config`` is out of bounds.
        """
        check_config(config)
        if (same := self._existing(config, owner)) is not None:
            return same
        wanted = wanted_of(config.interest, readable)
        beginning = await find_beginning(self._access, config.start, wanted)
        if (same := self._existing(config, owner)) is not None:  # made in between
            return same
        state = ConsumerState(config, now_ms(), beginning.position)
        state.subjects_until = beginning.subjects_until
        entry = self._add(state, owner)
        self._put(entry, with_config=True)
        await self._store.synced()
        return entry.view(self._following.end)

    def has(self, name: str) -> bool:
        """Say whether there is a consumer of this name."""
        return name in self._entries

    def require(self, name: str, owner: str | None) -> None:
        """Raise Refusal unless there is a consumer of ``owner``, or of anybody for None.

        The gateway's own consumers are not there.
        """
        entry = self._entries.get(name)
        if entry is None or owner not in (None, entry.owner) or entry.state.config.is_internal:
            raise _not_found(name)

    def owner_of(self, name: str) -> str:
        """Give whose the consumer is. Raises Refusal when there is none."""
        return self._entry(name).owner

    def gives_headers_only(self, name: str) -> bool:
        """Say whether events of the consumer, where there is one, go without their data."""
        entry = self._entries.get(name)
        return entry is not None and entry.state.config.headers_only

    def get(self, name: str) -> ConsumerView:
        """Give a consumer. Raises Refusal when there is none."""
        return self._entry(name).view(self._following.end)

    def views(
        self, owner: str | None = None, after: str = "", limit: int | None = None
    ) -> list[ConsumerView]:
        """Give consumers behind a name, of an owner or all, but not the gateway's own."""
        names = sorted(
            name
            for name, entry in self._entries.items()
            if name > after and owner in (None, entry.owner) and not entry.state.config.is_internal
        )
        return [self._entries[name].view(self._following.end) for name in names[:limit]]

    def internal_names(self, prefix: str) -> list[str]:
        """Give the names of the gateway's own consumers that begin with ``prefix``."""
        return [
            name
            for name, entry in self._entries.items()
            if name.startswith(prefix) and entry.state.config.is_internal
        ]

    async def update(self, config: ConsumerConfig) -> ConsumerView:
        """Replace a configuration; start, policy and order stay what they are.

        Raises:
            Refusal: there is no such consumer, or what must stay would change.
            DecodeError: a value is out of bounds.
        """
        check_config(config)
        entry = self._entry(config.name)
        async with entry.taking:
            self._replace(entry, config)
        await self._store.synced()
        return entry.view(self._following.end)

    def _replace(self, entry: Entry, config: ConsumerConfig) -> None:
        if entry.is_deleted:  # while its lock was waited for
            raise _not_found(entry.name)
        former = entry.state.config
        fixed = (former.start, former.ack_policy, former.is_ordered)
        if (config.start, config.ack_policy, config.is_ordered) != fixed:
            raise Refusal(
                HttpCode.INVALID_PARAMETER, "start, ack_policy and is_ordered cannot be changed"
            )
        entry.state.config = config
        if config.interest != former.interest:
            self._following.change(entry)
        self._use(entry)
        self._put(entry, with_config=True)
        entry.queue.notify()

    async def pause(self, name: str, until_ms: int) -> None:
        """Give nothing out before ``until_ms``. Raises Refusal when there is no consumer."""
        await self._pause(name, until_ms)

    async def resume(self, name: str) -> None:
        """End a pause. Raises Refusal when there is no consumer."""
        await self._pause(name, None)

    async def delete(self, name: str) -> None:
        """Delete a consumer with its dead letters. Raises Refusal when there is none."""
        self._delete(self._entry(name))
        await self._store.synced()

    # --- events ---------------------------------------------------------------------------

    async def fetch(self, name: str, fetch: Fetch, readable: Readable) -> list[Delivery]:
        """Give events out; wait for the first one as long as ``fetch`` says.

        What is given is durably counted when this returns. It may be cancelled at any time: what
        it had taken already is then given out again when its wait is over.

        Raises:
            Refusal: there is no such consumer (any more), or too many fetches wait at it.
        """
        entry = self._entry(name)
        deadline_ms = now_ms() + fetch.wait_ms
        if fetch.wait_ms and len(entry.queue) >= CONSUMER_FETCHES_WAITING_MAX:
            raise Refusal(HttpCode.TOO_MANY_FETCHES, f"{len(entry.queue)} fetches wait already")
        while True:
            self._use(entry)
            seen_count = entry.queue.notices_count
            try:
                async with entry.taking:
                    taken = await self._taking.take(entry, fetch, readable)
            except BaseException:
                entry.queue.notify()  # what it was woken for is there for another one
                raise
            if taken.is_changed or entry.is_far:
                self._put(entry)
            if taken.deliveries:
                entry.queue.notify()
                await self._store.synced()
                return taken.deliveries
            if now_ms() >= deadline_ms or self._is_closing:
                return []
            if taken.is_end:
                await entry.wait(seen_count, deadline_ms)
            if entry.is_deleted:
                raise _not_found(name)

    async def settle(self, name: str, settlement: Settlement) -> Settled:
        """Take what a subscriber says about events; durable when this returns.

        Raises:
            Refusal: there is no such consumer, or the settlement does not fit it.
        """
        settled = self.note(name, settlement)
        await self._store.synced()
        return settled

    def note(self, name: str, settlement: Settlement) -> Settled:
        """Take what a subscriber says; durable with the next ``DeliveryStore.synced``.

        Raises Refusal as :meth:`settle`.
        """
        entry = self._entry(name)
        settled = entry.state.settle(settlement, self._use(entry))
        self._put(entry)
        entry.queue.notify()
        return settled

    def take_back(self, name: str, kept: Container[int]) -> int:
        """Let events that are out, but for ``kept``, be due at once, as none that failed.

        For a subscriber that is sure that nobody has them, as after a restart of the gateway;
        durable with the next write. Raises Refusal when there is no such consumer.
        """
        entry = self._entry(name)
        count = entry.state.take_back(kept, now_ms())
        if count:
            self._put(entry)
            entry.queue.notify()
        return count

    # --- dead letters ---------------------------------------------------------------------

    def dead_letters(
        self, name: str, after: int = -1, limit: int | None = None
    ) -> list[DeadLetter]:
        """Give dead letters behind the sequence ``after``, ascending. Raises Refusal."""
        entry = self._entry(name)
        entry.expire(now_ms())
        letters = entry.state.letters
        found = sorted(sequence for sequence in letters if sequence > after)
        return [letters[sequence] for sequence in found[:limit]]

    async def replay(self, name: str, sequences: Iterable[int] | None) -> int:
        """Have dead letters, or all, given out again; give how many. Raises Refusal."""
        entry = self._entry(name)
        self._use(entry)
        count = entry.state.replay(sequences)
        self._put(entry)
        entry.queue.notify()
        await self._store.synced()
        return count

    async def delete_dead_letter(self, name: str, sequence: int) -> None:
        """Forget a dead letter. Raises Refusal when there is none."""
        entry = self._entry(name)
        if entry.state.delete_letter(Sequence(sequence)) is None:
            raise Refusal(HttpCode.DEAD_LETTER_NOT_FOUND, f"{name} has no dead letter {sequence}")
        self._put(entry)
        await self._store.synced()

    # --- the gateway's side ---------------------------------------------------------------

    @property
    def wants_feed(self) -> bool:
        """Whether the newest events must be followed."""
        return bool(self._entries)

    def follow(self) -> None:
        """Take what the feed has got since the last time."""
        self._following.follow()

    async def run(self) -> None:
        """Wake fetches in time and delete consumers that nobody uses, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._alarm.run)
            while True:
                await anyio.sleep(_SWEEP_MS / 1000)
                self._sweep()

    def measure(self) -> dict[str, Measures]:
        """Give sums over all consumers by kind."""
        return measure(self._entries.values(), self._following.end, self._gone)

    def close(self) -> None:
        """End all waiting fetches."""
        self._is_closing = True
        for entry in self._entries.values():
            entry.queue.notify_all()

    # --- helpers --------------------------------------------------------------------------

    def _existing(self, config: ConsumerConfig, owner: str) -> ConsumerView | None:
        """Give the same consumer if there is one. Raises Refusal when it cannot be made."""
        entry = self._entries.get(config.name)
        if entry is not None:
            if entry.owner == owner and entry.state.config == config:
                return entry.view(self._following.end)
            raise Refusal(HttpCode.CONSUMER_EXISTS, f"{config.name} is another consumer's name")
        most, most_of_owner = self._settings
        if len(self._entries) >= most:
            raise Refusal(HttpCode.TOO_MANY_CONSUMERS, f"the gateway has {most} already")
        if sum(other.owner == owner for other in self._entries.values()) >= most_of_owner:
            raise Refusal(HttpCode.TOO_MANY_CONSUMERS, f"you have {most_of_owner} already")
        return None

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise _not_found(name)
        return entry

    def _add(self, state: ConsumerState, owner: str) -> Entry:
        entry = Entry(state, owner, self._alarm, self._store.put)
        self._entries[entry.name] = entry
        self._following.add(entry)
        return entry

    def _use(self, entry: Entry) -> int:
        """Note that somebody uses a consumer; give the time."""
        entry.state.active_ms = now_ms()
        return entry.state.active_ms

    def _put(self, entry: Entry, *, with_config: bool = False) -> None:
        """Have the store take what has changed, with its next transaction."""
        if entry.is_deleted:
            raise _not_found(entry.name)
        changes = entry.changes()
        if with_config:
            value = encode_config(entry.state.config, entry.owner)
            changes.append(Change("consumers", entry.name.encode(), value))
        self._store.put(changes)

    async def _pause(self, name: str, until_ms: int | None) -> None:
        entry = self._entry(name)
        self._use(entry)
        entry.state.paused_until_ms = until_ms
        self._put(entry)
        entry.queue.notify_all()
        await self._store.synced()

    def _delete(self, entry: Entry) -> None:
        key = entry.name.encode()
        names = [Change("consumers", key, None), Change("positions", key, None)]
        gone = {*entry.state.letters, *entry.state.changed_letters}
        letters = [Change("dead_letters", letter_key(entry.name, each), None) for each in gone]
        self._store.put([*names, *letters])
        self._gone.setdefault(kind_of(entry.name), Measures()).update(totals_of(entry.state))
        entry.is_deleted = True
        del self._entries[entry.name]
        self._following.remove(entry)
        entry.queue.notify_all()

    def _sweep(self) -> None:
        now = now_ms()
        for entry in list(self._entries.values()):
            limit_ms = entry.state.config.inactive_ms
            if limit_ms is None or len(entry.queue) or now - entry.state.active_ms < limit_ms:
                continue
            _log.info("consumer_deleted", name=entry.name, inactive_ms=limit_ms)
            self._delete(entry)


def _not_found(name: str) -> Refusal:
    return Refusal(HttpCode.CONSUMER_NOT_FOUND, f"no consumer is named {name}")
