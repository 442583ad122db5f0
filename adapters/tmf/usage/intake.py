"""Intake: what becomes of each record that arrives. Pure.

Owns the rule for records that come twice or changed. Senders may repeat whatever they sent, in any
order: an id with a content that any version of it had is known and changes nothing. Another content
under a known id is a correction of the newest version; both stay in the log.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from adapters.tmf.usage.record import RecordCode, UsageRecord
from ledger.core.limits import HASH_BYTES
from ledger.native import blake3

__all__ = ["DIGEST_BYTES", "Known", "Outcome", "Taken", "digests", "take"]

DIGEST_BYTES: Final = 16
"""Enough to tell apart what one seller writes into its own log."""


class Known(NamedTuple):
    """One version that the log holds."""

    number: int
    digest: bytes
    buyer: str


class Outcome(NamedTuple):
    """What became of one record.

    Attributes:
        number: of the record, or of the version that it repeats; 0 when it was refused.
        supersedes: number of the record that it corrects; 0 for none.
        is_new: whether it enters the log.
        code, detail: why it was refused.
    """

    number: int
    supersedes: int = 0
    is_new: bool = False
    code: RecordCode | None = None
    detail: str = ""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """One record that enters the log."""

    number: int
    supersedes: int
    key: bytes
    digest: bytes
    record: UsageRecord


def digests(values: Sequence[bytes]) -> list[bytes]:
    """Give the digests by which ids and documents are known."""
    hashes = blake3.hash_many(values, None)
    offsets = range(0, len(hashes), HASH_BYTES)
    return [hashes[offset : offset + DIGEST_BYTES] for offset in offsets]


def take(
    records: Sequence[UsageRecord], known: Mapping[bytes, Sequence[Known]], next_number: int
) -> tuple[list[Outcome], list[Taken]]:
    """Decide on records in the order of their arrival.

    Args:
        known: key -> versions that the log holds, oldest first.
        next_number: of the next record.

    Returns:
        One outcome for each record, and those that enter the log.
    """
    keys = digests([record.id.encode() for record in records])
    bodies = digests([record.body for record in records])
    versions = {key: list(known.get(key, ())) for key in keys}
    outcomes: list[Outcome] = []
    taken: list[Taken] = []
    for record, key, digest in zip(records, keys, bodies, strict=True):
        outcome = _judge(record, digest, versions[key], next_number + len(taken))
        outcomes.append(outcome)
        if outcome.is_new:
            versions[key].append(Known(outcome.number, digest, record.buyer))
            taken.append(Taken(outcome.number, outcome.supersedes, key, digest, record))
    return outcomes, taken


def _judge(
    record: UsageRecord, digest: bytes, versions: Sequence[Known], next_number: int
) -> Outcome:
    for version in versions:
        if version.digest == digest:
            return Outcome(version.number)
    if not versions:
        return Outcome(next_number, 0, is_new=True)
    newest = versions[-1]
    if newest.buyer != record.buyer:
        return Outcome(
            0, 0, code=RecordCode.OTHER_BUYER, detail="a correction cannot change the buyer"
        )
    return Outcome(next_number, newest.number, is_new=True)
