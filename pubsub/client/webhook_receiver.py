"""An ASGI middleware for whoever receives webhooks: verifies, deduplicates, consents.

Owns what stands between the network and the receiver's own code: only a delivery that a gateway
signed passes, each event in it carries its publisher's signature, and what was taken once is
answered without being handed on again. A gateway delivers at least once; so an effect that must
happen exactly once records the event's id together with the effect, by a :class:`Seen` of its own.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ledger.core.errors import DecodeError, Rejected
from ledger.core.event import signature_check
from ledger.core.ids import EventId
from ledger.core.signing import verify_many
from pubsub.core.cloudevents import ReceivedEvent
from pubsub.core.limits import RECEIVER_BODY_BYTES_MAX, RECEIVER_SEEN_MAX
from pubsub.core.webhook.receiving import read_delivery
from pubsub.core.webhook.signing import read_verifying_key, verify_headers

__all__ = ["Delivered", "MemorySeen", "Seen", "WebhookReceiver"]

# The ASGI types, without a framework.
_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_SUCCESS: Final = range(200, 300)
_AGAIN: Final = ((b"retry-after", b"1"),)


class Delivered(NamedTuple):
    """What the application behind the receiver finds at ``scope["concordat.delivered"]``.

    Attributes:
        id: the delivery's ``webhook-id``.
        events: the events in it that were not taken before, in their order.
    """

    id: str
    events: tuple[ReceivedEvent, ...]


class Seen(Protocol):
    """Remembers which events were taken."""

    async def has(self, id_: EventId) -> bool:
        """Say whether the event was taken."""
        ...

    async def add(self, ids: Iterable[EventId]) -> None:
        """Remember that events were taken."""
        ...


class MemorySeen:
    """Remembers the newest events of this process; a restart forgets them."""

    def __init__(self, count_max: int = RECEIVER_SEEN_MAX) -> None:
        """Remember up to ``count_max`` events."""
        self._count_max = count_max
        self._ids: OrderedDict[EventId, None] = OrderedDict()

    async def has(self, id_: EventId) -> bool:
        """Say whether the event was taken."""
        return id_ in self._ids

    async def add(self, ids: Iterable[EventId]) -> None:
        """Remember that events were taken; forget the oldest."""
        for id_ in ids:
            self._ids[id_] = None
        while len(self._ids) > self._count_max:
            self._ids.popitem(last=False)


class _RefusedError(Exception):
    """A request is answered without the application."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class WebhookReceiver:
    """Passes verified deliveries with new events to an ASGI application.

    The application answers with 2xx when it took all of them; with anything else they come again.
    """

    def __init__(
        self,
        app: _App,
        keys: Iterable[str],
        *,
        seen: Seen | None = None,
        origins: Collection[str] = ("*",),
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        """Take deliveries that are signed for one of ``keys``.

        Args:
            keys: what the gateway showed when the webhook was made: ``whsec_`` or ``whpk_`` keys;
                both of them while one is replaced.
            seen: remembers what was taken; in memory by default.
            origins: DNS names of gateways that may deliver here, ``*`` for any.

        Raises:
            DecodeError: a key is malformed.
        """
        self._app = app
        self._keys = [read_verifying_key(key) for key in keys]
        self._seen = seen or MemorySeen()
        self._origins = frozenset(origin.lower() for origin in origins)
        self._now_s = now_s
        self._running: set[EventId] = set()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            if scope["method"] == "OPTIONS":
                await self._consent(headers, send)
            elif scope["method"] == "POST":
                await self._take(scope, headers, await _read_body(receive), send)
            else:
                await _answer(send, HTTPStatus.METHOD_NOT_ALLOWED, "deliveries are sent by POST")
        except _RefusedError as error:
            await _answer(send, error.status, str(error))

    async def _consent(self, headers: dict[str, str], send: _Send) -> None:
        """Answer the question of CloudEvents' handshake."""
        origin = headers.get("webhook-request-origin", "").lower()
        if not origin or not self._origins & {"*", origin}:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "this origin may not deliver here")
        allowed = ((b"webhook-allowed-origin", origin.encode()), (b"webhook-allowed-rate", b"*"))
        await _answer(send, HTTPStatus.NO_CONTENT, "", allowed)

    async def _take(self, scope: _Scope, headers: dict[str, str], body: bytes, send: _Send) -> None:
        id_, events = self._read(headers, body)
        if any(event.opened.id in self._running for event in events):
            # Another attempt of the same event is at work: what becomes of it counts.
            await _answer(send, HTTPStatus.SERVICE_UNAVAILABLE, "it is being taken", _AGAIN)
            return
        running = {event.opened.id for event in events}
        self._running |= running
        try:
            unseen = [event for event in events if not await self._seen.has(event.opened.id)]
            if unseen:
                delivered = Delivered(id_, tuple(unseen))
                inner = {**scope, "concordat.delivered": delivered}
                await self._app(inner, _replay(body), self._noting(delivered, send))
            else:
                await _answer(send, HTTPStatus.NO_CONTENT, "")
        finally:
            self._running -= running

    def _read(self, headers: dict[str, str], body: bytes) -> tuple[str, tuple[ReceivedEvent, ...]]:
        """Verify a delivery; give its id and events. Raises _RefusedError."""
        try:
            id_ = verify_headers(self._keys, headers, body, self._now_s())
        except DecodeError as error:
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, str(error)) from None
        try:
            events = read_delivery(headers, body)
        except (DecodeError, Rejected) as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
        if not all(verify_many([signature_check(event.opened) for event in events])):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "a publisher's signature does not hold")
        return id_, events

    def _noting(self, delivered: Delivered, send: _Send) -> _Send:
        """Give a ``send`` that remembers the events before a success is answered."""

        async def note(message: _Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _SUCCESS:
                await self._seen.add(event.opened.id for event in delivered.events)
            await send(message)

        return note


async def _read_body(receive: _Receive) -> bytes:
    """Read a whole body. Raises _RefusedError."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "the sender left")
        body += message.get("body", b"")
        if len(body) > RECEIVER_BODY_BYTES_MAX:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the delivery is too long")
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes) -> _Receive:
    """Give a ``receive`` from which the application reads the body again."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> _Message:
        return next(messages, {"type": "http.disconnect"})

    return receive


async def _answer(
    send: _Send, status: HTTPStatus, text: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = text.encode()
    rows = [(b"content-length", str(len(body)).encode()), *headers]
    if body:
        rows.append((b"content-type", b"text/plain; charset=utf-8"))
    await send({"type": "http.response.start", "status": int(status), "headers": rows})
    await send({"type": "http.response.body", "body": body, "more_body": False})
