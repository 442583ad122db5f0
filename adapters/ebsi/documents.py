"""Track and Trace v1: reads. The entities of the log are documents, its events their events.

Everybody may read; who made the first event of an entity is its creator, and the one who has an
access that can be told: rights in this ledger are for topics, not for entities.
"""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from adapters.ebsi.did_documents import DID_DOCUMENTS
from adapters.ebsi.identifiers import read_hash
from adapters.ebsi.log_index import (
    TRANSACTION_TYPE,
    LogIndex,
    author_of,
    document_id,
    stated_in,
)
from adapters.ebsi.problems import bad_request, not_found
from adapters.ebsi.serving import Query, Read
from ledger.core.event import OpenEntry, open_entry
from ledger.core.ids import EventId, Sequence
from ledger.core.limits import EBSI_DOCUMENT_EVENTS_MAX
from ledger.io.chain_reader import ChainReader
from pubsub.io.answers import json_response

__all__ = ["Documents", "event_hash", "find_event"]

_BLOCK_BYTES: Final = 32


class Documents:
    """The reads over one index of the log."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index

    def reads(self) -> dict[str, Read]:
        """Give the reads by their paths."""
        return {
            "/documents": self.get_documents,
            "/documents/{document}": self.get_document,
            "/documents/{document}/events": self.get_events,
            "/documents/{document}/events/{event}": self.get_event,
            "/documents/{document}/accesses": self.get_document_accesses,
        }

    def get_documents(self, query: Query) -> Response:
        """Answer with a page of documents, oldest first."""
        paging, _ = query.list_query()
        total, ids = self._index.documents(paging.offset, paging.size)
        items = [
            {"documentId": f"0x{id_.hex()}", "href": query.here(f"0x{id_.hex()}")} for id_ in ids
        ]
        return query.page(paging, total, items)

    def get_document(self, query: Query) -> Response:
        """Answer with a document and the hashes of its first events."""
        _, sequences = self._find(query)
        first = _read(query.reader, sequences[0])
        hashes = [event_hash(opened) for _, opened in _events(query.reader, sequences)]
        document = {
            "metadata": _metadata(first),
            "timestamp": _timestamp(query.reader, sequences[0]),
            "events": hashes,
            "creator": author_of(first.event),
        }
        return json_response(document)

    def get_events(self, query: Query) -> Response:
        """Answer with a page of a document's events, oldest first."""
        paging, _ = query.list_query()
        _, sequences = self._find(query)
        if _is_creation(_read(query.reader, sequences[0])):
            sequences = sequences[1:]
        rows = sequences[paging.offset : paging.offset + paging.size]
        ids = [event_hash(_read(query.reader, sequence)) for sequence in rows]
        items = [{"eventId": id_, "href": query.here(id_)} for id_ in ids]
        return query.page(paging, len(sequences), items)

    def get_event(self, query: Query) -> Response:
        """Answer with an event, named by its hash or by the id that it has in the ledger."""
        wanted = query.path["event"]
        name = read_hash(wanted)
        if name is None:
            raise bad_request("eventId must be a 32 bytes hexadecimal string")
        document, sequences = self._find(query)
        found = find_event(query.reader, document, sequences, f"0x{name}")
        if found is None:
            raise not_found("Event", f"Event {wanted} not found")
        sequence, opened = found
        event = opened.event
        answer = {
            "externalHash": _external_hash(opened),
            "hash": event_hash(opened),
            "timestamp": _timestamp(query.reader, sequence),
            "sender": author_of(event),
            "origin": event.location,
            "metadata": _metadata(opened),
        }
        return json_response(answer)

    def get_document_accesses(self, query: Query) -> Response:
        """Answer with the creator's access."""
        paging, _ = query.list_query()
        document, sequences = self._find(query)
        creator = author_of(_read(query.reader, sequences[0]).event)
        return query.sliced(paging, [_access(creator, document)])

    def get_accesses(self, query: Query) -> Response:
        """Answer with a page of the documents that a DID created."""
        paging, filters = query.list_query(("subject",))
        subject = filters.get("subject")
        if not subject:
            raise bad_request("subject must be a string")
        ids = self._index.created_by(subject)
        return query.sliced(paging, [_access(subject, id_) for id_ in ids])

    def head_accesses(self, query: Query) -> Response:
        """Answer whether a DID may create documents: whether it is known here."""
        creators = [value for name, value in query.pairs if name == "creator"]
        if len(creators) != 1:
            raise bad_request("creator must be a string")
        root = query.reader.stored_head(query.reader.head_height()).root
        known = (
            query.reader.state(root).participant(creators[0]) is not None
            or query.lists.entry(DID_DOCUMENTS, creators[0]) is not None
        )
        return Response(status_code=HTTPStatus.NO_CONTENT if known else HTTPStatus.NOT_FOUND)

    def _find(self, query: Query) -> tuple[bytes, list[Sequence]]:
        """Give a document's id and where its events are; there is one at least."""
        wanted = query.path["document"]
        name = read_hash(wanted)
        if name is None:
            raise bad_request("documentId must be a 32 bytes hexadecimal string")
        id_ = bytes.fromhex(name)
        sequences = self._index.sequences(id_)
        if sequences is None:
            raise not_found("Document", f"Document {wanted} not found")
        return id_, sequences


def event_hash(opened: OpenEntry) -> str:
    """Give the hash that names an event: of its entity's content, or its own where it has none."""
    return f"0x{(opened.event.entity_hash or opened.id).hex()}"


def find_event(
    reader: ChainReader, document: bytes, sequences: list[Sequence], name: str
) -> tuple[Sequence, OpenEntry] | None:
    """Find an event of a document by ``0x`` and its hash, or by its own id in the ledger."""
    own = reader.sequence_of(EventId(bytes.fromhex(name[2:])))
    if own is not None:
        opened = _read(reader, own)
        return (own, opened) if document_id(opened.event.subject) == document else None
    rows = _events(reader, sequences)
    return next((row for row in rows if event_hash(row[1]) == name), None)


def _events(reader: ChainReader, sequences: list[Sequence]) -> Iterator[tuple[Sequence, OpenEntry]]:
    for sequence in sequences[:EBSI_DOCUMENT_EVENTS_MAX]:
        opened = _read(reader, sequence)
        if sequence != sequences[0] or not _is_creation(opened):
            yield sequence, opened


def _read(reader: ChainReader, sequence: Sequence) -> OpenEntry:
    entry = reader.entry(sequence)
    assert entry is not None, "the index names entries of the log alone"
    return open_entry(entry)


def _is_creation(opened: OpenEntry) -> bool:
    """Say whether an event is EBSI's ``createDocument``, which is no event there."""
    return opened.event.type == TRANSACTION_TYPE and not opened.event.entity_hash


def _metadata(opened: OpenEntry) -> str:
    """Give what EBSI's client said, or what the event says of itself."""
    event = opened.event
    if event.type == TRANSACTION_TYPE:
        return stated_in(event).get("metadata", "")
    stated = {"eventType": event.type, "topic": event.topic, "relevantMetadata": event.tags}
    return json.dumps(stated, separators=(",", ":"), ensure_ascii=False)


def _external_hash(opened: OpenEntry) -> str:
    previous = opened.event.previous_hash
    stated = stated_in(opened.event).get("externalHash")
    return stated or (f"0x{previous.hex()}" if previous else "")


def _timestamp(reader: ChainReader, sequence: Sequence) -> dict[str, str]:
    """Give the block's time in seconds, and its number as the proof, as EBSI does."""
    height = reader.height_of(sequence)
    seconds = reader.stored_head(height).time_ms // 1000
    return {
        "datetime": hex(seconds),
        "source": "block",
        "proof": f"0x{height.to_bytes(_BLOCK_BYTES).hex()}",
    }


def _access(creator: str, document: bytes) -> dict[str, str]:
    return {
        "subject": creator,
        "documentId": f"0x{document.hex()}",
        "grantedBy": creator,
        "permission": "creator",
    }
