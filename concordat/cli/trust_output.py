"""How the trusted lists, participants and governance are shown: documents, tables, words."""

from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from concordat.cli.output import moment
from ledger.core.codec import Codec
from ledger.core.errors import DecodeError
from ledger.core.genesis import Governors, Participant
from ledger.core.state_proof import VerifiedState
from ledger.core.trust.governance import proposal_codec
from ledger.core.trust.lists import EntryStatus, ListEntry, entry_codec
from pubsub.client.trust_calls import Reading
from pubsub.core.trust_documents import (
    EntryDocument,
    entry_document,
    governors_document,
    participant_document,
    proposal_document,
)

__all__ = [
    "entries_table",
    "entry_view",
    "facts",
    "json_text",
    "key_in_words",
    "reading_line",
    "value_document",
]

_participants = Codec(Participant)
_governors = Codec(Governors)


def facts(rows: list[tuple[str, str]]) -> Table:
    """Give a table of names and what they are."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    return table


def json_text(value: object) -> str:
    """Write a value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def reading_line(reading: Reading[Any]) -> str:
    """Say how sure a value is."""
    if reading.is_verified:
        return f"proven: so after block {reading.height}, by {moment(reading.time_ms)}"
    return f"not verified: the gateway says so, after block {reading.height}"


def entry_view(list_name: str, id_: str, entry: ListEntry, last: str) -> RenderableType:
    """Show one revision of an entry, and ``last`` how sure that is."""
    document = entry_document(list_name, id_, entry)
    rows = [
        ("entry", f"{list_name} / {id_}"),
        ("kind", entry.kind),
        ("status", _status(entry)),
        ("revision", f"{entry.revision}, of {moment(entry.changed_ms)}"),
        ("valid", _validity(entry)),
        ("writer", entry.writer),
        ("event", document.event_id),
        ("body hash", document.body_hash),
    ]
    parts: list[RenderableType] = [facts(rows)]
    if entry.body:
        parts.append(Text(json_text(document.body)))
    return Group(*parts, Text(last))


def entries_table(rows: list[tuple[str, ListEntry]]) -> Table:
    """Show entries or revisions, one a line; the first column is its name."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "kind", "revision", "status", "changed", "writer"):
        table.add_column(title, overflow="fold")
    for name, entry in rows:
        changed = moment(entry.changed_ms)
        cells = (name, entry.kind, str(entry.revision), _status(entry), changed, entry.writer)
        table.add_row(*map(Text, cells))
    return table


def _status(entry: ListEntry) -> str:
    return "active" if entry.status is EntryStatus.ACTIVE else "revoked"


def _validity(entry: ListEntry) -> str:
    begin = f"from {moment(entry.valid_from_ms)}" if entry.valid_from_ms else ""
    end = f"until {moment(entry.valid_to_ms)}" if entry.valid_to_ms else ""
    return " ".join(filter(None, (begin, end))) or "without limit"


def key_in_words(key: bytes) -> str:
    """Name what a key of the state is about."""
    kind, _, rest = key.partition(b"\0")
    name, _, id_ = rest.partition(b"\0")
    if kind == b"list":
        return f"{_text(name)} / {_text(id_)}"
    if kind == b"revision":
        return f"{_text(name)} / {_text(id_[:-9])}, revision {int.from_bytes(id_[-8:])}"
    if kind == b"proposal":
        return f"proposal {rest.hex()}"
    if key.startswith(b"participant/"):
        return f"participant {_text(key.removeprefix(b'participant/'))}"
    return _text(key)


def value_document(verified: VerifiedState) -> object:
    """Give a proven value as JSON, named where its kind is known, else in hexadecimal."""
    key, value = verified.key, verified.value
    if value is None:
        return None
    try:
        if key.startswith((b"list\0", b"revision\0")):
            name, id_ = key.split(b"\0")[1:3]
            return _entry(name, id_, entry_codec.decode(value))
        if key.startswith(b"participant/"):
            return participant_document(_participants.decode(value))
        if key.startswith(b"proposal\0"):
            id_ = key.removeprefix(b"proposal\0")
            return proposal_document(id_, proposal_codec.decode(value), verified.time_ms)
        if key == b"governors":
            return governors_document(_governors.decode(value))
    except (DecodeError, ValueError):
        pass
    return value.hex()


def _entry(name: bytes, id_: bytes, entry: ListEntry) -> EntryDocument:
    return entry_document(_text(name), _text(id_), entry)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
