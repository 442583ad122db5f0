"""The five lists of the registry: what each takes, what it shows, and which changes a write makes.

An entry's name is its id, or what its body says where that has a member for it: other writers may
have chosen other ids. A new entry gets its name as its id; what could not stand there and the
slash, which separates an entry from what belongs to it, is percent-encoded.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from adapters.bodies import members_of
from adapters.dome.trust.documents import (
    AccessNode,
    Participant,
    Schema,
    Service,
    access_node_body,
    participant_body,
    read_access_node,
    read_service,
    service_body,
)
from adapters.dome.trust.issuers import Issuer, drafts_of, read_issuer
from adapters.fiware import issuers
from adapters.http import HttpError
from adapters.lists import Lists
from adapters.writing import Change, Known
from ledger.core.limits import INT_MAX
from ledger.core.trust.lists import ListEntry

__all__ = ["COLLECTIONS", "Collection", "entry_id"]

_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "/%")
_ADDRESS: Final = "dlt_address"  # the same whatever the case of its letters
_Members = dict[str, object]


class Collection(NamedTuple):
    """One list of the registry.

    Attributes:
        name: in the path.
        list_name: in the ledger.
        document: type of the documents that it takes.
        named: gives the name in a document.
        read: gives the document of the entry with an id, which stands.
        write: gives the changes that make or replace an entry.
        remove: gives the changes that end one; None where the registry cannot.
        member: of the body that is the name; empty where the id is, percent-encoded.
        has_dids: the names are DIDs, which are ids as they are.
        missing: the status when what is to be replaced is not there.
    """

    name: str
    list_name: str
    document: Any
    named: Callable[[Any], str]
    read: Callable[[Lists, str], object]
    write: Callable[[Known, str, Any], Sequence[Change]]
    remove: Callable[[Known, str], Sequence[Change]] | None = None
    member: str = ""
    has_dids: bool = False
    missing: int = HTTPStatus.NOT_FOUND

    def name_of(self, id_: str, entry: ListEntry) -> str:
        """Give the name of an entry."""
        if self.member:
            name = str(members_of(entry.body)[self.member])
            return name.lower() if self.member == _ADDRESS else name
        return id_ if self.has_dids else unquote(id_)

    def find(self, lists: Lists, name: str) -> str | None:
        """Give the id of the standing entry with a name, or None."""
        id_ = name if self.has_dids else entry_id(name)
        entry = lists.entry(self.list_name, id_)
        if entry is not None and self._is(id_, entry, name):
            return id_
        if not self.member:
            return None
        rows = lists.page(self.list_name, 0, INT_MAX).items
        return next((id_ for id_, entry in rows if self._is(id_, entry, name)), None)

    def plan_create(self, known: Known, document: object) -> Sequence[Change]:
        """Plan a new entry. Raises HttpError when it stands already."""
        name = self.named(document)
        id_ = name if self.has_dids else entry_id(name)
        if self.find(known.lists, name) is not None or known.entry(id_) is not None:
            raise HttpError(HTTPStatus.CONFLICT, f"{name} is registered already")
        return self.write(known, id_, document)

    def plan_replace(self, known: Known, name: str, document: object) -> Sequence[Change]:
        """Plan a new revision. Raises HttpError when the entry does not stand."""
        id_ = self.find(known.lists, name)
        if id_ is None:
            raise HttpError(self.missing, f"{name} is not registered")
        return self.write(known, id_, document)

    def plan_remove(self, known: Known, name: str) -> Sequence[Change]:
        """Plan the end of an entry. Raises HttpError when it does not stand."""
        assert self.remove is not None, "there is no route"
        id_ = self.find(known.lists, name)
        if id_ is None:
            raise HttpError(HTTPStatus.NOT_FOUND, f"{name} is not registered")
        return self.remove(known, id_)

    def _is(self, id_: str, entry: ListEntry, name: str) -> bool:
        return self.name_of(id_, entry) == name


def entry_id(name: str) -> str:
    """Give the id under which any text stands in a list."""
    return quote(name, safe=_SAFE)


def _writing(
    kind: str, body_of: Callable[[Any], _Members]
) -> Callable[[Known, str, Any], Sequence[Change]]:
    """Make the writing of a list with one body for one document.

    Members of the body that the registry does not know stay as they are.
    """

    def write(known: Known, id_: str, document: object) -> Sequence[Change]:
        entry = known.entry(id_)
        validity = (entry.valid_from_ms, entry.valid_to_ms) if entry else (0, 0)
        stored = members_of(entry.body) if entry else {}
        body = msgspec.json.encode(stored | body_of(document))
        return [known.put(id_, kind, body, validity)]

    return write


def _reading(
    list_name: str, document_of: Callable[[_Members], _Members]
) -> Callable[[Lists, str], object]:
    def read(lists: Lists, id_: str) -> object:
        entry = lists.entry(list_name, id_)
        assert entry is not None, "it stands"
        return document_of(members_of(entry.body))

    return read


def _revoke(known: Known, id_: str) -> Sequence[Change]:
    return [known.revoke(id_)]


def _read_participant(_lists: Lists, id_: str) -> object:
    return {"did": id_, "attributes": [], "hasAttributes": False}


def _read_schema(lists: Lists, id_: str) -> object:
    entry = lists.entry("schemas", id_)
    assert entry is not None, "it stands"
    return {"id": unquote(id_), "schemaData": entry.body.decode()}


def _write_schema(known: Known, id_: str, document: Schema) -> Sequence[Change]:
    return [known.put(id_, "schema", document.schema_data.encode())]


def _write_issuer(known: Known, id_: str, document: Issuer) -> Sequence[Change]:
    drafts = drafts_of(document)
    stands = known.entry(id_) is not None
    return (issuers.replace if stands else issuers.create)(known, id_, drafts)


COLLECTIONS: Final = (
    Collection(
        "participants",
        "participants",
        Participant,
        lambda document: document.did,
        _read_participant,
        _writing("participant", participant_body),
        _revoke,
        has_dids=True,
        missing=HTTPStatus.BAD_REQUEST,  # as the description has it, of this list alone
    ),
    Collection(
        "issuers",
        "issuers",
        Issuer,
        lambda document: document.did,
        read_issuer,
        _write_issuer,
        has_dids=True,
    ),
    Collection(
        "schemas",
        "schemas",
        Schema,
        lambda document: document.id,
        _read_schema,
        _write_schema,
        _revoke,
    ),
    Collection(
        "services",
        "services",
        Service,
        lambda document: document.client_id,
        _reading("services", read_service),
        _writing("service", service_body),
        member="clientId",
    ),
    Collection(
        "accessNodes",
        "access-nodes",
        AccessNode,
        lambda document: document.dlt_address.lower(),
        _reading("access-nodes", read_access_node),
        _writing("access-node", access_node_body),
        member=_ADDRESS,
    ),
)
