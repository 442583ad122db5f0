"""What a client can ask about durable consumers, as flows.

Owns the paths of that part of the HTTP API. A consumer is kept by one gateway, so all of it is
asked of the first URL that the client was given; only proofs may come from any gateway. What is
fetched is held to its content, its sequence and its publisher's signature before it is given out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Struct

from ledger.core.errors import ConcordatError, Offence, PeerFault, ProofError
from ledger.core.event import open_entry, signature_check
from ledger.core.signing import verify_many
from pubsub.client.answers import (
    Answer,
    LedgerEvent,
    Refused,
    ledger_event,
    raise_problem,
    read_received,
)
from pubsub.client.calls import Calls
from pubsub.client.checking import LogChecker, is_fork
from pubsub.client.exchange import Flow, Gateways, Request
from pubsub.client.following import Batch, Follower
from pubsub.core.cloudevents import ReceivedEvent
from pubsub.core.consumer.settlement import Settlement
from pubsub.core.consumer_documents import (
    ConsumerDocument,
    ConsumerRequest,
    ConsumersDocument,
    config_of,
)
from pubsub.core.consumer_event_documents import (
    LettersDocument,
    LettersReplayed,
    SettledDocument,
)
from pubsub.core.limits import CLIENT_FETCH_WAIT_MS_MAX, CONSUMER_FETCH_EVENTS_MAX
from pubsub.core.problems import HttpCode

__all__ = ["ConsumerCalls", "ConsumerTerms", "Fetch", "Fetched", "Row"]

T = TypeVar("T")

_MEDIA_JSON: Final = "application/json"
_SUCCESS: Final = range(200, 300)

_encode = msgspec.json.Encoder().encode
_read_consumer = msgspec.json.Decoder(ConsumerDocument)
_read_consumers = msgspec.json.Decoder(ConsumersDocument)
_read_settled = msgspec.json.Decoder(SettledDocument)
_read_letters = msgspec.json.Decoder(LettersDocument)
_read_replayed = msgspec.json.Decoder(LettersReplayed)


class ConsumerTerms(TypedDict, total=False):
    """How a consumer is made; what is left out is the gateway's default (docs/consumers.md).

    ``topics`` are patterns, ``filters`` those of CloudEvents Subscriptions, as in streams;
    ``start`` is ``first``, ``last``, ``new``, ``last_per_subject``, or ``{"policy": "sequence",
    "sequence": 7}``, or ``{"policy": "time", "time_ms": ...}``.
    """

    topics: Sequence[str]
    filters: Sequence[Mapping[str, object]]
    start: str | Mapping[str, str | int]
    ack_policy: str
    ack_wait_ms: int
    max_in_flight: int
    max_deliveries: int | None
    backoff_ms: Sequence[int]
    is_ordered: bool
    metadata: Mapping[str, str]
    inactive_ms: int | None


class Fetch(NamedTuple):
    """What is wanted of a fetch; ``settle`` is taken before anything is given out."""

    events_max: int
    wait_ms: int
    settle: Settlement | None = None


class Row(NamedTuple):
    """An event that was given out; ``deliveries`` is how often, 1 the first time."""

    event: LedgerEvent
    deliveries: int


class Fetched(NamedTuple):
    """What a fetch gave; ``settled`` is what was made of the settlement in it."""

    rows: list[Row]
    settled: SettledDocument | None


class _Delivery(Struct):
    sequence: int
    deliveries: int
    event: msgspec.Raw


class _Deliveries(Struct):
    deliveries: list[_Delivery]
    settled: SettledDocument | None


_read_deliveries = msgspec.json.Decoder(_Deliveries)


class ConsumerCalls:
    """The flows about durable consumers of one client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._gateways = Gateways(calls.gateways.urls[:1], calls.gateways.timing)

    def now_ms(self) -> int:
        """Give the time of a clock that never goes back."""
        return self._gateways.timing.now_ms()

    def require_genesis(self) -> None:
        """Raise ValueError when the client was made without genesis."""
        if self._calls.verifier is None:
            raise ValueError("checking proofs needs genesis: Client(url, genesis=...)")

    def create(self, name: str, terms: ConsumerTerms) -> Flow[ConsumerDocument]:
        """Make a consumer, or find it as it was made before.

        Raises:
            ValueError: the terms make no sense.
            Refused: there is another one of this name.
        """
        answer = yield from self._ask("POST", "", _encode(_request_of(name, terms)))
        return _read(_read_consumer, answer)

    def get(self, name: str) -> Flow[ConsumerDocument | None]:
        """Read how a consumer stands; None when there is none."""
        try:
            answer = yield from self._ask("GET", _path(name))
        except Refused as error:
            if error.code is HttpCode.CONSUMER_NOT_FOUND:
                return None
            raise
        return _read(_read_consumer, answer)

    def page(self, after: str | None) -> Flow[ConsumersDocument]:
        """Read a page of the consumers, by name."""
        parameters = {} if after is None else {"after": after}
        return _read(_read_consumers, (yield from self._ask("GET", "", b"", parameters)))

    def delete(self, name: str) -> Flow[bool]:
        """Delete a consumer; False when there is none."""
        try:
            yield from self._ask("DELETE", _path(name))
        except Refused as error:
            if error.code is HttpCode.CONSUMER_NOT_FOUND:
                return False
            raise
        return True

    def pause(self, name: str, until_ms: int | None) -> Flow[ConsumerDocument]:
        """Give nothing out before a time."""
        body = _encode({"until_ms": until_ms})
        return _read(_read_consumer, (yield from self._ask("POST", f"{_path(name)}/pause", body)))

    def resume(self, name: str) -> Flow[ConsumerDocument]:
        """End a pause."""
        return _read(_read_consumer, (yield from self._ask("POST", f"{_path(name)}/resume")))

    def fetch(self, name: str, fetch: Fetch) -> Flow[Fetched]:
        """Have events given out; none of them is proven yet.

        Raises:
            ValueError: more is asked for than one fetch may.
            PeerFault: something is not an event, or not as its publisher signed it.
        """
        if not 1 <= fetch.events_max <= CONSUMER_FETCH_EVENTS_MAX:
            raise ValueError(f"a fetch gives 1 to {CONSUMER_FETCH_EVENTS_MAX} events")
        if not 0 <= fetch.wait_ms <= CLIENT_FETCH_WAIT_MS_MAX:
            raise ValueError(f"a fetch waits for at most {CLIENT_FETCH_WAIT_MS_MAX} ms")
        body = {"max_events": fetch.events_max, "wait_ms": fetch.wait_ms, "settle": fetch.settle}
        answer = yield from self._ask("POST", f"{_path(name)}/fetch", _encode(body))
        document = _read(_read_deliveries, answer)
        received = [_received(delivery) for delivery in document.deliveries]
        self._require_signed(received)
        rows = [
            Row(ledger_event(event), delivery.deliveries)
            for event, delivery in zip(received, document.deliveries, strict=True)
        ]
        return Fetched(rows, document.settled)

    def prove(self, rows: list[Row]) -> Flow[list[Row]]:
        """Prove events against the client's genesis, with proofs of any gateway.

        Raises:
            ProofError: no gateway shows one of them, or two proofs contradict each other.
            ValueError: there is no genesis.
        """
        self.require_genesis()
        gateways, verifier = self._calls.gateways, self._calls.verifier
        assert verifier is not None
        for attempt in range(1, len(gateways.urls) + 1):
            batch = Batch([_again(row.event) for row in rows], None)
            checker = LogChecker(verifier, is_complete=False)
            try:
                events = yield from self._calls.accept(Follower({}, None), batch, checker)
            except ProofError as error:
                if is_fork(error) or attempt == len(gateways.urls):
                    raise
                gateways.leave(gateways.url)
            else:
                break
        return [Row(event, row.deliveries) for event, row in zip(events, rows, strict=True)]

    def settle(self, name: str, settlement: Settlement) -> Flow[SettledDocument]:
        """Say what became of events. Raises Refused: nothing of it was taken."""
        answer = yield from self._ask("POST", f"{_path(name)}/settle", _encode(settlement))
        return _read(_read_settled, answer)

    def letters(self, name: str, after: int) -> Flow[LettersDocument]:
        """Read a page of dead letters, by sequence."""
        path = f"{_path(name)}/dead-letters"
        answer = yield from self._ask("GET", path, b"", {"after": str(after)})
        return _read(_read_letters, answer)

    def replay(self, name: str, sequences: Iterable[int] | None) -> Flow[int]:
        """Have dead letters given out again, all when ``sequences`` is None; give how many."""
        body = _encode({"sequences": None if sequences is None else list(sequences)})
        answer = yield from self._ask("POST", f"{_path(name)}/dead-letters/replay", body)
        return _read(_read_replayed, answer).replayed

    def _ask(
        self, method: str, path: str, body: bytes = b"", parameters: Mapping[str, str] = {}
    ) -> Flow[Answer]:
        request = Request(
            method,
            f"/v1/consumers{path}",
            _MEDIA_JSON,
            parameters,
            body,
            _MEDIA_JSON if body else "",
        )
        answer = yield from self._gateways.exchange(request)
        if answer.status not in _SUCCESS:
            raise_problem(answer)
        return answer

    def _require_signed(self, events: list[ReceivedEvent]) -> None:
        verifier = self._calls.verifier
        chain_ids = {event.opened.event.chain_id for event in events}
        if verifier is not None and not chain_ids <= {verifier.chain_id}:
            raise PeerFault(Offence.WRONG_CHAIN, "an event is for another network")
        if not all(verify_many([signature_check(event.opened) for event in events])):
            raise PeerFault(Offence.BAD_SIGNATURE, "a publisher's signature is wrong")


def _request_of(name: str, terms: ConsumerTerms) -> ConsumerRequest:
    """Give the document that asks for a consumer. Raises ValueError."""
    rest = {key: value for key, value in terms.items() if key not in ("topics", "filters", "start")}
    start = terms.get("start", UNSET)
    document = {
        "name": name,
        "interest": {"topics": terms.get("topics", ()), "filters": terms.get("filters", ())},
        **({} if start is UNSET else {"start": _start(start)}),
        **rest,
    }
    try:
        request = msgspec.json.decode(_encode(document), type=ConsumerRequest)
        config_of(request)
    except (msgspec.MsgspecError, ConcordatError) as error:
        raise ValueError(f"not the terms of a consumer: {error}") from None
    return request


def _start(start: str | Mapping[str, str | int]) -> Mapping[str, str | int]:
    return {"policy": start} if isinstance(start, str) else start


def _path(name: str) -> str:
    return f"/{quote(name, safe='')}"


def _received(delivery: _Delivery) -> ReceivedEvent:
    received = read_received(bytes(delivery.event))
    if received.sequence != delivery.sequence:
        raise PeerFault(Offence.MALFORMED, "an event under another event's sequence")
    return received


def _again(event: LedgerEvent) -> ReceivedEvent:
    return ReceivedEvent(open_entry(event.entry), event.sequence, None)


def _read(decoder: msgspec.json.Decoder[T], answer: Answer) -> T:
    try:
        return decoder.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PeerFault(Offence.MALFORMED, f"not an answer about a consumer: {error}") from None
