"""Timestamp v3 and v4: reads.

A timestamp is an entry of the list, named as EBSI names it; a record is a child of ``records``
there, whose body holds the owners and the versions. The hash algorithms never change.
"""

import json
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response

from adapters.ebsi.identifiers import hex_bytes, timestamp_id, timestamp_id_digest
from adapters.ebsi.log_index import transaction_of
from adapters.ebsi.problems import bad_request, not_found
from adapters.ebsi.serving import Query, Read
from ledger.core.event import open_entry
from ledger.core.ids import EventId
from ledger.core.trust.lists import ListEntry
from ledger.io.chain_reader import ChainReader
from pubsub.io.answers import json_response

__all__ = [
    "ALGORITHMS",
    "READS",
    "RECORDS",
    "TIMESTAMPS",
    "Algorithm",
    "Record",
    "Version",
    "read_record",
]

TIMESTAMPS: Final = "timestamps"
RECORDS: Final = "records"
_FILTERS: Final = ("first-version", "owner")


class Algorithm(NamedTuple):
    """A hash algorithm; its place in ``ALGORITHMS`` is its id."""

    bits: int
    iana_name: str
    oid: str
    multihash: str


ALGORITHMS: Final = (
    Algorithm(256, "sha-256", "2.16.840.1.101.3.4.2.1", "sha2-256"),
    Algorithm(384, "sha-384", "2.16.840.1.101.3.4.2.2", "sha2-384"),
    Algorithm(512, "sha-512", "2.16.840.1.101.3.4.2.3", "sha2-512"),
    Algorithm(224, "sha3-224", "2.16.840.1.101.3.4.2.7", "sha3-224"),
    Algorithm(256, "sha3-256", "2.16.840.1.101.3.4.2.8", "sha3-256"),
    Algorithm(384, "sha3-384", "2.16.840.1.101.3.4.2.9", "sha3-384"),
    Algorithm(512, "sha3-512", "2.16.840.1.101.3.4.2.10", "sha3-512"),
)


class Version(msgspec.Struct):
    """One version of a record: the hashes (``0x``) and what was said about it (``0x``)."""

    hashes: list[str]
    info: list[str]


class Record(msgspec.Struct, rename="camel"):
    """A record, as its entry's body holds it."""

    owner_ids: list[str]
    revoked_owner_ids: list[str]
    versions: list[Version]


def read_record(entry: ListEntry) -> Record:
    """Decode the body of a record's entry."""
    return msgspec.json.decode(entry.body, type=Record)


def get_algorithms(query: Query) -> Response:
    """Answer with a page of hash algorithms."""
    paging, _ = query.list_query()
    items = [
        {"hashAlgorithmId": number, "href": query.here(str(number))}
        for number in range(len(ALGORITHMS))
    ]
    return query.sliced(paging, items)


def get_algorithm(query: Query) -> Response:
    """Answer with a hash algorithm."""
    wanted = query.path["algorithm"]
    number = _number(wanted)
    if number is None:
        raise bad_request("hashAlgorithmId must be a positive integer")
    if number >= len(ALGORITHMS):
        raise not_found("Hash Algorithm", f"Hash algorithm {wanted} not found")
    algorithm = ALGORITHMS[number]
    document = {
        "outputLengthBits": algorithm.bits,
        "ianaName": algorithm.iana_name,
        "oid": algorithm.oid,
        "status": "active",
        "multihash": algorithm.multihash,
    }
    return json_response(document)


def get_timestamps(query: Query) -> Response:
    """Answer with a page of timestamps."""
    paging, _ = query.list_query()
    page = query.lists.page(TIMESTAMPS, paging.offset, paging.size)
    items = [{"timestampId": id_, "href": query.here(id_)} for id_, _ in page.items]
    return query.page(paging, page.total, items)


def get_timestamp(query: Query) -> Response:
    """Answer with a timestamp: who, when, in which block and transaction."""
    wanted = query.path["timestamp"]
    if timestamp_id_digest(wanted) is None:
        raise bad_request("timestampId must be a valid multibase base64url-encoded multihash")
    entry = query.lists.entry(TIMESTAMPS, wanted)
    if entry is None:
        raise not_found("Timestamp", f"Timestamp {wanted} not found")
    first = query.lists.revision(TIMESTAMPS, wanted, 1) or entry
    stated: dict[str, str] = json.loads(entry.body)
    height, transaction = _place(query.reader, EventId(first.event_id))
    document = {
        "hash": stated.get("hash", "0x"),
        "timestampedBy": stated.get("timestampedBy", "0x"),
        "blockNumber": height,
        "timestamp": _iso(first.changed_ms),
        "data": stated.get("data", "0x"),
        "transactionHash": transaction,
    }
    return json_response(document)


def get_records(query: Query) -> Response:
    """Answer with a page of records: all, those of an owner, those that begin with a hash."""
    paging, filters = query.list_query(_FILTERS)
    rows = [(id_, read_record(entry)) for id_, entry in query.lists.children(TIMESTAMPS, RECORDS)]
    if "owner" in filters:
        owner = filters["owner"].lower()
        rows = [row for row in rows if owner in row[1].owner_ids]
    if "first-version" in filters:
        first = filters["first-version"].lower()
        rows = [row for row in rows if first in row[1].versions[0].hashes]
    items = [{"recordId": id_, "href": query.here(id_)} for id_, _ in rows]
    return query.sliced(paging, items)


def get_record(query: Query) -> Response:
    """Answer with a record."""
    record = _record(query)[1]
    document = {
        "ownerIds": record.owner_ids,
        "revokedOwnerIds": record.revoked_owner_ids,
        "firstVersionTimestamps": _timestamp_ids(record.versions[0]),
        "lastVersionTimestamps": _timestamp_ids(record.versions[-1]),
        "totalVersions": len(record.versions),
    }
    return json_response(document)


def get_versions(query: Query) -> Response:
    """Answer with a page of a record's versions."""
    paging, _ = query.list_query()
    count = len(_record(query)[1].versions)
    items = [{"versionId": n, "href": query.here(str(n))} for n in range(count)]
    return query.sliced(paging, items)


def get_version(query: Query) -> Response:
    """Answer with one version of a record."""
    _, record = _record(query)
    wanted = query.path["version"]
    number = _number(wanted)
    if number is None:
        raise bad_request("versionId must be a positive integer")
    if number >= len(record.versions):
        raise not_found("Version", f"Version {wanted} not found")
    return json_response(record.versions[number])


READS: Final[dict[str, Read]] = {
    "/hash-algorithms": get_algorithms,
    "/hash-algorithms/{algorithm}": get_algorithm,
    "/timestamps": get_timestamps,
    "/timestamps/{timestamp}": get_timestamp,
    "/records": get_records,
    "/records/{record}": get_record,
    "/records/{record}/versions": get_versions,
    "/records/{record}/versions/{version}": get_version,
}


def _record(query: Query) -> tuple[str, Record]:
    wanted = query.path["record"]
    if timestamp_id_digest(wanted) is None:
        raise bad_request("recordId must be a valid multibase base64url-encoded multihash")
    entry = query.lists.entry(TIMESTAMPS, f"{RECORDS}/{wanted}")
    if entry is None:
        raise not_found("Record", f"Record {wanted} not found")
    return wanted, read_record(entry)


def _timestamp_ids(version: Version) -> list[str]:
    return [timestamp_id(hex_bytes(text) or b"") for text in version.hashes]


def _place(reader: ChainReader, event_id: EventId) -> tuple[int, str]:
    """Give the block of an event, and its transaction: EBSI's where it came by one."""
    sequence = reader.sequence_of(event_id)
    entry = None if sequence is None else reader.entry(sequence)
    if sequence is None or entry is None:
        raise not_found("Timestamp", f"Event {event_id.hex()} not found")
    transaction = transaction_of(open_entry(entry).event)
    named = event_id if transaction is None else transaction.hash
    return reader.height_of(sequence), f"0x{named.hex()}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(2**63)) else None


def _iso(time_ms: int) -> str:
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
