"""What a call of a contract becomes: one operation, or one event, planned from one snapshot.

Owns the rule of whose entries may be changed through this facade: those that the gateway's member
made itself, whatever else the ledger would allow it; and each change names the revision that the
plan saw, so that a change of somebody else in between is a conflict.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from adapters.ebsi.contracts import Call
from adapters.ebsi.identifiers import is_did
from adapters.ebsi.refusals import RpcRefused
from adapters.lists import Lists
from ledger.core.trust.bodies import body_fault
from ledger.core.trust.lists import ListEntry, entry_codec, entry_key
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    ChangeList,
    PutEntry,
    RevokeEntry,
    operation_codec,
    topic_of,
)
from ledger.io.chain_reader import ChainReader

__all__ = ["SUB_MISMATCH", "Caller", "Plan", "Planned", "View", "changes", "require_did_argument"]

SUB_MISMATCH: Final = "Access token sub doesn't match the DID from the payload"


class Caller(NamedTuple):
    """Who wants a call carried out.

    Attributes:
        did: the subject of the access token.
        address: the signer of the transaction, 20 bytes.
        nonce: of the transaction.
        member: the gateway's member.
    """

    did: str
    address: bytes
    nonce: int
    member: str

    @property
    def is_member(self) -> bool:
        """Whether the caller is the member itself."""
        return self.did == self.member

    def require_did(self, did: str) -> None:
        """Refuse a payload about another DID than the caller's."""
        if did != self.did:
            raise RpcRefused(SUB_MISMATCH)


class Planned(NamedTuple):
    """An event that is to be published: its topic, and its fields but for the tags."""

    topic: str
    fields: Mapping[str, object]


class View:
    """The lists as a plan sees them."""

    def __init__(self, reader: ChainReader, member: str) -> None:
        self.reader = reader
        self.lists = Lists(reader)
        self.time_ms = self.lists.time_ms
        self._member = member
        self._state = reader.state(reader.stored_head(reader.head_height()).root)

    def put(
        self, list_name: str, id_: str, kind: str, body: bytes, validity: tuple[int, int] = (0, 0)
    ) -> PutEntry:
        """Give the change that makes an entry or its next revision.

        Args:
            validity: when the entry begins and ends to hold, milliseconds, 0 for open.

        Raises:
            RpcRefused: the list takes no such body, or another member made the entry.
        """
        fault = body_fault(list_name, kind, body)
        if fault is not None:
            raise RpcRefused(f"{kind} cannot be stored: {fault}")
        return PutEntry(id_, kind, body, *validity, self._own_revision(list_name, id_))

    def revoke(self, list_name: str, id_: str) -> RevokeEntry:
        """Give the change that ends an entry. Raises RpcRefused when another member made it."""
        return RevokeEntry(id_, self._own_revision(list_name, id_))

    def registrar(self, did: str) -> str | None:
        """Give the member that made a DID known: who wrote the first revision of its entry."""
        for list_name in ("did-documents", "participants"):
            first: ListEntry | None = self.lists.revision(list_name, did, 1)
            if first is not None:
                return first.writer
        return None

    def belongs_to_another(self, did: str) -> bool:
        """Say whether a DID is a participant's own, or one that another member made known."""
        is_participant = self._state.participant(did) is not None
        return is_participant or self.registrar(did) not in (None, self._member)

    def _own_revision(self, list_name: str, id_: str) -> int:
        """Give the newest revision of an entry, 0 for none, refusing one that is not ours."""
        value = self._state.get(entry_key(list_name, id_))
        revision = 0 if value is None else entry_codec.decode(value).revision
        first = self.lists.revision(list_name, id_, 1)
        if first is not None and first.writer != self._member:
            raise RpcRefused("Policy error: the entry was made by another member")
        return revision


Plan = Callable[[View, Caller, Call], Planned]


def changes(list_name: str, subject: str, made: Sequence[PutEntry | RevokeEntry]) -> Planned:
    """Give the event of an operation that changes entries of one list."""
    operation = ChangeList(list_name, tuple(made))
    fields = {
        "subject": subject,
        "data": operation_codec.encode(operation),
        "content_type": CONTENT_TYPE,
    }
    return Planned(topic_of(operation), fields)


def require_did_argument(call: Call, name: str = "did") -> str:
    """Give an argument that must be a DID."""
    did = call.text(name)
    if not is_did(did):
        raise RpcRefused(f"{name} must be a valid DID v1")
    return did
