"""One registration's deliveries: in order, at least once, at the pace of its callback.

Owns what waits for one registration and how its attempts go. A line is told of events as they are
committed; when more wait than it may hold, it lets go of the rest and later reads the journal for
itself, from where it is, until it has caught up. So a dead callback costs a bounded number of
events in memory and nothing of the journal.

Invariant: ``progress.position`` is never beyond an event that was not answered with 2xx.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import anyio
import structlog
from msgspec.structs import replace

from adapters.tmf.hub.audience import Listener, Notification
from adapters.tmf.hub.model import Progress
from adapters.tmf.hub.pace import Pace, retry_after_ms
from adapters.tmf.hub.registrations import Held
from ledger.core.errors import ConcordatError, Unavailable
from ledger.core.limits import (
    TMF_HUB_CATCHING_UP_MAX,
    TMF_HUB_DELIVERIES_MAX,
    TMF_HUB_PENDING_MAX,
    TMF_HUB_RETRIES_MAX,
)

__all__ = ["Answered", "Line", "Offer", "Post", "Shared", "Slice"]

_log: Final = structlog.get_logger("tmf")


class Answered(NamedTuple):
    """What a callback answered."""

    status: int
    headers: Mapping[str, str]


class Post(Protocol):
    """Posts to one callback; raises ConcordatError or ValueError when it cannot be reached."""

    async def __call__(self, notification: Notification) -> Answered:
        """Post one event."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Offer(NamedTuple):
    """What a change makes for one line: at least one notification."""

    number: int
    notifications: list[Notification]


class Slice(NamedTuple):
    """A part of the journal as one line sees it.

    Attributes:
        until: number of the last change that was looked at.
    """

    offers: list[Offer]
    until: int


@dataclass
class Shared:
    """What all lines of a hub share.

    Attributes:
        read: gives a line the next part of the journal behind a number.
        cursor: the number up to which lines are told without reading.
        note: tells that a line's progress is to be written down.
        chance: gives a number from 0 up to 1, to spread retries.
    """

    read: Callable[[Listener, int], Awaitable[Slice]]
    cursor: Callable[[], int]
    note: Callable[["Line"], None]
    pace: Pace
    chance: Callable[[], float]
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    fresh: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(TMF_HUB_DELIVERIES_MAX))
    tired: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(TMF_HUB_RETRIES_MAX))
    reading: anyio.Semaphore = field(
        default_factory=lambda: anyio.Semaphore(TMF_HUB_CATCHING_UP_MAX)
    )


class Line:
    """What waits for one registration.

    Attributes:
        seen: number up to which changes were looked at for it.
        is_behind: it is not told of new changes, it reads for itself.
    """

    def __init__(self, held: Held, listener: Listener, post: Post, shared: Shared) -> None:
        self.id = held.registration.id
        self.listener = listener
        self.progress = held.progress
        self.seen = held.progress.position
        self.is_behind = True
        self._callback = held.registration.callback
        self._post = post
        self._shared = shared
        self._pending: deque[Notification] = deque()
        self._wake = anyio.Event()

    def offer(self, offer: Offer) -> None:
        """Take what a new change makes for it, or fall behind."""
        if self.is_behind or offer.number <= self.seen:
            return
        if len(self._pending) + len(offer.notifications) > TMF_HUB_PENDING_MAX:
            self.is_behind = True
            return
        self._pending.extend(offer.notifications)
        self.seen = offer.number
        self._wake.set()

    def passed(self, number: int) -> None:
        """Note that changes up to a number were looked at for it."""
        if not self.is_behind and number > self.seen:
            self.seen = number
            if not self._pending:
                self.progress = replace(self.progress, position=number)

    async def run(self) -> None:
        """Deliver until the registration ended or this is cancelled."""
        try:
            while self.progress.state != "ended":
                if self._pending:
                    await self._deliver(self._pending[0])
                elif self.is_behind:
                    await self._catch_up()
                else:
                    self._wake = anyio.Event()
                    await self._wake.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._post.close()

    async def _catch_up(self) -> None:
        async with self._shared.reading:
            part = await self._shared.read(self.listener, self.seen)
        for offer in part.offers:
            self._pending.extend(offer.notifications)
        self.seen = part.until
        self._settle()
        # No await between these lines and the reading of the cursor: from here on it is told.
        self.is_behind = self.seen < self._shared.cursor()

    async def _deliver(self, notification: Notification) -> None:
        """Make one attempt; what comes of it stands in the progress."""
        wait_ms = self.progress.retry_at_ms - self._shared.now_ms()
        if wait_ms > 0:
            await anyio.sleep(wait_ms / 1000)
        slots = self._shared.tired if self.progress.attempts else self._shared.fresh
        async with slots:
            answered, error = await self._attempt(notification)
        now_ms = self._shared.now_ms()
        if answered is not None and not error:
            self._pending.popleft()
            self.progress = Progress(self.progress.position, told_ms=now_ms)
            self._settle()
        else:
            self._fail(answered, error, now_ms)
        self._shared.note(self)

    async def _attempt(self, notification: Notification) -> tuple[Answered | None, str]:
        """Post once; give what was answered, and why that is no success."""
        try:
            answered = await self._post(notification)
        except Unavailable as error:
            return None, str(error)
        except (ConcordatError, ValueError) as error:
            return None, f"not allowed: {error}"
        if HTTPStatus.OK <= answered.status < HTTPStatus.MULTIPLE_CHOICES:
            return answered, ""
        return answered, f"answered {answered.status}"

    def _settle(self) -> None:
        """Move the position to what is delivered, or concerns others."""
        position = self._pending[0].number - 1 if self._pending else self.seen
        self.progress = replace(self.progress, position=position)

    def _fail(self, answered: Answered | None, error: str, now_ms: int) -> None:
        pace, before = self._shared.pace, self.progress
        attempts, since_ms = before.attempts + 1, before.failing_since_ms or now_ms
        is_gone = answered is not None and answered.status == HTTPStatus.GONE
        if is_gone or now_ms - since_ms >= pace.silence_ms:
            self._end(error, attempts, since_ms)
            return
        wish_ms = retry_after_ms(answered.headers, now_ms) if answered is not None else 0
        pause_ms = max(wish_ms, pace.pause_ms(attempts, self._shared.chance()))
        if attempts == 1:  # later attempts say nothing new
            _log.warning("hub_delivery_failed", callback=self._callback, reason=error)
        self.progress = Progress(
            position=before.position,
            state="failing",
            attempts=attempts,
            error=error,
            failing_since_ms=since_ms,
            retry_at_ms=now_ms + pause_ms,
            told_ms=before.told_ms,
        )

    def _end(self, error: str, attempts: int, since_ms: int) -> None:
        _log.warning("hub_registration_ended", callback=self._callback, reason=error)
        self.progress = Progress(
            position=self.progress.position,
            state="ended",
            attempts=attempts,
            error=error,
            failing_since_ms=since_ms,
            told_ms=self.progress.told_ms,
        )
