"""Opening many entries in one native call, with the decisions of ``open_entry``.

Owns the scanner's settings: they are the limits and the domain of events, so that the native code
holds no number of its own. ``ledger.core.event`` and ``ledger.core.block`` remain the reference:
every decision and every extracted field equals theirs.

A ``Scan`` gives each entry a verdict, a small number: ``verdict`` and ``code`` translate.
"""

from typing import Final, NamedTuple

from ledger.core.errors import DecodeError, RejectCode
from ledger.core.event import EVENT_DOMAIN
from ledger.core.hashing import derivation_context
from ledger.core.ids import NodeIndex
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    CHAIN_ID_CHARS_MAX,
    CONTENT_TYPE_CHARS_MAX,
    DID_CHARS_MAX,
    ENTRY_BYTES_MAX,
    EVENT_DATA_BYTES_MAX,
    EVENT_TYPE_CHARS_MAX,
    INT_MAX,
    LOCATION_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    TAG_CHARS_MAX,
    TAGS_COUNT_MAX,
    TOPIC_CHARS_MAX,
    TOPIC_TOKENS_MAX,
    VALIDATORS_COUNT_MAX,
)
from ledger.core.signing import signable
from ledger.native.scan import MALFORMED, OPEN, TOO_LARGE, Scan, Scanner

__all__ = [
    "LIMITS",
    "BatchHead",
    "Scan",
    "array_count",
    "batch_head",
    "code",
    "join_scans",
    "make_scanner",
    "scan_array",
    "scan_batches",
    "scan_entries",
    "verdict",
]

_NATIVE: Final = {OPEN: None, TOO_LARGE: RejectCode.TOO_LARGE, MALFORMED: RejectCode.MALFORMED}
_CODES: Final = (
    *(_NATIVE[number] for number in sorted(_NATIVE)),
    *(item for item in RejectCode if item not in _NATIVE.values()),
)
_VERDICTS: Final = {item: number for number, item in enumerate(_CODES)}

LIMITS: Final = {
    "int_max": INT_MAX,
    "entry_bytes": ENTRY_BYTES_MAX,
    "data_bytes": EVENT_DATA_BYTES_MAX,
    "chain_id_chars": CHAIN_ID_CHARS_MAX,
    "topic_chars": TOPIC_CHARS_MAX,
    "topic_tokens": TOPIC_TOKENS_MAX,
    "did_chars": DID_CHARS_MAX,
    "type_chars": EVENT_TYPE_CHARS_MAX,
    "subject_chars": SUBJECT_CHARS_MAX,
    "location_chars": LOCATION_CHARS_MAX,
    "content_type_chars": CONTENT_TYPE_CHARS_MAX,
    "tags": TAGS_COUNT_MAX,
    "tag_chars": TAG_CHARS_MAX,
    "origins": VALIDATORS_COUNT_MAX,
    "batch_entries": BATCH_ENTRIES_MAX,
    "batch_bytes": BATCH_BYTES_MAX,
}
"""What the scanner holds events and batches to, by the names of its settings."""


def verdict(item: RejectCode | None) -> int:
    """Give the number of a code; that of None says that an entry is not refused."""
    return _VERDICTS[item]


def code(number: int) -> RejectCode | None:
    """Give the code of a verdict, or None when it says that an entry is not refused."""
    return _CODES[number]


class BatchHead(NamedTuple):
    """Who made a batch, and how many entries it has."""

    origin: NodeIndex
    entries_count: int


def batch_head(encoded: bytes) -> BatchHead:
    """Read as much of a batch as ``decode_batch`` checks, without copying its entries.

    Raises:
        DecodeError: exactly when ``decode_batch`` does.
    """
    head = _scanner.batch_head(encoded)
    if head is None:
        raise DecodeError("not the canonical encoding of a batch within the limits")
    return BatchHead(NodeIndex(head[0]), head[1])


def make_scanner(implementation: str | None = None) -> Scanner:
    """Make a scanner of this version's events; tests choose its implementation."""
    return Scanner(
        context=derivation_context(EVENT_DOMAIN),
        message_prefix=signable(EVENT_DOMAIN, b""),
        limits=LIMITS,
        implementation=implementation,
    )


_scanner: Final = make_scanner()

scan_entries = _scanner.scan_entries
"""Scan a sequence of byte strings, each taken for an entry."""

scan_array = _scanner.scan_array
"""Scan the entries of an encoded array of them; there are none where ``array_count`` is 0."""

array_count = _scanner.array_count
"""Give how many entries an encoded array has; 0 when it is no canonical one within the limits."""

scan_batches = _scanner.scan_batches
"""Scan the entries of encoded batches, in order; what is no batch has none."""

join_scans = _scanner.join
"""Give the scan of several batches from one of each, none of whose entries was refused since."""
