"""Every open stream: one reading of the log, one filtering and one encoding for all of them.

Owns the cursors. Streams of equal wishes, rights and format share a *lane*. A stream that is up to
date is *live*: it has the cursor of the fan-out itself, and what is new is written to it at once,
by the task that read it. A stream whose reader does not take what it was given is *behind*: it has
a cursor of its own and a task that waits for the reader, reads the window or the store, and ends
when the stream is live again. So a slow reader costs no memory, loses nothing and holds up nobody;
one that takes nothing at all for GATEWAY_STREAM_SEND_MS_MAX is cut off and may come back.

Invariant: all that a stream wants up to its cursor was written to it, in order and once.
"""

from collections.abc import Callable
from typing import NamedTuple

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ledger.core.limits import GATEWAY_STREAM_SEND_MS_MAX
from pubsub.core.interest import Interest
from pubsub.core.interest_index import InterestIndex
from pubsub.core.limits import STREAM_HIDDEN_MAX
from pubsub.core.problems import HttpCode, Refusal, Unauthenticated
from pubsub.core.rights import Principal
from pubsub.io.feed import Feed, FeedRow
from pubsub.io.pipe import Pipe
from pubsub.io.shared_pages import Piece, SharedPages
from pubsub.io.store_access import StoreAccess
from pubsub.io.stream_format import StreamFormat
from pubsub.io.wanted import wanted_of

__all__ = ["Fanout", "Subscriber", "Wish"]


class Wish(NamedTuple):
    """Who wants what, and how."""

    interest: Interest
    principal: Principal
    form: StreamFormat


class Subscriber:
    """One open stream.

    Attributes:
        cursor: all that it wants up to this sequence was written; a live one has the fan-out's.
        over: set when the stream ends, whoever ends it.
        refusal: why the gateway ends it; None when the connection ended.
    """

    __slots__ = ("cursor", "lane", "over", "pipe", "principal", "refusal")

    def __init__(self, pipe: Pipe, principal: Principal, lane: "_Lane", cursor: int) -> None:
        self.pipe = pipe
        self.principal = principal
        self.lane = lane
        self.cursor = cursor
        self.over = anyio.Event()
        self.refusal: Refusal | None = None

    def lose(self) -> None:
        """End it: there is no connection any longer."""
        self.refusal = None
        self.over.set()

    def refuse(self, refusal: Refusal) -> None:
        """End it, unless it is over."""
        if not self.over.is_set():
            self.refusal = refusal
            self.over.set()


class _Lane:
    """Streams that get the same bytes.

    Attributes:
        live: those that are up to date.
        count: all of them.
        announced: the sequence behind which a live reader would resume, at least.
        is_silent: nothing was written since the last heartbeat.
    """

    __slots__ = ("announced", "count", "form", "is_silent", "key", "live", "may_read", "wanted")

    def __init__(self, key: "_Key", wish: Wish, cursor: int) -> None:
        self.key = key
        self.form = wish.form
        self.may_read = wish.principal.may_read
        self.wanted = wanted_of(wish.interest, self.may_read)
        self.live: dict[Subscriber, None] = {}
        self.count = 0
        self.announced = cursor
        self.is_silent = True


_Key = tuple[Interest, tuple[str, ...], tuple[str, ...] | None, str]


class Fanout:
    """All streams of a gateway."""

    def __init__(
        self,
        feed: Feed,
        access: StoreAccess,
        heartbeat_ms: int,
        holds: Callable[[Principal], bool],
    ) -> None:
        """Write what comes into ``feed``.

        Args:
            heartbeat_ms: no stream is silent for longer.
            holds: says whether a principal still is what it was; its streams end when not.
        """
        self._feed = feed
        self._pages = SharedPages(access)
        self._heartbeat_ms = heartbeat_ms
        self._holds = holds
        self._cursor = feed.end - 1
        self._swept = self._cursor  # no live reader would resume further back than this
        self._lanes: dict[_Key, _Lane] = {}
        self._index: InterestIndex[_Lane] = InterestIndex()
        self._all: dict[Subscriber, None] = {}
        self._ahead: dict[Subscriber, None] = {}  # they saw more at another gateway
        self._group: TaskGroup | None = None

    async def run(self) -> None:
        """Give signs of life and serve those that are behind, until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            while True:
                # Silence of up to two periods is noticed at the end of the second.
                await anyio.sleep(self._heartbeat_ms / 2000)
                self._beat()

    def subscribe(self, pipe: Pipe, wish: Wish, cursor: int) -> Subscriber:
        """Begin a stream behind the sequence ``cursor``; the caller ends it."""
        principal = wish.principal
        key = (wish.interest, principal.restricted, principal.topics, wish.form.name)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key, wish, self._cursor)
            self._index.add(lane, wish.interest)
        lane.count += 1
        subscriber = Subscriber(pipe, principal, lane, cursor)
        self._all[subscriber] = None
        pipe.on_lost = subscriber.lose
        if pipe.is_lost:  # while the request was judged
            subscriber.lose()
        else:
            self._place(subscriber, cursor)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a stream."""
        subscriber.over.set()
        subscriber.pipe.on_lost = None
        lane = subscriber.lane
        del self._all[subscriber]
        self._ahead.pop(subscriber, None)
        lane.live.pop(subscriber, None)
        lane.count -= 1
        if not lane.count:
            del self._lanes[lane.key]
            self._index.remove(lane)

    def close(self) -> None:
        """Let every stream end."""
        for subscriber in self._all:
            subscriber.refuse(Refusal(HttpCode.SHUTTING_DOWN, "connect again, with your cursor"))

    def advance(self) -> None:
        """Write what is new in the feed."""
        if not self._feed.covers(self._cursor):  # more came at one time than the window holds
            for lane in self._lanes.values():
                self._fall_behind(list(lane.live), self._cursor)
            self._cursor = self._feed.start - 1
        while rows := self._feed.piece(self._cursor):
            self._deliver(rows)
        for subscriber in [who for who in self._ahead if who.cursor <= self._cursor]:
            del self._ahead[subscriber]
            self._place(subscriber, subscriber.cursor)

    def _deliver(self, rows: list[FeedRow]) -> None:
        before, self._cursor = self._cursor, rows[-1].sequence
        wanted: dict[_Lane, list[FeedRow]] = {}
        for row in rows:
            event, id_ = row.opened.event, row.opened.id
            for lane in self._index.keys(event, id_):
                if lane.may_read(event.topic):
                    wanted.setdefault(lane, []).append(row)
        for lane, found in wanted.items():
            lane.announced = found[-1].sequence
            self._write(lane, b"".join([row.encoded(lane.form) for row in found]), before)
        if self._cursor - self._swept >= STREAM_HIDDEN_MAX:
            self._swept = self._cursor
            for lane in self._lanes.values():
                self._announce(lane)

    def _write(self, lane: _Lane, data: bytes, before: int) -> None:
        """Write to all live streams of a lane; those that cannot take it stay at ``before``."""
        lane.is_silent = False
        blocked: list[Subscriber] = []
        for subscriber in lane.live:
            pipe = subscriber.pipe
            if pipe.is_blocked:
                blocked.append(subscriber)
            else:
                pipe.write(data)
        self._fall_behind(blocked, before)

    def _announce(self, lane: _Lane) -> bool:
        """Tell readers how far they are if they do not know; say whether anything was written."""
        if lane.announced == self._cursor:
            return False
        lane.announced = self._cursor
        data = lane.form.cursor(self._cursor)
        if data:
            self._write(lane, data, self._cursor)
        return bool(data)

    def _beat(self) -> None:
        """End what must end, and say something on every stream that was silent."""
        for subscriber in self._all:
            if not self._holds(subscriber.principal):
                subscriber.refuse(Unauthenticated("the token does not hold any longer"))
        for lane in self._lanes.values():
            if not lane.is_silent:
                lane.is_silent = True
                continue
            lane.is_silent = False
            if self._announce(lane):
                continue
            self._fall_behind([who for who in lane.live if who.pipe.is_blocked], self._cursor)
            for subscriber in lane.live:
                subscriber.pipe.beat(lane.form.heartbeat)
        for subscriber in list(self._ahead):
            if subscriber.pipe.is_blocked:
                del self._ahead[subscriber]
                self._place_behind(subscriber, subscriber.cursor)
            else:
                subscriber.pipe.beat(subscriber.lane.form.heartbeat)

    def _fall_behind(self, subscribers: list[Subscriber], cursor: int) -> None:
        for subscriber in subscribers:
            del subscriber.lane.live[subscriber]
            subscriber.cursor = cursor
            self._place_behind(subscriber, None)

    def _place(self, subscriber: Subscriber, announced: int | None) -> None:
        """Put a stream where its cursor belongs.

        Args:
            announced: the sequence behind which its reader would resume, if that is known.
        """
        if subscriber.cursor > self._cursor:
            self._ahead[subscriber] = None
        elif subscriber.cursor < self._cursor:
            self._place_behind(subscriber, announced)
        else:
            form = subscriber.lane.form
            if announced != subscriber.cursor and (data := form.cursor(subscriber.cursor)):
                subscriber.pipe.write(data)
            subscriber.lane.live[subscriber] = None

    def _place_behind(self, subscriber: Subscriber, announced: int | None) -> None:
        assert self._group is not None, "the fan-out runs before there are streams"
        self._group.start_soon(self._catch_up, subscriber, announced)

    async def _catch_up(self, subscriber: Subscriber, announced: int | None) -> None:
        """Write to a stream at its reader's pace until it is live again."""
        pipe, form = subscriber.pipe, subscriber.lane.form
        while not subscriber.over.is_set():
            if pipe.is_blocked:
                with anyio.move_on_after(GATEWAY_STREAM_SEND_MS_MAX / 1000) as scope:
                    await pipe.drained()
                if scope.cancelled_caught:
                    pipe.cut()
                    return
                continue
            if subscriber.cursor >= self._cursor:
                self._place(subscriber, announced)
                return
            piece = await self._piece(subscriber)
            subscriber.cursor = piece.cursor
            if subscriber.over.is_set():
                return
            if piece.data:
                pipe.write(piece.data)
                announced = piece.last
            elif announced is None or piece.cursor - announced >= STREAM_HIDDEN_MAX:
                announced = piece.cursor
                pipe.write(form.cursor(piece.cursor) or form.heartbeat)

    async def _piece(self, subscriber: Subscriber) -> Piece:
        """Give what comes behind a stream's cursor, from the window if it is there."""
        lane, cursor = subscriber.lane, subscriber.cursor
        if not self._feed.covers(cursor):
            return await self._pages.read(lane, lane.wanted, lane.form, cursor)
        rows = self._feed.piece(cursor)
        found = [row for row in rows if lane.wanted.matches(row.opened)]
        await anyio.lowlevel.checkpoint()  # whoever has much to catch up with lets others write
        data = b"".join([row.encoded(lane.form) for row in found])
        return Piece(data, found[-1].sequence if found else -1, rows[-1].sequence)
