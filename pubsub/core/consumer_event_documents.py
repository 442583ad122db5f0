"""The JSON documents about a consumer's events: fetches, settlements and dead letters.

They are the API's contract: OpenAPI schemas are made from these types. Times are milliseconds;
moments are counted since 1970, UTC.
"""

from typing import Annotated

from msgspec import Meta, Struct

from ledger.core.limits import INT_MAX
from pubsub.core import limits
from pubsub.core.cloudevents import CloudEvent
from pubsub.core.consumer.settlement import DeadLetter, Nak, Settlement, Termination

__all__ = [
    "DeliveriesDocument",
    "DeliveryDocument",
    "FetchRequest",
    "LetterDocument",
    "LettersDocument",
    "LettersReplay",
    "LettersReplayed",
    "NakDocument",
    "SettledDocument",
    "SettlementRequest",
    "TerminationDocument",
    "letter_document",
    "settlement_of",
]

_Number = Annotated[int, Meta(ge=0, le=INT_MAX)]
_Named = Annotated[tuple[_Number, ...], Meta(max_length=limits.CONSUMER_SETTLED_MAX)]


class NakDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """An event to be given out again after ``delay_ms``, or after the consumer's backoff."""

    sequence: _Number
    delay_ms: Annotated[int, Meta(ge=0, le=limits.CONSUMER_DELAY_MS_MAX)] | None = None


class TerminationDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """An event that can never be handled, and why; it becomes a dead letter."""

    sequence: _Number
    reason: Annotated[str, Meta(max_length=limits.CONSUMER_REASON_CHARS_MAX)] = ""


class SettlementRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of events that were given out; no event may be named twice.

    Attributes:
        ack: handled.
        ack_through: everything up to this sequence is handled; for cumulative consumers.
        nak: not handled, to be given out again.
        in_progress: still being handled: the wait begins anew.
        terminate: can never be handled.
    """

    ack: _Named = ()
    ack_through: _Number | None = None
    nak: Annotated[tuple[NakDocument, ...], Meta(max_length=limits.CONSUMER_SETTLED_MAX)] = ()
    in_progress: _Named = ()
    terminate: Annotated[
        tuple[TerminationDocument, ...], Meta(max_length=limits.CONSUMER_SETTLED_MAX)
    ] = ()


class SettledDocument(Struct, frozen=True):
    """What was made of a settlement.

    Attributes:
        settled: events that it changed.
        unknown: named events that were not given out any more: they were settled or given up
            before, or wait for another attempt.
    """

    settled: int
    unknown: tuple[int, ...]


class FetchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A fetch.

    Attributes:
        max_events: at most so many events.
        wait_ms: when there is none, wait so long for the first one.
        max_bytes: at most so many bytes of encoded events, but one event whatever its size.
        settle: what became of earlier events, so that one request does for both; it is taken
            before anything is given out, and refuses the whole request when it is refused.
    """

    max_events: Annotated[int, Meta(ge=1, le=limits.CONSUMER_FETCH_EVENTS_MAX)] = (
        limits.CONSUMER_FETCH_EVENTS
    )
    wait_ms: Annotated[int, Meta(ge=0, le=limits.CONSUMER_FETCH_WAIT_MS_MAX)] = (
        limits.CONSUMER_FETCH_WAIT_MS
    )
    max_bytes: Annotated[int, Meta(ge=1, le=limits.CONSUMER_FETCH_BYTES_MAX)] = (
        limits.CONSUMER_FETCH_BYTES_MAX
    )
    settle: SettlementRequest | None = None


class DeliveryDocument(Struct, frozen=True):
    """One event that is given out.

    Attributes:
        sequence: its place in the ledger, by which it is settled.
        deliveries: how often it was given out now, 1 the first time.
    """

    sequence: int
    deliveries: int
    event: CloudEvent


class DeliveriesDocument(Struct, frozen=True):
    """What a fetch gives; none when there was nothing in time.

    Attributes:
        settled: what was made of the settlement that came with it, null when there was none.
    """

    deliveries: list[DeliveryDocument]
    settled: SettledDocument | None


class LetterDocument(Struct, frozen=True):
    """An event that was given up; the event itself stays in the ledger.

    Attributes:
        reason: ``max_deliveries``, or ``terminated`` and what the subscriber said.
        deliveries: how often it was given out.
        time_ms: when it was given up.
        is_replaying: it will be given out again and is then no dead letter any more.
    """

    sequence: int
    reason: str
    deliveries: int
    time_ms: int
    is_replaying: bool


class LettersDocument(Struct, frozen=True):
    """Dead letters, ascending; ``next`` is to be given as ``after``, or null at the end."""

    dead_letters: list[LetterDocument]
    next: int | None


class LettersReplay(Struct, frozen=True, forbid_unknown_fields=True):
    """Dead letters that are to be given out again; all when ``sequences`` is left out."""

    sequences: _Named | None = None


class LettersReplayed(Struct, frozen=True):
    """How many dead letters will be given out again that were not already going to be."""

    replayed: int


def settlement_of(request: SettlementRequest) -> Settlement:
    """Give the settlement that a client sends."""
    return Settlement(
        ack=request.ack,
        ack_through=request.ack_through,
        nak=tuple(Nak(each.sequence, each.delay_ms) for each in request.nak),
        in_progress=request.in_progress,
        terminate=tuple(Termination(each.sequence, each.reason) for each in request.terminate),
    )


def letter_document(letter: DeadLetter) -> LetterDocument:
    """Describe a dead letter."""
    return LetterDocument(
        letter.sequence, letter.reason, letter.deliveries, letter.time_ms, letter.is_replaying
    )
