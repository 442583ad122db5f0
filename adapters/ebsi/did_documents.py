"""DID Registry v4 and v5: reads."""

import json
from typing import Final

from starlette.responses import Response

from adapters.ebsi.identifiers import require_did
from adapters.ebsi.problems import not_found
from adapters.ebsi.schemas import read_time_ms
from adapters.ebsi.serving import Query, Read
from adapters.lists import Lists
from ledger.core.trust.lists import EntryStatus, ListEntry

__all__ = ["DID_DOCUMENTS", "READS", "document_at"]

DID_DOCUMENTS: Final = "did-documents"
_MEDIA: Final = "application/did+ld+json"
_VALID_AT: Final = "valid-at"
_ALL: Final = 2**31


def get_identifiers(query: Query) -> Response:
    """Answer with a page of DIDs: all, or those that a controller controls."""
    paging, filters = query.list_query(("controller",))
    controller = filters.get("controller")
    if controller is None:
        page = query.lists.page(DID_DOCUMENTS, paging.offset, paging.size)
        return query.page(paging, page.total, [_item(query, did) for did, _ in page.items])
    rows = query.lists.page(DID_DOCUMENTS, 0, _ALL).items
    dids = [did for did, entry in rows if controller in _controllers(entry)]
    return query.sliced(paging, [_item(query, did) for did in dids])


def get_identifier(query: Query) -> Response:
    """Answer with a DID document, as it is or as it was at a time."""
    _, filters = query.list_query((_VALID_AT,))
    did = require_did(query.path["did"])
    time = filters.get(_VALID_AT)
    time_ms = None if time is None else read_time_ms(_VALID_AT, time)
    entry = document_at(query.lists, did, time_ms)
    if entry is None:
        raise not_found("Identifier", f"Identifier {did} not found")
    return Response(entry.body, media_type=_MEDIA)


READS: Final[dict[str, Read]] = {
    "/identifiers": get_identifiers,
    "/identifiers/{did}": get_identifier,
}


def document_at(lists: Lists, did: str, time_ms: int | None) -> ListEntry | None:
    """Give the standing document of a DID now or at a time, or None."""
    if time_ms is None:
        return lists.entry(DID_DOCUMENTS, did)
    before = [entry for entry in lists.revisions(DID_DOCUMENTS, did) if entry.changed_ms <= time_ms]
    stands = before and before[-1].status is EntryStatus.ACTIVE
    return before[-1] if stands else None


def _item(query: Query, did: str) -> dict[str, str]:
    return {"did": did, "href": query.href("identifiers", did)}


def _controllers(entry: ListEntry) -> list[str]:
    stated = json.loads(entry.body).get("controller", [])
    return [stated] if isinstance(stated, str) else list(stated)
