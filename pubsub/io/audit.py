"""The audit trail of a gateway: administrative acts, durable, bounded, listed, and logged.

Owns the newest AUDIT_RECORDS_MAX acts, in the delivery store and in memory; every act is a line of
the log besides, which is kept for as long as the operator likes. A gateway without a delivery store
keeps them in memory alone.
"""

import time
from collections import deque
from itertools import islice
from typing import Final

import structlog
from starlette.requests import HTTPConnection

from pubsub.core.audit_documents import (
    Act,
    Action,
    AuditDocument,
    AuditRecord,
    KnownTokens,
    audit_record,
    decode_audit,
    encode_audit,
    token_acts,
)
from pubsub.core.limits import AUDIT_RECORDS_MAX
from pubsub.core.tokens import TokenFile
from pubsub.io.delivery_store import Change, DeliveryStore

__all__ = ["Audit", "act_of"]

_log = structlog.get_logger("gateway.audit")
_TABLE: Final = "audit"
_NUMBER_BYTES: Final = 8
_TOKENS_KEY: Final = b"tokens"  # another length than a number's


class Audit:
    """The acts that were recorded. ``load`` comes before everything else."""

    def __init__(self) -> None:
        """Begin without records."""
        self._store: DeliveryStore | None = None
        self._records: deque[AuditRecord] = deque(maxlen=AUDIT_RECORDS_MAX)
        self._next = 0
        self._tokens = KnownTokens()

    def load(self, store: DeliveryStore | None) -> None:
        """Read what is stored, and store there from now on.

        Raises:
            DecodeError: a row is broken. StorageError: the store cannot be read.
        """
        self._store = store
        for key, value in store.rows(_TABLE) if store is not None else ():
            if key == _TOKENS_KEY:
                self._tokens = decode_audit(value, KnownTokens)
            else:
                self._records.append(decode_audit(value, AuditRecord))
        if self._records:
            self._next = self._records[-1].number + 1

    def put(self, act: Act) -> None:
        """Record an act in the same transaction as whatever else is put in this step."""
        record = audit_record(act, self._next, time.time_ns() // 1_000_000)
        _log.info(
            "audit",
            number=record.number,
            time_ms=record.time_ms,
            who=record.who,
            what=record.what.value,
            target=record.target,
            outcome=record.outcome,
            request_id=record.request_id,
            details=record.details,
        )
        self._next += 1
        self._records.append(record)
        changes = [Change(_TABLE, _key(record.number), encode_audit(record))]
        if record.number >= AUDIT_RECORDS_MAX:
            changes.append(Change(_TABLE, _key(record.number - AUDIT_RECORDS_MAX), None))
        self._put(changes)

    async def record(self, act: Act) -> None:
        """Record an act and return when it is on the disk. Raises as DeliveryStore.synced."""
        self.put(act)
        if self._store is not None:
            await self._store.synced()

    def put_tokens(self, file: TokenFile) -> None:
        """Record what was done to the API tokens since they were last looked at."""
        acts, self._tokens = token_acts(self._tokens, file)
        for act in acts:
            self.put(act)
        self._put([Change(_TABLE, _TOKENS_KEY, encode_audit(self._tokens))])

    def page(self, before: int | None, limit: int) -> AuditDocument:
        """Give up to ``limit`` records whose number is below ``before``, the newest first."""
        newest_first = (
            record for record in reversed(self._records) if before is None or record.number < before
        )
        records = list(islice(newest_first, limit))
        is_last = not records or records[-1].number == self._records[0].number
        return AuditDocument(records, None if is_last else records[-1].number)

    def _put(self, changes: list[Change]) -> None:
        if self._store is not None:
            self._store.put(changes)


def act_of(
    connection: HTTPConnection, what: Action, target: str, outcome: str = "done", details: str = ""
) -> Act:
    """Give the act that a request asked for, in its principal's name."""
    return Act(
        connection.state.principal.name,
        what,
        target,
        outcome,
        getattr(connection.state, "request_id", ""),
        details=details,
    )


def _key(number: int) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big")
