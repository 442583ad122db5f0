"""Issuers in the ledger: which changes make, replace and end one.

Each plan also writes the issuer's own entry anew. That is the lock: of two plans that saw the same
issuer only one is carried out, even where they touch different credentials.
"""

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import msgspec

from adapters.bodies import members_of
from adapters.fiware.attributes import Draft
from adapters.http import HttpError
from adapters.lists import Lists
from adapters.writing import Change, Known
from ledger.core.limits import LIST_CHANGES_COUNT_MAX
from ledger.core.trust.lists import ListEntry

__all__ = ["ISSUERS", "NO_TYPE", "create", "credentials_of", "issuer_types", "remove", "replace"]

ISSUERS: Final = "issuers"
NO_TYPE: Final = "Undefined"
_REVOKED: Final = "Revoked"
_CREDENTIAL: Final = "credential"
_METADATA: Final = "metadata"
_METADATA_SUFFIX: Final = "/metadata"


def credentials_of(lists: Lists, did: str) -> dict[str, ListEntry]:
    """Give what an issuer may issue, by attribute id; nothing that was revoked in any way."""
    return _credentials(dict(lists.children(ISSUERS, did)))


def issuer_types(lists: Lists, did: str) -> dict[str, str]:
    """Give the role in which an issuer got each attribute, where one is stated."""
    return _types(dict(lists.children(ISSUERS, did)))


def create(known: Known, did: str, drafts: Sequence[Draft]) -> list[Change]:
    """Plan a new issuer. Raises HttpError when it stands already."""
    if known.entry(did) is not None:
        raise HttpError(HTTPStatus.CONFLICT, f"issuer {did} exists already")
    return _write(known, did, drafts)


def replace(known: Known, did: str, drafts: Sequence[Draft]) -> list[Change]:
    """Plan to replace what an issuer may issue. Raises HttpError when there is no such issuer."""
    _require(known, did)
    return _write(known, did, drafts)


def remove(known: Known, did: str) -> list[Change]:
    """Plan the end of an issuer and of everything of this member's that belongs to it.

    Without the issuer nothing of it is served, so what one operation cannot hold may stay: making
    the issuer anew begins by revoking it.
    """
    _require(known, did)
    names = [f"{did}/{name}" for name in known.children(did)]
    own = [did, *filter(known.is_own, names)]
    return [known.revoke(name) for name in own[:LIST_CHANGES_COUNT_MAX]]


def _require(known: Known, did: str) -> None:
    if known.entry(did) is None:
        raise HttpError(HTTPStatus.NOT_FOUND, f"there is no issuer {did}")


def _write(known: Known, did: str, drafts: Sequence[Draft]) -> list[Change]:
    """Plan that an issuer may issue exactly what the drafts say."""
    children = known.children(did)
    old, types = _credentials(children), _types(children)
    occupied = {name for name, entry in children.items() if entry.kind != _CREDENTIAL}
    new = _assign(drafts, old, occupied)
    changes: list[Change] = [known.put(did, "issuer", b"")]
    for name, draft in new.items():
        id_ = f"{did}/{name}"
        if not _is_same(old.get(name), draft):
            changes.append(known.put(id_, _CREDENTIAL, draft.body, draft.validity))
        changes += _retype(known, id_, types.get(name), draft.issuer_type)
    for name in sorted(old.keys() - new.keys()):
        changes.append(known.revoke(f"{did}/{name}"))
    return changes


def _assign(
    drafts: Iterable[Draft], old: dict[str, ListEntry], occupied: Collection[str]
) -> dict[str, Draft]:
    """Give each draft the id of an attribute.

    A credential that stands keeps its id. One of the same type is a new revision of it. The others
    get the digest of their first body, or when that is taken, the digest of the digest.
    """
    left = {draft.body: draft for draft in drafts}  # equal ones are one
    free, new = dict(old), {}
    for name, entry in old.items():
        if entry.body in left:
            new[name] = left.pop(entry.body)
            del free[name]
    for draft in left.values():
        type_ = _type_of(draft.body)
        name = next((name for name, entry in free.items() if _type_of(entry.body) == type_), "")
        if not name:
            name = sha256(draft.body).hexdigest()
            while name in new or name in free or name in occupied:
                name = sha256(name.encode()).hexdigest()
        free.pop(name, None)
        new[name] = draft
    return new


def _type_of(body: bytes) -> object:
    return members_of(body)["credentialsType"]


def _is_same(entry: ListEntry | None, draft: Draft) -> bool:
    if entry is None or entry.body != draft.body:
        return False
    return (entry.valid_from_ms, entry.valid_to_ms) == draft.validity


def _retype(known: Known, id_: str, old: str | None, new: str | None) -> list[Change]:
    """Plan that an attribute has this role; None keeps the one it has, but not a revocation."""
    if new == old or (new is None and old != _REVOKED):
        return []
    if new in (None, NO_TYPE):
        return [] if old is None else [known.revoke(id_ + _METADATA_SUFFIX)]
    body = msgspec.json.encode({"issuerType": new})
    return [known.put(id_ + _METADATA_SUFFIX, _METADATA, body)]


def _credentials(children: dict[str, ListEntry]) -> dict[str, ListEntry]:
    types = _types(children)
    return {
        name: entry
        for name, entry in children.items()
        if entry.kind == _CREDENTIAL and types.get(name) != _REVOKED
    }


def _types(children: dict[str, ListEntry]) -> dict[str, str]:
    return {
        name.removesuffix(_METADATA_SUFFIX): str(members_of(entry.body)["issuerType"])
        for name, entry in children.items()
        if entry.kind == _METADATA
    }
