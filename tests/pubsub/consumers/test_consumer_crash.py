"""The gateway dies at every transaction of a scenario: nothing is lost, counts hold, acks stay."""

from collections import Counter
from pathlib import Path

import anyio
import pytest

from ledger.core.errors import InvariantError
from ledger.io.environment import Table
from ledger.io.errors import StorageError
from pubsub.core.consumer.config import ConsumerConfig, Start, StartPolicy
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.io.consumers import engine, entry, taking
from pubsub.io.consumers.delivery import Fetch
from pubsub.io.consumers.engine import Consumers, ConsumerSettings
from pubsub.io.delivery_store import DeliveryStore
from pubsub.io.feed import Feed
from pubsub.io.store_access import StoreAccess
from tests.pubsub.gateway_world import Chain, sample

EVENTS = 12


class Clock:
    """The time, which the test moves."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        """Give the time."""
        return self.ms


class Dying(DeliveryStore):
    """A store whose process dies at one transaction, before or after it is on the disk.

    Attributes:
        dies_at: number of the transaction; is_late: after it was written.
    """

    dies_at = -1
    is_late = False

    def commit_rows(self, rows: list[tuple[Table, bytes, bytes | None]]) -> None:
        """Write, or die."""
        is_last = self.commits_count == self.dies_at
        if not is_last or self.is_late:
            super().commit_rows(rows)
        if is_last:
            raise StorageError(self.path, "killed", "Start again")


class Subscriber:
    """What somebody who pulls has seen; it outlives the gateway.

    Attributes:
        seen: how often each event was given to it.
        acked: events of which it was told that they are settled.
        sent: events that it tried to settle: after a crash it cannot know.
        dead: events that it was told are dead letters.
    """

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()
        self.acked: set[int] = set()
        self.sent: set[int] = set()

    async def pull(self, consumers: Consumers, clock: Clock) -> None:
        """Take all events and settle them in every way, until nothing comes any more."""
        idle = 0
        while idle < 3:
            clock.ms += 400
            deliveries = await consumers.fetch("c", Fetch(3), lambda _: True)
            idle = 0 if deliveries else idle + 1
            for each in deliveries:
                self.seen[each.sequence] += 1
                assert each.sequence not in self.acked, "an acknowledged event came again"
                assert each.deliveries >= self.seen[each.sequence], "a delivery was not counted"
            await self._settle(consumers, [each.sequence for each in deliveries])

    async def _settle(self, consumers: Consumers, numbers: list[int]) -> None:
        """Refuse every fourth event the first time, give every fifth up, acknowledge the rest."""
        nak = [n for n in numbers if n % 4 == 1 and self.seen[n] == 1]
        term = [n for n in numbers if n % 5 == 2]
        ack = [n for n in numbers if n not in nak and n not in term]
        self.sent |= {*ack, *term}
        await consumers.settle(
            "c",
            Settlement(
                ack=tuple(ack),
                nak=tuple(map(Nak, nak)),
                terminate=tuple(map(Termination, term)),
            ),
        )
        self.acked |= {*ack, *term}


async def live(directory: Path, chain: Chain, store: Dying, run: "Run") -> bool:
    """Run one life of a gateway; say whether it came to the scenario's end."""
    access = StoreAccess(directory / "chain")
    access._store = chain.store
    feed = Feed()
    consumers = Consumers(ConsumerSettings(), store, access, feed)
    with chain.store.read() as reader:
        feed.read(reader, reader.head().log_size, 100)
    consumers.follow()
    is_done = False
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(store.run)
            await run.go(consumers)
            is_done = True
            group.cancel_scope.cancel()
    except* InvariantError:
        pass
    store.close()
    return is_done


class Run:
    """The scenario: make a consumer, handle everything, look at the dead letters again."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.subscriber = Subscriber()
        self.is_replayed = False

    async def go(self, consumers: Consumers) -> None:
        """Do what is left."""
        config = ConsumerConfig(
            name="c", start=Start(StartPolicy.FIRST), ack_wait_ms=300, backoff_ms=(100,)
        )
        await consumers.create(config, "owner", lambda _: True)
        await self.subscriber.pull(consumers, self.clock)
        letters = [letter.sequence for letter in consumers.dead_letters("c")]
        if not self.is_replayed:
            self.subscriber.acked -= set(letters)  # whether or not the answer comes
            await consumers.replay("c", letters)
            self.is_replayed = True
            await self.subscriber.pull(consumers, self.clock)


@pytest.mark.parametrize("is_late", [False, True])
async def test_death_at_every_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_late: bool
) -> None:
    """Whatever transaction is the last of a life, the next life goes on without loss."""
    clock = Clock()
    for module in (engine, entry, taking):
        monkeypatch.setattr(module, "now_ms", clock)
    chain = Chain(tmp_path / "chain")
    chain.extend([sample(nonce).entry for nonce in range(EVENTS)])
    is_done, deaths = False, 0
    while not is_done:
        directory = tmp_path / f"{deaths}"
        run = Run(clock)
        store = Dying.open(directory)
        store.dies_at, store.is_late = deaths, is_late
        is_done = await live(tmp_path, chain, store, run)
        if not is_done:
            deaths += 1
            assert await live(tmp_path, chain, Dying.open(directory), run)
        subscriber = run.subscriber
        assert set(subscriber.seen) == set(range(EVENTS))
        assert subscriber.acked | subscriber.sent == set(range(EVENTS))
        check_store(directory)
    chain.store.close()
    assert deaths > 10


def check_store(directory: Path) -> None:
    """In the end nothing is pending, and dead letters are what was given up."""
    with_letters = Dying.open(directory)
    letters = [int.from_bytes(key[-8:], "big") for key, _ in with_letters.rows("dead_letters")]
    positions = list(with_letters.rows("positions"))
    with_letters.close()
    assert letters == [n for n in range(EVENTS) if n % 5 == 2]
    assert len(positions) == 1
    assert positions[0][1][-1] == 0x90, "no pending event is left"
