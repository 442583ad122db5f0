"""What a client can ask, as flows: requests, and how their answers become values.

Owns the paths and media types of the HTTP API. Knows no I/O library: both clients run these.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from ledger.core.codec import encode
from ledger.core.errors import (
    DecodeError,
    Offence,
    PeerFault,
    ProofError,
    RejectCode,
    Rejected,
    Unavailable,
)
from ledger.core.event import OpenEntry, open_entry
from ledger.core.genesis import Genesis, read_genesis
from ledger.core.ids import EventId, Sequence
from ledger.core.limits import CLIENT_BULK_BYTES_MAX, CLIENT_BULK_EVENTS_MAX
from ledger.core.proof import ProofBundle, Verifier, decode_bundle, with_entry
from pubsub.client.answers import (
    Answer,
    LedgerEvent,
    Receipt,
    Refused,
    ledger_event,
    raise_problem,
    read_problem,
    read_receipts,
)
from pubsub.client.checking import LogChecker
from pubsub.client.completeness import ProvenRange
from pubsub.client.exchange import Flow, Gateways, Pause, Request, pause_ms, retry_after_ms
from pubsub.client.following import Batch, Follower
from pubsub.client.topic_calls import TopicChecker, prove_complete, topics
from pubsub.core.documents import Status
from pubsub.core.problems import HttpCode
from pubsub.core.topic_documents import TopicsDocument

__all__ = ["Calls", "Page", "Wait", "chunks", "event_id_of", "stream_request"]

Wait = Literal["accepted", "final", "proof"]
"""What publishing waits for: taken over by the node, in the ledger for ever, or proven."""

_MEDIA_JSON: Final = "application/json"
_MEDIA_BATCH: Final = "application/cloudevents-batch+json"
_BRIEF: Final = "return=minimal"
_MEDIA_BULK: Final = "application/vnd.concordat.events+msgpack"
_MEDIA_ENTRY: Final = "application/vnd.concordat.event+msgpack"
_MEDIA_PROOF: Final = "application/vnd.concordat.proof+msgpack"
_MEDIA_STREAM: Final = "text/event-stream"
_OK: Final = (200, 202)
_WITHOUT_ENTRY: Final = "the gateway has forgotten the event: its proof needs the one that you kept"
_ID_BYTES: Final = 32

_read_status = msgspec.json.Decoder(Status).decode


class Page(NamedTuple):
    """Events of one page, and whether the log ends there for now."""

    events: list[LedgerEvent]
    is_last: bool


def chunks(entries: Iterable[OpenEntry]) -> Iterator[list[OpenEntry]]:
    """Cut events into pieces that fit one bulk request."""
    piece: list[OpenEntry] = []
    size = 0
    for opened in entries:
        size += len(opened.entry)
        if piece and (len(piece) == CLIENT_BULK_EVENTS_MAX or size > CLIENT_BULK_BYTES_MAX):
            yield piece
            piece, size = [], len(opened.entry)
        piece.append(opened)
    if piece:
        yield piece


def event_id_of(name: EventId | str) -> EventId:
    """Read an event id: 32 bytes, or the same in hexadecimal. Raises ValueError."""
    value = bytes.fromhex(name) if isinstance(name, str) else name
    if len(value) != _ID_BYTES:
        raise ValueError("an event id has 32 bytes, 64 hexadecimal digits")
    return EventId(value)


def stream_request(follower: Follower) -> Request:
    """Give the request that opens the stream where ``follower`` stands."""
    return Request("GET", "/v1/stream", _MEDIA_STREAM, follower.stream_parameters())


class Calls:
    """The flows of one client.

    Attributes:
        verifier: checks proofs against the genesis that the user trusts, or None.
    """

    def __init__(self, gateways: Gateways, genesis: Genesis | None) -> None:
        self.gateways = gateways
        self.verifier = None if genesis is None else Verifier(genesis)

    def checker(self, follower: Follower, *, complete: bool = False) -> LogChecker | TopicChecker:
        """Give a checker for the events that ``follower`` reads.

        Args:
            complete: also that none of its topics' events is left out.

        Raises:
            ValueError: the client was made without genesis, or what is read has other conditions
                than a topic.
        """
        verifier = self.require_verifier()
        if not complete or follower.is_complete:
            return LogChecker(verifier, is_complete=follower.is_complete)
        if follower.topic is None:
            raise ValueError("that nothing was left out can be shown of topics alone")
        begin = None if follower.cursor is None else follower.cursor + 1
        return TopicChecker(verifier, follower.topic, begin)

    def require_verifier(self) -> Verifier:
        """Give what checks proofs. Raises ValueError when the client was made without genesis."""
        if self.verifier is None:
            raise ValueError("checking proofs needs genesis: Client(url, genesis=...)")
        return self.verifier

    def topics(self, after: str = "") -> Flow[TopicsDocument]:
        """Read a page of the topics that may be read, and their rules, as the gateway says."""
        return (yield from topics(self.gateways, after))

    def prove_complete(
        self, pattern: str, events: Iterable[LedgerEvent], begin: int | None
    ) -> Flow[ProvenRange]:
        """Show that events are all that the ledger holds on a pattern's topics.

        Raises:
            ProofError: they are not, or nothing shows it.
            ValueError: no genesis, or no pattern.
        """
        verifier = self.require_verifier()
        return (yield from prove_complete(self.gateways, verifier, pattern, events, begin))

    def publish(self, opened: OpenEntry, wait: Wait) -> Flow[Receipt]:
        """Publish one event. Raises Rejected, PeerFault, Unavailable, ProofError."""
        (receipt,) = yield from self.publish_chunk([opened], wait)
        if receipt.code is not None:
            raise Rejected(receipt.code, receipt.detail)
        return receipt

    def publish_chunk(self, entries: list[OpenEntry], wait: Wait) -> Flow[list[Receipt]]:
        """Publish what fits one request; give one receipt for each event, in order.

        Raises:
            Unavailable: the network did not take all of them in time. Publishing them again is
                safe: what was taken is a duplicate then.
            PeerFault, ProofError: a gateway's answer is not what it must be.
        """
        timing = self.gateways.timing
        give_up_at = timing.now_ms() + timing.give_up_ms
        receipts: dict[EventId, Receipt] = {}
        own = {opened.id: opened for opened in entries}
        left, attempt = list(own.values()), 0
        while left:
            answer = yield from self.gateways.exchange(_publish_request(left, wait))
            if answer.status not in _OK:
                raise_problem(answer)
            for receipt in read_receipts(answer, left):
                if receipt.code is not RejectCode.OVERLOADED:
                    receipts[receipt.id] = self._checked(receipt, wait, own[receipt.id].entry)
            left = [opened for opened in left if opened.id not in receipts]
            if left:
                attempt += 1
                pause = max(pause_ms(timing, attempt), retry_after_ms(answer))
                if timing.now_ms() + pause > give_up_at:
                    raise Unavailable(f"the node is overloaded: {len(left)} events were not taken")
                yield Pause(pause)
        return [receipts[opened.id] for opened in entries]

    def _checked(self, receipt: Receipt, wait: Wait, entry: bytes) -> Receipt:
        """Hold a receipt to what was asked for; complete the proof of an event of long ago."""
        if receipt.code is not None:
            return receipt
        if wait != "accepted" and receipt.status != "final":
            raise PeerFault(Offence.MALFORMED, "the gateway did not wait until the event is final")
        if wait == "proof":
            bundle = receipt.proof
            if bundle is None:
                raise PeerFault(Offence.MALFORMED, "the gateway did not send the proof")
            bundle = bundle if bundle.entry else with_entry(bundle, entry)
            self._verify(bundle, receipt.id, receipt.sequence)
            return receipt._replace(proof=bundle)
        return receipt

    def event(self, id_: EventId) -> Flow[LedgerEvent | None]:
        """Read one event; None when this gateway's ledger does not hold it."""
        request = Request("GET", f"/v1/events/{id_.hex()}", _MEDIA_ENTRY)
        answer = yield from self._find(request)
        if answer is None:
            return None
        sequence = answer.number("concordat-sequence", -1)
        try:
            opened = open_entry(answer.body)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not an event: {error}") from None
        if opened.id != id_ or sequence < 0:
            raise PeerFault(Offence.MALFORMED, "another event than the one asked for")
        return LedgerEvent(Sequence(sequence), opened.event, opened.id, opened.entry)

    def proof(self, id_: EventId, kept: bytes | None = None) -> Flow[ProofBundle | None]:
        """Read the proof of one event, verified if there is genesis; None as for an event.

        Args:
            kept: the event's entry, for a gateway that has forgotten it.
        """
        request = Request("GET", f"/v1/events/{id_.hex()}/proof", _MEDIA_PROOF)
        for _ in self.gateways.urls:
            answer = yield from self._find(request)
            if answer is None:
                return None
            try:
                bundle = decode_bundle(answer.body)
                if not bundle.entry and kept is None:
                    self.gateways.leave(self.gateways.url)  # another member may keep more
                    continue
                bundle = bundle if bundle.entry else with_entry(bundle, kept or b"")
                self._verify(bundle, id_, None)
            except DecodeError as error:
                raise PeerFault(Offence.MALFORMED, f"not a proof: {error}") from None
            return bundle
        raise Refused(HttpCode.FORGOTTEN, _WITHOUT_ENTRY)

    def _verify(self, bundle: ProofBundle, id_: EventId, sequence: Sequence | None) -> None:
        """Hold a proof to the event that it was asked for. Raises ProofError, DecodeError."""
        if open_entry(bundle.entry).id != id_ or sequence not in (None, bundle.sequence):
            raise ProofError("the proof is of another event than the one asked for")
        if self.verifier is not None:
            self.verifier.verify(bundle)

    def _find(self, request: Request) -> Flow[Answer | None]:
        answer = yield from self.gateways.exchange(request)
        if answer.status in _OK:
            return answer
        if read_problem(answer).code in (HttpCode.EVENT_NOT_FOUND, HttpCode.EVENT_REFUSED):
            return None
        raise_problem(answer)

    def page(self, follower: Follower, checker: LogChecker | TopicChecker | None) -> Flow[Page]:
        """Read the next page and move ``follower`` behind it."""
        request = Request("GET", "/v1/events", _MEDIA_BATCH, follower.page_parameters())
        answer = yield from self.gateways.exchange(request)
        if answer.status not in _OK:
            raise_problem(answer)
        events = yield from self.accept(follower, follower.read_page(answer), checker)
        assert follower.cursor is not None
        return Page(events, follower.cursor + 1 >= answer.number("concordat-log-size", 0))

    def accept(
        self, follower: Follower, batch: Batch, checker: LogChecker | TopicChecker | None
    ) -> Flow[list[LedgerEvent]]:
        """Check a batch that ``follower`` read, and only then move it.

        Raises:
            ProofError: the ledger does not hold what the gateway sent.
        """
        if isinstance(checker, TopicChecker):
            yield from checker.check(self.gateways, batch.events, batch.cursor)
        elif checker is not None:
            bundles: dict[EventId, ProofBundle] = {}
            for id_ in checker.wanted(batch.events):
                bundle = yield from self._bundle(id_)
                bundles[id_] = bundle
            checker.check(batch.events, bundles)
        follower.cursor = batch.cursor
        is_verified = checker is not None
        return [ledger_event(item)._replace(is_verified=is_verified) for item in batch.events]

    def _bundle(self, id_: EventId) -> Flow[ProofBundle]:
        """Read the proof of an event that some gateway just sent."""
        bundle = yield from self.proof(id_)
        if bundle is None:
            self.gateways.leave(self.gateways.url)
            raise Unavailable("a gateway does not hold yet what another one sent")
        return bundle

    def genesis(self) -> Flow[Genesis]:
        """Read the genesis that the gateway serves: trust it only after comparing its hash."""
        answer = yield from self._read("/v1/genesis")
        try:
            return read_genesis(answer.body)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, str(error)) from None

    def status(self) -> Flow[Status]:
        """Read the gateway's account of itself, its node and the chain."""
        answer = yield from self._read("/v1/status")
        try:
            return _read_status(answer.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PeerFault(Offence.MALFORMED, f"not a status: {error}") from None

    def _read(self, path: str) -> Flow[Answer]:
        answer = yield from self.gateways.exchange(Request("GET", path, _MEDIA_JSON))
        if answer.status not in _OK:
            raise_problem(answer)
        return answer


def _publish_request(entries: list[OpenEntry], wait: Wait) -> Request:
    body = encode([opened.entry for opened in entries])
    parameters: Mapping[str, str] = {} if wait == "accepted" else {"wait": wait}
    return Request("POST", "/v1/events", _MEDIA_JSON, parameters, body, _MEDIA_BULK, _BRIEF)
