"""Entries of the trusted lists, as the state holds them: the newest revision and all before it."""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.event import DID_REGEX
from ledger.core.limits import DID_CHARS_MAX, EVENT_DATA_BYTES_MAX

__all__ = [
    "EntryStatus",
    "ListEntry",
    "entry_codec",
    "entry_key",
    "list_prefix",
    "revision_key",
    "split_entry_key",
]

_LIST = b"list\0"
_REVISION = b"revision\0"
_REVISION_BYTES = 8


class EntryStatus(IntEnum):
    """Whether an entry stands."""

    ACTIVE = 0
    REVOKED = 1


class ListEntry(Record, frozen=True):
    """One revision of one entry.

    Attributes:
        revision: 1 for the first.
        body_hash: SHA-256 of the body, as the outside formats want it.
        changed_ms: time of the block that made this revision.
        writer: who made it.
        event_id: by which event.
    """

    revision: UInt
    status: EntryStatus
    kind: str
    body: Annotated[bytes, Meta(max_length=EVENT_DATA_BYTES_MAX)]
    body_hash: Hash32
    valid_from_ms: UInt
    valid_to_ms: UInt
    changed_ms: UInt
    writer: Annotated[str, Meta(pattern=DID_REGEX, max_length=DID_CHARS_MAX)]
    event_id: Hash32

    def is_valid_at(self, time_ms: int) -> bool:
        """Say whether the entry stands and its validity covers a time."""
        return (
            self.status is EntryStatus.ACTIVE
            and self.valid_from_ms <= time_ms
            and (self.valid_to_ms == 0 or time_ms < self.valid_to_ms)
        )


entry_codec = Codec(ListEntry)


def list_prefix(list_name: str) -> bytes:
    """Give what the keys of a list's entries begin with, and no others."""
    return _LIST + list_name.encode() + b"\0"


def entry_key(list_name: str, entry_id: str) -> bytes:
    """Give the key of an entry's newest revision."""
    return list_prefix(list_name) + entry_id.encode()


def split_entry_key(key: bytes) -> tuple[str, str] | None:
    """Give the list and the id that ``entry_key`` made this key from, or None."""
    if not key.startswith(_LIST):
        return None
    name, _, id_ = key.removeprefix(_LIST).partition(b"\0")
    return name.decode(), id_.decode()


def revision_key(list_name: str, entry_id: str, revision: int) -> bytes:
    """Give the key of one revision of an entry."""
    number = revision.to_bytes(_REVISION_BYTES)
    return b"\0".join((_REVISION + list_name.encode(), entry_id.encode(), number))
