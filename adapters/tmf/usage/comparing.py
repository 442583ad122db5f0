"""A dispute with this node: the records of a party against those of the log.

Owns how both sides of the comparison are gathered. What is compared is the newest version of each
record of the question; older versions and their blocks stay provable.
"""

from collections.abc import Iterator
from http import HTTPStatus

import msgspec

from adapters.tmf.entity import JsonObject
from adapters.tmf.refusal import TmfError
from adapters.tmf.usage.canonical import canonical_record
from adapters.tmf.usage.disputes import Difference, Held, compare
from adapters.tmf.usage.evidence import Evidence, RecordFilter, RecordView, Scope
from adapters.tmf.usage.limits import USAGE_DISPUTE_RECORDS_MAX, USAGE_PAGE_RECORDS_MAX
from ledger.core.errors import DecodeError

__all__ = ["compare_with_log"]


def compare_with_log(
    evidence: Evidence, lines: bytes, wanted: RecordFilter, scope: Scope
) -> list[Difference]:
    """Say what differs between lines of JSON, the caller's records, and those of the log.

    Args:
        wanted: which records the caller's are; its page does not matter.

    Raises:
        TmfError: the question is about too many records.
        DecodeError: a line is no record.
    """
    theirs = {}
    for number, line in enumerate(lines.split(b"\n"), start=1):
        if line.strip():
            document = _document(line, number)
            theirs[document["id"]] = Held(document)
    ours = {}
    for view in _all(evidence, wanted, scope):
        if not view.superseded_by:
            document = msgspec.json.decode(view.entry.body)
            ours[document["id"]] = Held(document, view.block)
    return compare(theirs, ours)


def _document(line: bytes, number: int) -> JsonObject:
    document: JsonObject = msgspec.json.decode(canonical_record(line))
    if not isinstance(document.get("id"), str):
        raise DecodeError(f"line {number} has no id")
    return document


def _all(evidence: Evidence, wanted: RecordFilter, scope: Scope) -> Iterator[RecordView]:
    count, after = 0, 0
    while True:
        page = evidence.records(wanted._replace(after=after, limit=USAGE_PAGE_RECORDS_MAX), scope)
        if not page:
            return
        yield from page
        count, after = count + len(page), page[-1].number
        if count > USAGE_DISPUTE_RECORDS_MAX:
            raise TmfError(
                HTTPStatus.BAD_REQUEST,
                "too-many-records",
                "Too many records",
                f"more than {USAGE_DISPUTE_RECORDS_MAX}: ask for one product or a shorter time",
            )
