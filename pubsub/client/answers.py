"""What a gateway answers, read strictly into the values that a client's user gets.

Gateways are strangers: an answer is what the API promises, a refusal that becomes an error of
``ledger.core.errors``, or a ``PeerFault``. Nothing here is believed because a gateway says it;
what is bound to its content by a digest or a proof is checked where it is read.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET

from ledger.core.errors import (
    ConcordatError,
    DecodeError,
    Offence,
    PeerFault,
    RejectCode,
    Rejected,
)
from ledger.core.event import Event, OpenEntry
from ledger.core.ids import EventId, Height, Sequence
from ledger.core.proof import ProofBundle, decode_bundle
from pubsub.core import documents
from pubsub.core.cloudevents import ReceivedEvent, read_cloudevent
from pubsub.core.problems import HttpCode

__all__ = [
    "Answer",
    "LedgerEvent",
    "ProblemSummary",
    "Receipt",
    "Refused",
    "ledger_event",
    "raise_problem",
    "read_problem",
    "read_receipts",
    "read_received",
]

_DETAIL_CHARS_MAX = 200
_NUMBER_CHARS_MAX = len("-9223372036854775807")
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
_REJECTIONS = {
    **{str(code): code for code in RejectCode},
    str(HttpCode.INVALID_PARAMETER): RejectCode.MALFORMED,
    str(HttpCode.BODY_TOO_LARGE): RejectCode.TOO_LARGE,
    str(HttpCode.LIST_NOT_FOUND): RejectCode.NO_SUCH_ENTRY,
}
_REFUSALS = {
    str(code): code
    for code in (
        HttpCode.CONSUMER_EXISTS,
        HttpCode.CONSUMER_NOT_FOUND,
        HttpCode.FORBIDDEN,
        HttpCode.FORGOTTEN,
        HttpCode.SETTLEMENT_REFUSED,
        HttpCode.TOO_MANY_CONSUMERS,
        HttpCode.TOO_MANY_DEAD_LETTERS,
        HttpCode.UNAUTHENTICATED,
    )
}


class Refused(ConcordatError):  # noqa: N818 - beside ``Rejected``, which is about events
    """A gateway did not do what was asked: not for this principal, or not as things stand.

    Attributes:
        code: stable machine-readable reason, as in the API's problem documents.
        detail: one sentence for people; may change between releases.
    """

    def __init__(self, code: HttpCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Answer(NamedTuple):
    """One HTTP answer, whole."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def number(self, header: str, absent: int) -> int:
        """Give the whole number in a header (lower-case name), or ``absent``."""
        text = self.headers.get(header, "")
        is_number = len(text) <= _NUMBER_CHARS_MAX and _NUMBER.fullmatch(text)
        return int(text) if is_number else absent


class Receipt(NamedTuple):
    """What became of one published event.

    Attributes:
        id: the event id.
        status: ``pending``: the network took it over; ``final``: it is in the ledger for ever;
            ``refused``: it changed nothing, and ``code`` and ``detail`` say why.
        sequence, height: where it is in the ledger, when final. Only a proof shows it.
        duplicate: the network knew the event before this request. That is no fault: an event has
            one id, and publishing it again changes nothing.
        proof: the verified proof bundle, when it was waited for.
        current_hash: of the event's entity, as the gateway says, when the event did not name that
            as the previous one (``previous_hash_mismatch``); empty when there is no such entity.
    """

    id: EventId
    status: Literal["pending", "final", "refused"]
    code: RejectCode | None = None
    detail: str = ""
    sequence: Sequence | None = None
    height: Height | None = None
    duplicate: bool = False
    proof: ProofBundle | None = None
    current_hash: bytes | None = None


class LedgerEvent(NamedTuple):
    """An event read from the ledger.

    Attributes:
        sequence: its ledger sequence number: the cursor to go on after it.
        entry: the encoded signed event; ``id`` is the digest of the event in it.
        is_verified: whether event, signature and sequence were proven against genesis.
    """

    sequence: Sequence
    event: Event
    id: EventId
    entry: bytes
    is_verified: bool = False


class ProblemSummary(msgspec.Struct, frozen=True):
    """The parts of a problem document that a client acts on."""

    code: str = ""
    detail: str = ""


_read_receipts = msgspec.json.Decoder(documents.Receipts).decode
_read_problem = msgspec.json.Decoder(ProblemSummary).decode


def read_problem(answer: Answer) -> ProblemSummary:
    """Read a problem document; the code is empty when it is none."""
    try:
        return _read_problem(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ProblemSummary(detail=answer.body[:_DETAIL_CHARS_MAX].decode("utf-8", "replace"))


def raise_problem(answer: Answer) -> NoReturn:
    """Raise what an answer that is no success means.

    Raises:
        Rejected: the gateway refused the event, or took the request for malformed.
        Refused: the gateway refused what was asked.
        PeerFault: it is not what a gateway answers.
    """
    problem = read_problem(answer)
    code = _REJECTIONS.get(problem.code)
    if code is not None:
        raise Rejected(code, problem.detail)
    if problem.code in _REFUSALS:
        raise Refused(_REFUSALS[problem.code], problem.detail)
    raise PeerFault(
        Offence.MALFORMED, f"the gateway answered {answer.status} {problem.code}: {problem.detail}"
    )


def read_receipts(answer: Answer, handed_in: list[OpenEntry]) -> list[Receipt]:
    """Read the receipts of a bulk request, one for each entry that was handed in.

    Raises:
        PeerFault: they are not for these entries.
    """
    try:
        told = _read_receipts(answer.body).receipts
        count = sum(map(_count, told))
        if count != len(handed_in) or any(_count(row) < 1 for row in told):
            raise PeerFault(Offence.MALFORMED, f"{count} receipts for {len(handed_in)} events")
        rows = [each for row in told for each in _each(row)]
        return [_receipt(row, opened.id) for row, opened in zip(rows, handed_in, strict=True)]
    except (msgspec.MsgspecError, ValueError, RecursionError, DecodeError) as error:
        raise PeerFault(Offence.MALFORMED, f"unreadable receipts: {error}") from None


def _count(row: documents.Receipt) -> int:
    return 1 if row.count is UNSET else row.count


def _each(row: documents.Receipt) -> Iterator[documents.Receipt]:
    """Give what a receipt says of each event for which it stands."""
    if row.count is UNSET:
        yield row
        return
    sequence, height = row.sequence, row.height
    told = documents.Receipt(
        status=row.status,
        sequence=sequence,
        height=height,
        duplicate=row.duplicate,
        count=row.count,
    )
    if row != told or row.status == "refused":
        # What is said of one event alone would be kept for each, a proof of megabytes for instance.
        raise PeerFault(
            Offence.MALFORMED, "a receipt for several events says more than their place"
        )
    for place in range(row.count):
        yield msgspec.structs.replace(
            row, sequence=sequence if sequence is UNSET else sequence + place
        )


def _receipt(row: documents.Receipt, id_: EventId) -> Receipt:
    if row.id is not UNSET and row.id != id_.hex():
        raise PeerFault(Offence.MALFORMED, "a receipt for another event")
    sequence = None if row.sequence is UNSET else Sequence(row.sequence)
    height = None if row.height is UNSET else Height(row.height)
    if row.status == "final" and sequence is None:
        raise PeerFault(Offence.MALFORMED, "a final event without a sequence")
    detail = "" if row.detail is UNSET else row.detail
    if row.status == "refused":
        code = RejectCode("" if row.code is UNSET else row.code)
        if code is not RejectCode.DUPLICATE:
            now = None if row.current_hash is UNSET else bytes.fromhex(row.current_hash)
            return Receipt(id_, "refused", code, detail, height=height, current_hash=now)
        # The same event is in the ledger or on its way there: what the publisher wanted.
        status: Literal["final", "pending"] = "pending" if sequence is None else "final"
        return Receipt(id_, status, sequence=sequence, height=height, duplicate=True)
    return Receipt(
        id_,
        row.status,
        detail=detail,
        sequence=sequence,
        height=height,
        duplicate=row.duplicate,
        proof=None if row.proof is UNSET else decode_bundle(b64decode(row.proof, validate=True)),
    )


def read_received(text: bytes) -> ReceivedEvent:
    """Read a CloudEvent as a gateway writes it. Its id is that of its content.

    Raises:
        PeerFault: it is none, or does not say its sequence.
    """
    try:
        received = read_cloudevent(text)
    except (DecodeError, Rejected) as error:
        raise PeerFault(Offence.MALFORMED, f"unreadable event: {error}") from None
    if received.sequence is None:
        raise PeerFault(Offence.MALFORMED, "an event without a sequence")
    return received


def ledger_event(received: ReceivedEvent) -> LedgerEvent:
    """Give what a user gets of an event that was read but not verified."""
    opened = received.opened
    assert received.sequence is not None
    return LedgerEvent(received.sequence, opened.event, opened.id, opened.entry)
