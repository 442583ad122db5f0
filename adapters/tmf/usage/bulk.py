"""Bulk intake: lines of JSON become records in the log, as they arrive.

Owns what the sender is told. Each piece is on the disk before the next one is read; whoever is cut
off sends everything again, and what was taken is known then.
"""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import msgspec

from adapters.tmf.usage.intake import Outcome
from adapters.tmf.usage.limits import (
    USAGE_RECORD_BYTES_MAX,
    USAGE_REFUSALS_SHOWN_MAX,
    USAGE_TRANSACTION_BYTES,
    USAGE_TRANSACTION_RECORDS,
)
from adapters.tmf.usage.lines import Lines
from adapters.tmf.usage.record import RecordCode, RecordRefused, UsageRecord, read_record
from adapters.tmf.usage.service import UsageService

__all__ = ["Summary", "take_lines"]

_BLANK: Final = b" \t\r"


class RefusedLine(msgspec.Struct, frozen=True, rename="camel"):
    """One line that was not taken; lines count from 1."""

    line: int
    code: str
    detail: str


class Summary(msgspec.Struct, rename="camel"):
    """What became of all lines.

    Attributes:
        taken: entered the log; corrections are among them.
        known: were in the log already.
        refusals: the first of those that were refused.
    """

    lines: int = 0
    taken: int = 0
    corrections: int = 0
    known: int = 0
    refused: int = 0
    refusals: list[RefusedLine] = []

    def refuse(self, line: int, code: RecordCode, detail: str) -> None:
        """Count a refused line."""
        self.refused += 1
        if len(self.refusals) < USAGE_REFUSALS_SHOWN_MAX:
            self.refusals.append(RefusedLine(line, str(code), detail))

    def settle(self, line: int, outcome: Outcome) -> None:
        """Count a line that was judged."""
        if outcome.code is not None:
            self.refuse(line, outcome.code, outcome.detail)
        elif not outcome.is_new:
            self.known += 1
        else:
            self.taken += 1
            self.corrections += outcome.supersedes > 0


async def take_lines(service: UsageService, body: AsyncIterator[bytes]) -> Summary:
    """Take a body of any length, piece by piece.

    Raises:
        Unavailable: the database; what was taken before stays.
    """
    summary = Summary()
    lines = Lines(USAGE_RECORD_BYTES_MAX)
    waiting: list[bytes | None] = []
    size = 0
    async for chunk in body:
        waiting += lines.feed(chunk)
        size += len(chunk)
        if size >= USAGE_TRANSACTION_BYTES or len(waiting) >= USAGE_TRANSACTION_RECORDS:
            await _take(service, waiting, summary)
            waiting, size = [], 0
    waiting += lines.end()
    await _take(service, waiting, summary)
    return summary


async def _take(service: UsageService, lines: Sequence[bytes | None], summary: Summary) -> None:
    for start in range(0, len(lines), USAGE_TRANSACTION_RECORDS):
        part = lines[start : start + USAGE_TRANSACTION_RECORDS]
        numbers, records = await service.in_thread(partial(_read, service, part, summary))
        outcomes = await service.take(records) if records else []
        for number, outcome in zip(numbers, outcomes, strict=True):
            summary.settle(number, outcome)


def _read(
    service: UsageService, lines: Sequence[bytes | None], summary: Summary
) -> tuple[list[int], list[UsageRecord]]:
    """Read lines; give the numbers of those that are records, and the records."""
    numbers: list[int] = []
    records: list[UsageRecord] = []
    now_ms = service.now_ms()
    for line in lines:
        summary.lines += 1
        if line is None:
            detail = f"a line may have {USAGE_RECORD_BYTES_MAX} bytes"
            summary.refuse(summary.lines, RecordCode.MALFORMED, detail)
        elif line.strip(_BLANK):
            try:
                records.append(read_record(line, service.seller, now_ms))
                numbers.append(summary.lines)
            except RecordRefused as refused:
                summary.refuse(summary.lines, refused.code, refused.detail)
    return numbers, records
