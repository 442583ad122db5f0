"""The fan-out, without a server between: each stream gets what it wants, once and in order."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.io.chain_store import ChainStore
from pubsub.core.interest import Interest, read_interest
from pubsub.core.rights import Principal, Scope
from pubsub.core.sse import HEARTBEAT, chunk, cursor_block
from pubsub.core.websocket import PING
from pubsub.io import fanout as fanout_module
from pubsub.io import feed as feed_module
from pubsub.io import shared_pages
from pubsub.io.fanout import Fanout, Subscriber, Wish
from pubsub.io.feed import Feed
from pubsub.io.shared_pages import Piece, SharedPages
from pubsub.io.store_access import StoreAccess
from pubsub.io.stream_format import SERVER_SENT_EVENTS, WEBSOCKET
from pubsub.io.wanted import wanted_of
from tests.pubsub.gateway_world import Chain, sample

T = TypeVar("T")
COUNT = 60
TOPICS = ("catalog.a", "catalog.b", "catalog.secret")
SECRET = "catalog.secret"
EVERYBODY = Principal("anonymous", frozenset({Scope.READ}), (), (SECRET,))
INSIDER = Principal("token/insider", frozenset({Scope.READ}), (SECRET,), (SECRET,))
INTERESTS = tuple(
    read_interest(text)
    for text in (
        b"{}",
        b'{"topics":["catalog.a"]}',
        b'{"topics":["catalog.secret","catalog.b"]}',
        b'{"filters":[{"exact":{"subject":"s3"}}]}',
        b'{"filters":[{"exact":{"subject":"nothing"}}]}',
    )
)
ALL = Wish(INTERESTS[0], EVERYBODY, SERVER_SENT_EVENTS)
SOCKET = Wish(INTERESTS[0], EVERYBODY, WEBSOCKET)
NOTHING = Wish(INTERESTS[4], EVERYBODY, SERVER_SENT_EVENTS)
_ID = re.compile(rb"\nid: (-?\d+)\n")


class FakePipe:
    """A connection whose reader a test plays."""

    def __init__(self) -> None:
        self.on_lost: Callable[[], None] | None = None
        self.received = b""
        self.beats = 0
        self.is_cut = False
        self.is_lost = False
        self.is_over = False
        self._is_full = False
        self._free = anyio.Event()
        self._free.set()

    @property
    def is_blocked(self) -> bool:
        return not self._free.is_set()

    def block(self) -> None:
        """Take nothing from now on: buffers are full with what is written next."""
        self._is_full = True

    def unblock(self) -> None:
        """Take everything."""
        self._is_full = False
        self._free.set()

    def write(self, data: bytes) -> None:
        assert not self.is_blocked, "more is written than the reader takes"
        assert not self.is_over, "more is written when all is over"
        self.received += data
        if self._is_full:
            self._free = anyio.Event()

    def beat(self, data: bytes) -> None:
        self.beats += 1
        self.write(data)

    async def drained(self) -> None:
        await self._free.wait()

    def cut(self) -> None:
        self.is_cut = True
        self._free.set()
        if self.on_lost is not None:
            self.on_lost()

    def events(self) -> list[int]:
        """Give the sequences that came, of either format."""
        return [int(text) for text in re.findall(rb'"sequence":"(\d+)"', self.received)]

    def cursor(self) -> int:
        """Give where a reader of server-sent events would resume."""
        return int(_ID.findall(self.received)[-1])


class FakeAccess(StoreAccess):
    """Reads at once, so that a test knows when nothing is under way."""

    def __init__(self, store: ChainStore) -> None:
        super().__init__(Path("unused"))
        self._store = store
        self.reads = 0

    async def in_thread(self, read: Callable[[ChainStore], T]) -> T:
        self.reads += 1
        await anyio.lowlevel.checkpoint()
        return read(self.store)


class World:
    """A fan-out over a log of COUNT events, of which it knows the first ones."""

    def __init__(self, store: ChainStore) -> None:
        self.store = store
        self.feed = Feed()
        self.access = FakeAccess(store)
        self.void: set[Principal] = set()
        self.fanout = Fanout(
            self.feed, self.access, 3_600_000, lambda principal: principal not in self.void
        )

    def grow(self, log_size: int, *, is_followed: bool = True) -> None:
        """Let the log be known up to a size."""
        if is_followed:
            with self.store.read() as reader:
                while not self.feed.read(reader, log_size, 7):
                    self.fanout.advance()
        else:
            self.feed.skip_to(log_size)
        self.fanout.advance()

    def open(self, cursor: int, wish: Wish = ALL) -> tuple[FakePipe, Subscriber]:
        """Open a stream."""
        pipe = FakePipe()
        return pipe, self.fanout.subscribe(pipe, wish, cursor)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    """Let the fan-out serve those that are behind."""
    async with anyio.create_task_group() as group:
        group.start_soon(world.fanout.run)
        await anyio.wait_all_tasks_blocked()
        yield
        group.cancel_scope.cancel()


def entry_of(number: int) -> bytes:
    """Give the event at a sequence."""
    return sample(number, topic=TOPICS[number % 3], subject=f"s{number % 5}").entry


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainStore]:
    """Give a store of COUNT events."""
    chain = Chain(tmp_path_factory.mktemp("fanout") / "chain")
    chain.extend([entry_of(number) for number in range(COUNT)])
    with chain.store:
        yield chain.store


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make windows and pieces so small that streams often leave them."""
    monkeypatch.setattr(feed_module, "GATEWAY_FEED_EVENTS_MAX", 9)
    monkeypatch.setattr(feed_module, "GATEWAY_STREAM_PAGE_EVENTS", 4)
    monkeypatch.setattr(shared_pages, "GATEWAY_STREAM_PAGE_EVENTS", 3)
    monkeypatch.setattr(fanout_module, "STREAM_HIDDEN_MAX", 5)


def expected(interest: Interest, principal: Principal, cursor: int, end: int) -> list[int]:
    """Give the sequences that a stream must bring, by the rules written out."""
    wanted = []
    for number in range(cursor + 1, end):
        topic, subject = TOPICS[number % 3], f"s{number % 5}"
        is_wanted = {
            INTERESTS[0]: True,
            INTERESTS[1]: topic == "catalog.a",
            INTERESTS[2]: topic in ("catalog.secret", "catalog.b"),
            INTERESTS[3]: subject == "s3",
            INTERESTS[4]: False,
        }[interest]
        if is_wanted and (topic != SECRET or principal is INSIDER):
            wanted.append(number)
    return wanted


class Play:
    """Streams that come and go while the log grows, as the steps say."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.size = 0
        self.streams: list[tuple[FakePipe, Subscriber, Wish, int]] = []

    def grow(self, count: int) -> None:
        """Let events become known."""
        self.size = min(COUNT, self.size + count)
        self.world.grow(self.size)

    def open(self, wish: Wish, distance: int) -> None:
        """Open a stream so far behind the end of what is known, or ahead of it."""
        cursor = max(-1, self.size - 1 - distance)
        pipe, subscriber = self.world.open(cursor, wish)
        self.streams.append((pipe, subscriber, wish, cursor))

    def block(self, number: int) -> None:
        """Let a reader take nothing."""
        if self.streams:
            self.streams[number % len(self.streams)][0].block()

    def unblock(self, number: int) -> None:
        """Let a reader take all again."""
        if self.streams:
            self.streams[number % len(self.streams)][0].unblock()

    def leave(self, number: int) -> None:
        """End a stream."""
        if self.streams:
            pipe, subscriber, _, _ = self.streams.pop(number % len(self.streams))
            self.world.fanout.unsubscribe(subscriber)
            pipe.is_over = True

    def beat(self) -> None:
        """Let a heartbeat's time come."""
        self.world.fanout._beat()

    def check(self) -> None:
        """Compare what each stream brought with what it had to bring."""
        for pipe, _, wish, cursor in self.streams:
            assert pipe.events() == expected(wish.interest, wish.principal, cursor, COUNT)
            if wish.form is SERVER_SENT_EVENTS and cursor < COUNT - 1:
                assert pipe.cursor() == COUNT - 1


numbers = st.integers(0, 9)
wishes = st.builds(
    Wish,
    st.sampled_from(INTERESTS),
    st.sampled_from([EVERYBODY, INSIDER]),
    st.sampled_from([SERVER_SENT_EVENTS, WEBSOCKET]),
)
steps: st.SearchStrategy[list[Callable[[Play], None] | None]] = st.lists(
    st.one_of(
        st.none(),  # everything that can go on does, until all wait
        st.builds(lambda n: lambda play: play.grow(n), st.integers(1, 4) | st.integers(1, 25)),
        st.builds(lambda w, n: lambda play: play.open(w, n), wishes, st.integers(-4, 20)),
        st.builds(lambda n: lambda play: play.block(n), numbers),
        st.builds(lambda n: lambda play: play.unblock(n), numbers),
        st.builds(lambda n: lambda play: play.leave(n), numbers),
        st.just(Play.beat),
    ),
    max_size=25,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
@pytest.mark.usefixtures("small")
def test_each_stream_gets_what_it_wants(
    store: ChainStore, steps: list[Callable[[Play], None] | None]
) -> None:
    """Whatever readers do and whenever, each event that is wanted comes once and in order."""

    async def play_all() -> None:
        play = Play(World(store))
        async with running(play.world):
            for step in steps:
                if step is None:
                    await anyio.wait_all_tasks_blocked()
                else:
                    step(play)
                    await anyio.lowlevel.checkpoint()
            play.grow(COUNT)
            for pipe, _, _, _ in play.streams:
                pipe.unblock()
            await anyio.wait_all_tasks_blocked()
            play.beat()
            play.beat()  # by now every stream that was silent was told where it is
            play.check()
            while play.streams:
                play.leave(0)
            assert not play.world.fanout._lanes
            assert not len(play.world.fanout._index)

    anyio.run(play_all)


async def test_what_is_new_is_written_at_once(store: ChainStore) -> None:
    """An up-to-date stream gets an event in the step that made it known, without any task."""
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe, _ = world.open(9)
        world.grow(13)
        assert pipe.events() == [10, 12]


@pytest.mark.usefixtures("small")
async def test_a_slow_reader_loses_nothing(store: ChainStore) -> None:
    """What comes while a reader is full is read from the log once it takes again."""
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe, _ = world.open(9, ALL._replace(principal=INSIDER))
        pipe.block()
        for size in range(11, 40):
            world.grow(size)
            await anyio.wait_all_tasks_blocked()
        assert pipe.events() == [10]
        pipe.unblock()
        await anyio.wait_all_tasks_blocked()
        world.grow(41)
        assert pipe.events() == list(range(10, 41))


async def test_who_is_ahead_is_live_when_the_log_arrives(store: ChainStore) -> None:
    """A reader that saw more at another gateway gets nothing twice, and then all at once."""
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe, _ = world.open(11)
        world.grow(11)
        world.grow(12)
        world.grow(13)
        assert pipe.events() == [12]


async def test_equal_streams_share_their_bytes(store: ChainStore) -> None:
    """Streams of one lane are given the same object, of which there is one."""
    world = World(store)
    world.grow(10)
    written: list[bytes] = []
    async with running(world):
        for _ in range(3):
            pipe, _ = world.open(9)
            pipe.write = written.append  # type: ignore[method-assign, assignment]
        world.grow(11)
    assert len(written) == 3
    assert len({id(data) for data in written}) == 1


async def test_streams_that_are_behind_read_together(store: ChainStore) -> None:
    """A hundred streams at one place of the store cost the reads of one."""
    world = World(store)
    world.grow(COUNT, is_followed=False)
    async with running(world):
        pipes = [world.open(-1)[0] for _ in range(100)]
        await anyio.wait_all_tasks_blocked()
    assert all(len(pipe.events()) == 40 for pipe in pipes)  # a third is secret
    assert world.access.reads == 1


async def test_a_failed_shared_read_is_tried_by_the_next(store: ChainStore) -> None:
    """Who waits for a read that fails does not fail with it, but reads again."""
    access = FakeAccess(store)
    pages = SharedPages(access)
    wanted = wanted_of(INTERESTS[0], lambda _: True)
    gate, failures = anyio.Event(), 0

    async def in_thread(read: Callable[[ChainStore], T]) -> T:
        nonlocal failures
        if not failures:
            failures += 1
            await gate.wait()
            raise OSError
        return read(store)

    access.in_thread = in_thread  # type: ignore[method-assign]
    pieces: list[Piece] = []

    async def first() -> None:
        with pytest.raises(OSError):  # noqa: PT011 - any
            await pages.read("lane", wanted, SERVER_SENT_EVENTS, -1)

    async def second() -> None:
        pieces.append(await pages.read("lane", wanted, SERVER_SENT_EVENTS, -1))

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        assert not pieces
        gate.set()
    assert pieces[0].last == COUNT - 1


async def test_silent_streams_are_told_of_life(store: ChainStore) -> None:
    """A comment or a ping comes when nothing came, and nothing when something did."""
    world = World(store)
    world.grow(10)
    async with running(world):
        (pipe, _), (other, _), (ahead, _) = world.open(9), world.open(9, SOCKET), world.open(20)
        world.fanout._beat()
        assert (pipe.received, other.received) == (chunk(HEARTBEAT), PING)
        assert ahead.received == chunk(HEARTBEAT)
        world.fanout._beat()
        assert (pipe.beats, other.beats) == (1, 1)
        world.grow(11)
        world.fanout._beat()
        assert (pipe.beats, other.beats) == (1, 1)
        world.fanout._beat()
        assert (pipe.beats, other.beats) == (2, 2)


async def test_hidden_events_move_the_reader(store: ChainStore) -> None:
    """With the heartbeat a reader is told how far it is, where the format can say it."""
    world = World(store)
    world.grow(10)
    async with running(world):
        other, _ = world.open(9, NOTHING._replace(interest=INTERESTS[1]))
        world.grow(15)
        assert other.cursor() == 12
        world.fanout._beat()
        world.fanout._beat()
        assert other.cursor() == 14


async def test_a_silent_reader_is_moved_once(store: ChainStore) -> None:
    """A reader is told where it is with one heartbeat, and of life with the next."""
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe, _ = world.open(9, NOTHING)
        world.grow(12)
        assert pipe.received == b""
        world.fanout._beat()
        assert pipe.received == chunk(cursor_block(11))
        world.fanout._beat()
        assert pipe.received == chunk(cursor_block(11))
        world.fanout._beat()
        assert pipe.received == chunk(cursor_block(11)) + chunk(HEARTBEAT)


@pytest.mark.usefixtures("small")
async def test_many_hidden_events_move_the_reader_sooner(store: ChainStore) -> None:
    """Beyond a number of hidden events a reader is moved without a heartbeat, live or behind."""
    world = World(store)
    world.grow(10)
    async with running(world):
        live, _ = world.open(9, NOTHING)
        for size in range(11, 21):
            world.grow(size)
        assert live.cursor() >= 15
        behind, _ = world.open(-1, NOTHING)
        await anyio.wait_all_tasks_blocked()
        assert behind.received == chunk(cursor_block(COUNT - 1))


async def test_a_reader_that_takes_nothing_is_cut(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing can be written for too long the stream ends."""
    monkeypatch.setattr(fanout_module, "GATEWAY_STREAM_SEND_MS_MAX", 20)
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe, subscriber = world.open(9)
        pipe.block()
        world.grow(12)
        assert not subscriber.over.is_set()
        world.grow(14)
        with anyio.fail_after(5):
            await subscriber.over.wait()
        assert pipe.is_cut
        assert subscriber.refusal is None


async def test_a_silent_reader_that_takes_nothing_is_cut(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat finds those that are full though nothing is new, also those that are ahead."""
    monkeypatch.setattr(fanout_module, "GATEWAY_STREAM_SEND_MS_MAX", 20)
    world = World(store)
    world.grow(10)
    async with running(world):
        opened = [world.open(9), world.open(30)]
        for pipe, _ in opened:
            pipe.block()
        for _ in range(3):
            world.fanout._beat()
        with anyio.fail_after(5):
            for pipe, subscriber in opened:
                await subscriber.over.wait()
                assert pipe.is_cut


async def test_closing_ends_every_stream(store: ChainStore) -> None:
    """At the end of the gateway each stream ends and says why, wherever it stands."""
    world = World(store)
    world.grow(10)
    async with running(world):
        opened = [world.open(9), world.open(30), world.open(-1)]
        opened[2][0].block()
        world.fanout.close()
    assert [row[1].refusal and row[1].refusal.code for row in opened] == ["shutting_down"] * 3


async def test_a_void_principal_ends_its_streams(store: ChainStore) -> None:
    """Streams of a token that was revoked end with the next heartbeat, and no others."""
    world = World(store)
    world.grow(10)
    async with running(world):
        (_, kept), (_, ended) = world.open(9), world.open(9, ALL._replace(principal=INSIDER))
        world.void.add(INSIDER)
        world.fanout._beat()
    assert ended.refusal is not None
    assert ended.refusal.code == "unauthenticated"
    assert not kept.over.is_set()


async def test_a_lost_connection_has_no_reason(store: ChainStore) -> None:
    """A stream whose connection is gone is over without a refusal, also while all ends."""
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe, subscriber = world.open(9)
        world.fanout.close()
        assert pipe.on_lost is not None
        pipe.on_lost()
    assert subscriber.over.is_set()
    assert subscriber.refusal is None


async def test_a_reader_that_left_already_is_forgotten(store: ChainStore) -> None:
    """A connection that was lost while its request was judged has no stream."""
    world = World(store)
    world.grow(10)
    async with running(world):
        pipe = FakePipe()
        pipe.is_lost = True
        subscriber = world.fanout.subscribe(pipe, ALL, 3)
        assert subscriber.over.is_set()
        world.fanout.unsubscribe(subscriber)
        await anyio.wait_all_tasks_blocked()
    assert pipe.received == b""


@pytest.mark.usefixtures("small")
async def test_hidden_events_are_a_sign_of_life(store: ChainStore) -> None:
    """A WebSocket that reads through much that is hidden is pinged while it does."""
    world = World(store)
    world.grow(COUNT, is_followed=False)
    async with running(world):
        pipe, _ = world.open(-1, NOTHING._replace(form=WEBSOCKET))
        await anyio.wait_all_tasks_blocked()
    assert pipe.received == PING


async def test_lanes_are_by_what_is_read(store: ChainStore) -> None:
    """Streams share work exactly when interest, readable topics and format are the same."""
    world = World(store)
    namesake = Principal("token/other", INSIDER.scopes, INSIDER.topics, INSIDER.restricted)
    async with running(world):
        for wish in (
            ALL,
            ALL,
            SOCKET,
            NOTHING,
            ALL._replace(principal=INSIDER),
            ALL._replace(principal=namesake),
        ):
            world.open(-1, wish)
    assert len(world.fanout._lanes) == 4
