"""Errors as RFC 9457 problem documents: every code the gateway answers with, and its status.

The codes are stable and clients branch on them; titles and details are for people and may
change. A refused event has the code of its ``RejectCode``.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from ledger.core.errors import ConcordatError, RejectCode
from pubsub.core.documents import Receipt

__all__ = [
    "CHALLENGE",
    "Code",
    "HttpCode",
    "NoLongerHeld",
    "Problem",
    "Refusal",
    "Unauthenticated",
    "problem_status",
]


class HttpCode(StrEnum):
    """Why a request failed, where it is not one refused event. The values are stable."""

    BODY_TIMEOUT = "body_timeout"
    BODY_TOO_LARGE = "body_too_large"
    BLOCK_NOT_FOUND = "block_not_found"
    CONSUMER_EXISTS = "consumer_exists"
    CONSUMER_NOT_FOUND = "consumer_not_found"
    DEAD_LETTER_NOT_FOUND = "dead_letter_not_found"
    DELIVERY_UNAVAILABLE = "delivery_unavailable"
    ENTRY_NOT_FOUND = "entry_not_found"
    EVENT_NOT_FOUND = "event_not_found"
    EVENT_REFUSED = "event_refused"
    FORBIDDEN = "forbidden"
    FORGOTTEN = "forgotten"
    INTERNAL_ERROR = "internal_error"
    INVALID_PARAMETER = "invalid_parameter"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    LIST_NOT_FOUND = "list_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NODE_UNAVAILABLE = "node_unavailable"
    NOT_ACCEPTABLE = "not_acceptable"
    NOT_FINAL_IN_TIME = "not_final_in_time"
    NOT_FOUND = "not_found"
    PARTICIPANT_NOT_FOUND = "participant_not_found"
    PROOF_NOT_READY = "proof_not_ready"
    PROPOSAL_NOT_FOUND = "proposal_not_found"
    SETTLEMENT_REFUSED = "settlement_refused"
    RULE_NOT_FOUND = "rule_not_found"
    SHUTTING_DOWN = "shutting_down"
    STORE_UNAVAILABLE = "store_unavailable"
    SUBPROTOCOL_REQUIRED = "subprotocol_required"
    TOO_MANY_CONSUMERS = "too_many_consumers"
    TOO_MANY_DEAD_LETTERS = "too_many_dead_letters"
    TOO_MANY_FETCHES = "too_many_fetches"
    TOO_MANY_STREAMS = "too_many_streams"
    TOO_MANY_WEBHOOKS = "too_many_webhooks"
    UNAUTHENTICATED = "unauthenticated"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    WEBHOOK_NOT_FOUND = "webhook_not_found"
    WEBHOOK_TARGET_FORBIDDEN = "webhook_target_forbidden"
    WEBHOOK_UNVERIFIED = "webhook_unverified"


Code = RejectCode | HttpCode

_PROBLEMS: Final[dict[Code, tuple[int, str]]] = {
    RejectCode.MALFORMED: (400, "The request or the event is malformed"),
    RejectCode.TOO_LARGE: (413, "The event is too large"),
    RejectCode.WRONG_CHAIN: (422, "The event is for another network"),
    RejectCode.BAD_SIGNATURE: (422, "The signature does not verify"),
    RejectCode.UNKNOWN_PUBLISHER: (403, "The publisher is not a participant"),
    RejectCode.UNKNOWN_KEY: (403, "The key is not one of the publisher's"),
    RejectCode.REVOKED_KEY: (403, "The key was revoked"),
    RejectCode.TOPIC_FORBIDDEN: (403, "The publisher has no right to the topic"),
    RejectCode.TIME_TOO_OLD: (422, "The event's time is too far in the past"),
    RejectCode.TIME_IN_FUTURE: (422, "The event's time is in the future"),
    RejectCode.DUPLICATE: (409, "The event is known already"),
    RejectCode.OPERATION_MALFORMED: (422, "The event carries no operation of its topic"),
    RejectCode.OPERATION_REFUSED: (422, "The operation is not allowed as it stands"),
    RejectCode.NO_SUCH_ENTRY: (404, "There is no such entry"),
    RejectCode.CONFLICT: (409, "The state has changed in between"),
    RejectCode.PREVIOUS_HASH_MISMATCH: (409, "The event does not name what its entity is now"),
    RejectCode.OVERLOADED: (429, "Too many events at the moment"),
    HttpCode.BODY_TIMEOUT: (408, "The body did not arrive in time"),
    HttpCode.BODY_TOO_LARGE: (413, "The body is too large"),
    HttpCode.BLOCK_NOT_FOUND: (404, "There is no such block"),
    HttpCode.CONSUMER_EXISTS: (409, "There is another consumer of this name"),
    HttpCode.CONSUMER_NOT_FOUND: (404, "There is no such consumer"),
    HttpCode.DEAD_LETTER_NOT_FOUND: (404, "There is no such dead letter"),
    HttpCode.DELIVERY_UNAVAILABLE: (503, "This gateway keeps nothing for subscribers"),
    HttpCode.ENTRY_NOT_FOUND: (404, "There is no such entry"),
    HttpCode.EVENT_NOT_FOUND: (404, "There is no such event"),
    HttpCode.EVENT_REFUSED: (404, "The event was refused and is not in the ledger"),
    HttpCode.FORBIDDEN: (403, "This principal may not do that"),
    HttpCode.FORGOTTEN: (410, "This member holds the contents no more"),
    HttpCode.INTERNAL_ERROR: (500, "The gateway failed"),
    HttpCode.INVALID_PARAMETER: (400, "A parameter is unknown or invalid"),
    HttpCode.ISSUER_UNAVAILABLE: (503, "The token's issuer cannot be asked for its keys"),
    HttpCode.LIST_NOT_FOUND: (404, "There is no such list"),
    HttpCode.METHOD_NOT_ALLOWED: (405, "The method is not allowed here"),
    HttpCode.NODE_UNAVAILABLE: (503, "The node cannot be reached"),
    HttpCode.NOT_ACCEPTABLE: (406, "No form of the answer is acceptable"),
    HttpCode.NOT_FINAL_IN_TIME: (504, "Not final in time; it may still become final"),
    HttpCode.NOT_FOUND: (404, "There is nothing here"),
    HttpCode.PARTICIPANT_NOT_FOUND: (404, "There is no such participant"),
    HttpCode.PROOF_NOT_READY: (503, "The proof is not ready yet"),
    HttpCode.PROPOSAL_NOT_FOUND: (404, "There is no such proposal"),
    HttpCode.SETTLEMENT_REFUSED: (422, "The settlement does not fit the consumer"),
    HttpCode.RULE_NOT_FOUND: (404, "No such topics are complete"),
    HttpCode.SHUTTING_DOWN: (503, "The gateway is shutting down"),
    HttpCode.STORE_UNAVAILABLE: (503, "The chain store cannot be read yet"),
    HttpCode.TOO_MANY_CONSUMERS: (409, "Too many consumers"),
    HttpCode.TOO_MANY_DEAD_LETTERS: (409, "The consumer has all the dead letters it may have"),
    HttpCode.TOO_MANY_FETCHES: (429, "Too many fetches wait at this consumer"),
    HttpCode.SUBPROTOCOL_REQUIRED: (400, "No known WebSocket subprotocol is offered"),
    HttpCode.TOO_MANY_STREAMS: (503, "Too many streams are open"),
    HttpCode.TOO_MANY_WEBHOOKS: (409, "Too many webhooks"),
    HttpCode.UNAUTHENTICATED: (401, "A valid token is needed"),
    HttpCode.UNSUPPORTED_MEDIA_TYPE: (415, "The media type is not supported"),
    HttpCode.WEBHOOK_NOT_FOUND: (404, "There is no such webhook"),
    HttpCode.WEBHOOK_TARGET_FORBIDDEN: (422, "The gateway may not call this URL"),
    HttpCode.WEBHOOK_UNVERIFIED: (409, "The webhook's receiver has not consented"),
}
CHALLENGE: Final = 'Bearer realm="concordat"'
"""The way to prove who one is, for ``WWW-Authenticate``."""
_TRY_AGAIN: Final = frozenset({429, 503})


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem document.

    Attributes:
        type: ``urn:concordat:problem:`` and the code.
        title: the code in words, the same each time.
        status: the HTTP status.
        code: the stable code to branch on.
        detail: what happened this time.
        instance: path of the request.
        receipts: what became of each event, where the request carried some and that is known.
        reason: of ``unauthenticated``, why the token that was shown proves nothing; stable, too.
        first_sequence: of ``forgotten``, from which sequence on this member holds events.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    receipts: list[Receipt] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    first_sequence: int | UnsetType = UNSET


class Refusal(ConcordatError):  # noqa: N818 - like Rejected, it is an answer
    """A request is answered with a problem document.

    Attributes:
        code: the stable code; retry_after_s: seconds for ``Retry-After``, or None.
        headers: further response headers.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        receipts: list[Receipt] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status, self._title = _PROBLEMS[code]
        self.headers = headers or {}
        if self.status in _TRY_AGAIN:
            self.headers = {"retry-after": "1", **self.headers}
        self._receipts = receipts

    def problem(self, instance: str) -> Problem:
        """Give the document for the request to the path ``instance``."""
        return Problem(
            type=f"urn:concordat:problem:{self.code}",
            title=self._title,
            status=self.status,
            code=str(self.code),
            detail=self.detail,
            instance=instance,
            receipts=UNSET if self._receipts is None else self._receipts,
        )


class Unauthenticated(Refusal):
    """Nothing was shown that proves who asks, or something that does not."""

    def __init__(self, detail: str, reason: str | None = None) -> None:
        """Refuse; ``reason`` is the stable code of a token that was shown."""
        error = f', error="invalid_token", error_description="{reason}"' if reason else ""
        super().__init__(
            HttpCode.UNAUTHENTICATED, detail, headers={"www-authenticate": f"{CHALLENGE}{error}"}
        )
        self.reason = reason

    def problem(self, instance: str) -> Problem:
        """Give the document with the reason in it."""
        return msgspec.structs.replace(super().problem(instance), reason=self.reason or UNSET)


class NoLongerHeld(Refusal):
    """The log has what was asked for, and this member was told to forget its contents."""

    def __init__(self, first_held: int) -> None:
        """Refuse; ``first_held`` is the first sequence whose contents are here."""
        super().__init__(
            HttpCode.FORGOTTEN,
            f"this member holds events from sequence {first_held} on, and proofs of all; what "
            "was asked for may be an earlier one: ask a member that keeps more, or begin there",
        )
        self.first_held = first_held

    def problem(self, instance: str) -> Problem:
        """Give the document with the first sequence in it."""
        return msgspec.structs.replace(super().problem(instance), first_sequence=self.first_held)


def problem_status(code: Code) -> int:
    """Give the HTTP status that goes with ``code``."""
    return _PROBLEMS[code][0]
