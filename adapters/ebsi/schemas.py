"""Trusted Schemas Registry v2 and v3: reads.

EBSI's schema ids are 32 bytes in base58btc or hexadecimal; the list may hold schemas with other
ids, and they are served under those.
"""

import json
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from adapters.ebsi.identifiers import read_hash, schema_id
from adapters.ebsi.problems import bad_request, not_found
from adapters.ebsi.serving import Query, Read
from ledger.core.trust.lists import EntryStatus, ListEntry

__all__ = ["READS", "SCHEMAS", "read_time_ms", "revisions_of"]

SCHEMAS: Final = "schemas"
_VALID_AT: Final = "valid-at"


def get_schemas(query: Query) -> Response:
    """Answer with a page of schemas."""
    paging, _ = query.list_query()
    page = query.lists.page(SCHEMAS, paging.offset, paging.size)
    items = [{"schemaId": id_, "href": query.href(SCHEMAS, id_)} for id_, _ in page.items]
    return query.page(paging, page.total, items)


def get_schema(query: Query) -> Response:
    """Answer with the newest revision of a schema, byte by byte."""
    _, entry = _schema(query)
    return _raw(entry)


def get_revisions(query: Query) -> Response:
    """Answer with a page of a schema's revisions, oldest first."""
    paging, filters = query.list_query((_VALID_AT,))
    id_, _ = _schema(query)
    known = revisions_of(query.lists.revisions(SCHEMAS, id_))
    if _VALID_AT in filters:
        time_ms = read_time_ms(_VALID_AT, filters[_VALID_AT])
        newest = _newest_metadata(query, id_)
        known = {
            revision: entry
            for revision, entry in known.items()
            if _is_valid_at(entry, newest.get(revision), time_ms)
        }
    items = [{"schemaRevisionId": name, "href": query.here(name)} for name in known]
    return query.sliced(paging, items)


def get_revision(query: Query) -> Response:
    """Answer with one revision of a schema."""
    return _raw(_revision(query)[2])


def get_metadata_list(query: Query) -> Response:
    """Answer with a page of the metadata of a revision, oldest first."""
    paging, _ = query.list_query()
    id_, revision, _ = _revision(query)
    rows = _metadata(query, id_, revision)
    items = [{"metadataId": name, "href": query.here(name)} for name, _ in rows]
    return query.sliced(paging, items)


def get_metadata(query: Query) -> Response:
    """Answer with one piece of metadata."""
    id_, revision, _ = _revision(query)
    wanted = query.path["metadata"]
    name = _hash_id(wanted) or wanted
    entry = dict(_metadata(query, id_, revision)).get(name)
    if entry is None:
        raise not_found("Metadata", f"Metadata {wanted} not found")
    return _raw(entry)


READS: Final[dict[str, Read]] = {
    "/schemas": get_schemas,
    "/schemas/{schema}": get_schema,
    "/schemas/{schema}/revisions": get_revisions,
    "/schemas/{schema}/revisions/{revision}": get_revision,
    "/schemas/{schema}/revisions/{revision}/metadata": get_metadata_list,
    "/schemas/{schema}/revisions/{revision}/metadata/{metadata}": get_metadata,
}


def revisions_of(entries: list[ListEntry]) -> dict[str, ListEntry]:
    """Give the standing revisions by EBSI's id, ``0x`` and the SHA-256 of the schema."""
    return {
        f"0x{entry.body_hash.hex()}": entry
        for entry in entries
        if entry.status is EntryStatus.ACTIVE
    }


def read_time_ms(name: str, text: str) -> int:
    """Read a time of a query. Raises EbsiProblem with EBSI's text."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return int(time.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise bad_request(f"{name} must be a valid ISO 8601 date string") from None


def _schema(query: Query) -> tuple[str, ListEntry]:
    wanted = query.path["schema"]
    id_ = schema_id(wanted)
    entry = query.lists.entry(SCHEMAS, id_ or wanted)
    if entry is None and id_ is None:
        raise bad_request("schemaId must be a valid schema ID")
    if entry is None:
        raise not_found("Schema", f"Schema {wanted} not found")
    return id_ or wanted, entry


def _revision(query: Query) -> tuple[str, str, ListEntry]:
    """Give the schema's id, the revision's and its entry."""
    id_, _ = _schema(query)
    wanted = query.path["revision"]
    name = _hash_id(wanted) or wanted
    entry = revisions_of(query.lists.revisions(SCHEMAS, id_)).get(name)
    if entry is None:
        raise not_found("Revision", f"Revision {wanted} not found")
    return id_, name, entry


def _hash_id(text: str) -> str | None:
    digest = read_hash(text)
    return None if digest is None else f"0x{digest}"


def _metadata(query: Query, id_: str, revision: str) -> list[tuple[str, ListEntry]]:
    rows = query.lists.children(SCHEMAS, f"{id_}/{revision}")
    return sorted(rows, key=lambda row: row[1].changed_ms)


def _newest_metadata(query: Query, id_: str) -> dict[str, ListEntry]:
    """Give the newest metadata of each revision of a schema."""
    rows = sorted(query.lists.children(SCHEMAS, id_), key=lambda row: row[1].changed_ms)
    return {name.partition("/")[0]: entry for name, entry in rows}


def _is_valid_at(entry: ListEntry, metadata: ListEntry | None, time_ms: int) -> bool:
    """Say whether a revision holds: by its own period, and by that of its newest metadata."""
    if not entry.is_valid_at(time_ms):
        return False
    stated: dict[str, object] = {} if metadata is None else json.loads(metadata.body)
    low, high = (_stated_ms(stated.get(name)) for name in ("validFrom", "validTo"))
    return (low is None or low <= time_ms) and (high is None or time_ms <= high)


def _stated_ms(value: object) -> int | None:
    try:
        time = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    if time is None:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _raw(entry: ListEntry) -> Response:
    return Response(entry.body, media_type="application/json")
