"""The audit trail: what is kept of one administrative act, and how a page of it is shown.

A record says who did what, when, and what came of it; never a secret, and nothing of an event.
"""

from enum import StrEnum
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from ledger.core.errors import DecodeError
from pubsub.core.limits import AUDIT_TEXT_CHARS_MAX
from pubsub.core.tokens import TokenFile

__all__ = [
    "Act",
    "Action",
    "AuditDocument",
    "AuditRecord",
    "KnownTokens",
    "audit_record",
    "decode_audit",
    "encode_audit",
    "token_acts",
]

Stored = TypeVar("Stored", bound=Struct)


class Action(StrEnum):
    """What was done. The values are stable."""

    ACCESS_LOADED = "access_loaded"
    TOKEN_ADDED = "token_added"  # noqa: S105 - an action
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - an action
    CONSUMER_CREATED = "consumer_created"
    CONSUMER_UPDATED = "consumer_updated"
    CONSUMER_DELETED = "consumer_deleted"
    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_UPDATED = "webhook_updated"
    WEBHOOK_DELETED = "webhook_deleted"
    SECRET_ROTATED = "secret_rotated"  # noqa: S105 - an action
    DEAD_LETTERS_REPLAYED = "dead_letters_replayed"


class Act(Struct, frozen=True):
    """An act that is to be recorded.

    Attributes:
        who: name of the principal; what: the kind of act; target: name of what it was done to.
        outcome: ``done``, or the stable code of why not.
        request_id: of the request that asked for it; empty where there was none.
        time_ms: when, where that is known to be before now; milliseconds since 1970.
        details: one line for people.
    """

    who: str
    what: Action
    target: str
    outcome: str = "done"
    request_id: str = ""
    time_ms: int | None = None
    details: str = ""


class AuditRecord(Struct, frozen=True):
    """One administrative act.

    Attributes:
        number: counts the records of this gateway from 0 on; there is no gap.
        time_ms: when it was done, in milliseconds since 1970.
        who: name of the principal, such as token/shop; local/root is a user of the machine.
        what: the kind of act.
        target: name of what it was done to.
        outcome: done, or the stable code of why not.
        request_id: id of the request that asked for it; empty where there was none.
        details: one line for people.
    """

    number: int
    time_ms: int
    who: str
    what: Action
    target: str
    outcome: str
    request_id: str
    details: str


class AuditDocument(Struct, frozen=True):
    """A page of the audit trail, the newest record first.

    Attributes:
        next: give it as ``before`` for the next page; null at the end of what is kept.
    """

    records: list[AuditRecord]
    next: int | None


class KnownTokens(Struct, frozen=True, array_like=True):
    """Digests of the tokens whose addition and revocation were recorded already."""

    good: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()


encode_audit: Final = msgspec.msgpack.Encoder().encode
"""Encode a record or the known tokens for the store."""


def decode_audit(data: bytes, kind: type[Stored]) -> Stored:
    """Decode a record or the known tokens of the store. Raises DecodeError."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(f"no {kind.__name__}: {error}") from None


def audit_record(act: Act, number: int, now_ms: int) -> AuditRecord:
    """Make the record of an act; over-long texts are cut."""
    return AuditRecord(
        number,
        now_ms if act.time_ms is None else act.time_ms,
        act.who[:AUDIT_TEXT_CHARS_MAX],
        act.what,
        act.target[:AUDIT_TEXT_CHARS_MAX],
        act.outcome[:AUDIT_TEXT_CHARS_MAX],
        act.request_id[:AUDIT_TEXT_CHARS_MAX],
        act.details[:AUDIT_TEXT_CHARS_MAX],
    )


def token_acts(known: KnownTokens, file: TokenFile) -> tuple[list[Act], KnownTokens]:
    """Give what was done to the tokens since ``known``, and what is known from now on."""
    acts: list[Act] = []
    for token in file.tokens:
        if token.digest not in known.good | known.revoked:
            topics = "all" if token.topics is None else " ".join(token.topics)
            details = f"scopes {' '.join(token.scopes)}; restricted topics {topics or 'none'}"
            acts.append(
                Act(
                    f"local/{token.made_by}",
                    Action.TOKEN_ADDED,
                    token.name,
                    time_ms=token.made_ms,
                    details=details,
                )
            )
        if token.revoked_ms is not None and token.digest not in known.revoked:
            who = f"local/{token.revoked_by}"
            acts.append(Act(who, Action.TOKEN_REVOKED, token.name, time_ms=token.revoked_ms))
    gone = frozenset(token.digest for token in file.tokens if token.revoked_ms is not None)
    good = frozenset(token.digest for token in file.tokens if token.revoked_ms is None)
    # A token that somebody took out of the file by hand cannot be used any more, either.
    acts += [
        Act("local", Action.TOKEN_REVOKED, digest[:16], details="missing in the file")
        for digest in sorted(known.good - good - gone)
    ]
    return acts, KnownTokens(good, gone)
