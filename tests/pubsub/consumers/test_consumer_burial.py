"""An event that dies while something waits to be stored: it is a dead letter after a restart."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from ledger.core.errors import Unavailable
from pubsub.core.consumer.config import ConsumerConfig, Start, StartPolicy
from pubsub.core.interest import read_interest
from pubsub.core.problems import Refusal
from pubsub.io.consumers import engine as engine_module
from pubsub.io.consumers import entry as entry_module
from pubsub.io.consumers import taking as taking_module
from pubsub.io.consumers.delivery import Fetch
from pubsub.io.consumers.engine import Consumers
from tests.pubsub.consumers.consumer_world import engine_life
from tests.pubsub.gateway_world import Chain, sample

CONFIG = ConsumerConfig(
    name="c",
    start=Start(StartPolicy.FIRST),
    ack_wait_ms=1_000,
    max_deliveries=1,
    backoff_ms=(100,),
)


class Clock:
    """The time, which the test moves."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        """Give the time."""
        return self.ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have the test move the time of consumers."""
    found = Clock()
    for module in (engine_module, entry_module, taking_module):
        monkeypatch.setattr(module, "now_ms", found)
    return found


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """Give a ledger of one event."""
    found = Chain(tmp_path / "chain")
    found.extend([sample(1).entry])
    yield found
    found.store.close()


def everything(_topic: str) -> bool:
    """Let everything be read."""
    return True


def view(consumers: Consumers) -> None:
    """Look at the consumer."""
    assert consumers.get("c").dead_letters == 1


def list_letters(consumers: Consumers) -> None:
    """Look at the dead letters."""
    assert len(consumers.dead_letters("c")) == 1


def ring(consumers: Consumers) -> None:
    """Let the alarm of a fetch that waits come."""
    entry = consumers._entries["c"]
    entry._alarm_ms = 0
    entry._on_alarm()


@pytest.mark.parametrize("look", [view, list_letters, ring])
async def test_a_look_that_buries(
    tmp_path: Path, chain: Chain, clock: Clock, look: Callable[[Consumers], None]
) -> None:
    """Whoever finds that the last wait is over has the dead letter stored with the state."""
    async with engine_life(tmp_path, chain) as consumers:
        await consumers.create(CONFIG, "me", everything)
        assert len(await consumers.fetch("c", Fetch(), everything)) == 1
        consumers._put(consumers._entries["c"])  # somebody's change, which is yet to be written
        clock.ms += 2_000
        look(consumers)
        await consumers._store.synced()
    await check_letter(tmp_path, chain)


async def test_a_fetch_that_buries_and_fails(
    tmp_path: Path, chain: Chain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that found the wait over and never came to its end has the letter stored, too."""
    async with engine_life(tmp_path, chain) as consumers:
        await consumers.create(CONFIG, "me", everything)
        assert len(await consumers.fetch("c", Fetch(), everything)) == 1

        async def fail(*_: object) -> None:
            raise OSError

        monkeypatch.setattr(consumers._taking, "_new", fail)
        entry = consumers._entries["c"]
        consumers._put(entry)
        clock.ms += 2_000
        with pytest.raises(OSError):  # noqa: PT011 - it has no text
            await consumers._taking.take(entry, Fetch(), everything)
        await consumers._store.synced()
    await check_letter(tmp_path, chain)


async def check_letter(directory: Path, chain: Chain) -> None:
    """After a restart the event is a dead letter."""
    async with engine_life(directory, chain) as consumers:
        assert [letter.sequence for letter in consumers.dead_letters("c")] == [0]
        assert consumers.get("c").in_flight == 0


async def test_a_deleted_consumer_stores_nothing(
    tmp_path: Path, chain: Chain, clock: Clock
) -> None:
    """An alarm that comes after the deletion leaves no row behind."""
    async with engine_life(tmp_path, chain) as consumers:
        await consumers.create(CONFIG, "me", everything)
        await consumers.fetch("c", Fetch(), everything)
        entry = consumers._entries["c"]
        await consumers.delete("c")
        clock.ms += 2_000
        entry.expire(clock())
        await consumers._store.synced()
        for table in ("consumers", "positions", "dead_letters"):
            assert list(consumers._store.rows(table)) == []


async def test_an_alarm_while_the_gateway_closes(
    tmp_path: Path, chain: Chain, clock: Clock
) -> None:
    """It lets no error out when the store is closed: the end of a gateway is no failure."""
    async with engine_life(tmp_path, chain) as consumers:
        await consumers.create(CONFIG, "me", everything)
        await consumers.fetch("c", Fetch(), everything)
        consumers._store._end(Unavailable("the gateway is closing"))
        clock.ms += 2_000
        ring(consumers)
        with pytest.raises(Unavailable):
            await consumers._store.synced()


async def test_update_of_a_consumer_that_is_deleted_meanwhile(tmp_path: Path, chain: Chain) -> None:
    """It is not found, as if the deletion had come first."""
    async with engine_life(tmp_path, chain) as consumers:
        await consumers.create(CONFIG, "me", everything)
        entry = consumers._entries["c"]
        interest = read_interest(b'{"filters":[{"exact":{"type":"x"}}]}')

        async def update() -> None:
            with pytest.raises(Refusal, match="consumer_not_found"):
                await consumers.update(msgspec.structs.replace(CONFIG, interest=interest))

        async with anyio.create_task_group() as group, entry.taking:
            group.start_soon(update)
            await anyio.wait_all_tasks_blocked()
            await consumers.delete("c")
