"""Trusted Issuers Registry v3, v4 and v5: reads.

An attribute is what its issuer may issue: a credential in FIWARE's form, served in base64, or an
accreditation, served as the JWT that it is. An attribute that was announced but never accepted has
metadata and no body, and is not served.
"""

import json
from base64 import b64encode
from http import HTTPStatus
from typing import Final

from starlette.responses import RedirectResponse, Response

from adapters.ebsi.identifiers import read_hash, require_did
from adapters.ebsi.problems import EbsiProblem, not_found
from adapters.ebsi.serving import Query, Read
from ledger.core.trust.lists import EntryStatus, ListEntry
from pubsub.io.answers import json_response

__all__ = ["ISSUERS", "METADATA", "PROXIES", "READS", "attribute_id_of", "metadata_of"]

ISSUERS: Final = "issuers"
PROXIES: Final = "proxies/"
METADATA: Final = "/metadata"
_ATTRIBUTES: Final = ("credential", "accreditation")


def get_issuers(query: Query) -> Response:
    """Answer with a page of issuers."""
    paging, _ = query.list_query()
    page = query.lists.page(ISSUERS, paging.offset, paging.size)
    items = [{"did": did, "href": query.href(ISSUERS, did)} for did, _ in page.items]
    return query.page(paging, page.total, items)


def get_issuer(query: Query) -> Response:
    """Answer with an issuer and all its attributes."""
    did = _issuer(query)
    children = query.lists.children(ISSUERS, did)
    attributes = [
        _attribute(entry, metadata_of(query.lists.entry(ISSUERS, f"{did}/{name}{METADATA}")))
        for name, entry in children
        if entry.kind in _ATTRIBUTES
    ]
    return json_response({"did": did, "attributes": attributes})


def get_attributes(query: Query) -> Response:
    """Answer with a page of an issuer's attributes."""
    paging, _ = query.list_query()
    did = _issuer(query)
    names = [
        name for name, entry in query.lists.children(ISSUERS, did) if entry.kind in _ATTRIBUTES
    ]
    items = [{"id": name, "href": query.here(name)} for name in names]
    return query.sliced(paging, items)


def get_attribute(query: Query) -> Response:
    """Answer with the newest revision of an attribute."""
    did, name, entry = _find_attribute(query)
    metadata = metadata_of(query.lists.entry(ISSUERS, f"{did}/{name}{METADATA}"))
    return json_response({"did": did, "attribute": _attribute(entry, metadata)})


def get_revisions(query: Query) -> Response:
    """Answer with a page of an attribute's revisions, oldest first."""
    paging, _ = query.list_query()
    did, name, _ = _find_attribute(query)
    known = query.lists.revisions(ISSUERS, f"{did}/{name}{METADATA}")
    items = [
        _attribute(entry, _metadata_at(known, entry.changed_ms))
        for entry in query.lists.revisions(ISSUERS, f"{did}/{name}")
        if entry.status is EntryStatus.ACTIVE
    ]
    return query.sliced(paging, items)


def get_proxies(query: Query) -> Response:
    """Answer with all proxies of an issuer; this list has no pages."""
    did = _issuer(query)
    ids = [
        name.removeprefix(PROXIES)
        for name, entry in query.lists.children(ISSUERS, did)
        if entry.kind == "proxy"
    ]
    items = [{"proxyId": id_, "href": query.here(id_)} for id_ in ids]
    return json_response({"items": items, "total": len(items)})


def get_proxy(query: Query) -> Response:
    """Answer with a proxy."""
    return json_response(_proxy(query))


def get_status_list(query: Query) -> Response:
    """Send the client to the issuer's own status list: the gateway fetches nothing from outside."""
    prefix = str(_proxy(query)["prefix"]).rstrip("/")
    if not prefix.startswith("https://"):
        detail = "The Status List Credential can't be retrieved"
        title = "Unreachable Status List Credential"
        raise EbsiProblem(HTTPStatus.INTERNAL_SERVER_ERROR, title, detail)
    url = f"{prefix}/{query.path['path']}"
    return RedirectResponse(url, HTTPStatus.TEMPORARY_REDIRECT)


READS: Final[dict[str, Read]] = {
    "/issuers": get_issuers,
    "/issuers/{did}": get_issuer,
    "/issuers/{did}/attributes": get_attributes,
    "/issuers/{did}/attributes/{attribute}": get_attribute,
    "/issuers/{did}/attributes/{attribute}/revisions": get_revisions,
    "/issuers/{did}/proxies": get_proxies,
    "/issuers/{did}/proxies/{proxy}": get_proxy,
    "/issuers/{did}/proxies/{proxy}/{path:path}": get_status_list,
}


def metadata_of(entry: ListEntry | None) -> dict[str, str]:
    """Give who accredited an attribute, as its metadata says it."""
    stored: dict[str, str] = {} if entry is None else json.loads(entry.body)
    return {
        "issuerType": stored.get("issuerType", "Undefined"),
        "tao": stored.get("tao", ""),
        "rootTao": stored.get("rootTao", ""),
    }


def attribute_id_of(rows: list[tuple[str, ListEntry]], wanted: str) -> str | None:
    """Give the name of the attribute with this id, or whose newest body has this hash."""
    names = {name: entry for name, entry in rows if entry.kind in _ATTRIBUTES}
    digest = read_hash(wanted)
    if wanted in names or digest in names:
        return wanted if wanted in names else digest
    return next((name for name, entry in names.items() if entry.body_hash.hex() == digest), None)


def _issuer(query: Query) -> str:
    did = require_did(query.path["did"])
    if query.lists.entry(ISSUERS, did) is None:
        raise not_found("Issuer", f"Issuer {did} not found")
    return did


def _find_attribute(query: Query) -> tuple[str, str, ListEntry]:
    """Give the DID, the attribute's id and its newest revision."""
    did, wanted = _issuer(query), query.path["attribute"]
    rows = query.lists.children(ISSUERS, did)
    name = attribute_id_of(rows, wanted)
    if name is None:
        raise not_found("Attribute", f"Attribute {wanted} not found")
    return did, name, dict(rows)[name]


def _attribute(entry: ListEntry, metadata: dict[str, str]) -> dict[str, str]:
    is_jwt = entry.kind == "accreditation"
    body = entry.body if is_jwt else b64encode(entry.body)
    return {"hash": entry.body_hash.hex(), "body": body.decode(), **metadata}


def _metadata_at(known: list[ListEntry], time_ms: int) -> dict[str, str]:
    """Give the metadata as it stood when a revision was made; the first if it came later."""
    before = [entry for entry in known if entry.changed_ms <= time_ms]
    return metadata_of(before[-1] if before else known[0] if known else None)


def _proxy(query: Query) -> dict[str, object]:
    did, wanted = _issuer(query), query.path["proxy"]
    entry = query.lists.entry(ISSUERS, f"{did}/{PROXIES}0x{read_hash(wanted)}")
    entry = entry or query.lists.entry(ISSUERS, f"{did}/{PROXIES}{wanted}")
    if entry is None:
        raise not_found("Proxy", f"Proxy {wanted} of issuer {did} can't be found")
    stored: dict[str, object] = json.loads(entry.body)
    return {"headers": {}, "testSuffix": ""} | stored
