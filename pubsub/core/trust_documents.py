"""The JSON documents about lists, participants and governance, and the canonical page of a list.

They are the API's contract like those of ``documents``. What programs should rely on is canonical:
an entry's ``ListEntry``, a page's ``ListPage``; the documents show the same to people.
"""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from ledger.core.codec import Codec, Record
from ledger.core.genesis import Governors, Participant
from ledger.core.proof import plain
from ledger.core.trust.governance import Proposal
from ledger.core.trust.lists import EntryStatus, ListEntry
from ledger.core.trust.operations import (
    Action,
    SetGovernors,
    SetParameter,
    SetParticipant,
    SetTopicRule,
    SetValidators,
)

__all__ = [
    "EntriesDocument",
    "EntryDocument",
    "GovernanceDocument",
    "GovernorsDocument",
    "KeyDocument",
    "ListPage",
    "ListRow",
    "ListSummary",
    "ListsDocument",
    "ParticipantDocument",
    "ParticipantsDocument",
    "ProposalDocument",
    "RevisionsDocument",
    "entry_document",
    "governors_document",
    "list_page_codec",
    "participant_document",
    "proposal_document",
]


class ListRow(Record, frozen=True):
    """An entry's newest revision, with its id."""

    id: str
    entry: ListEntry


class ListPage(Record, frozen=True):
    """A piece of a list, in the order of the ids.

    Attributes:
        next_id: give it as ``after`` to go on; None at the end of the list.
    """

    next_id: str | None
    rows: tuple[ListRow, ...]


list_page_codec = Codec(ListPage)


class ListSummary(Struct, frozen=True):
    """One list.

    Attributes:
        topic: where changes are published, and the right that a writer needs.
        entries: how many entries stand.
        children: how many more stand below entries (``<id>/...``).
    """

    name: str
    topic: str
    entries: int
    children: int


class ListsDocument(Struct, frozen=True):
    """All lists as they are after the block at ``height``."""

    height: int
    lists: list[ListSummary]


class EntryDocument(Struct, frozen=True):
    """One revision of one entry.

    Attributes:
        revision: 1 for the first.
        status: ``revoked`` entries do not stand; their history stays.
        valid_from_ms: 0 for the beginning of time; valid_to_ms: null for no end.
        changed_ms: time of the block that made this revision.
        writer: DID of who made it; event_id: by which event.
        body_hash: SHA-256 of the body's exact bytes.
        body: the content: JSON as it was written, or a text, or null when there is none.
    """

    list: str
    id: str
    kind: str
    revision: int
    status: Literal["active", "revoked"]
    valid_from_ms: int
    valid_to_ms: int | None
    changed_ms: int
    writer: str
    event_id: str
    body_hash: str
    body: Raw


class EntriesDocument(Struct, frozen=True):
    """A piece of a list after the block at ``height``; ``next`` is null at its end."""

    list: str
    height: int
    entries: tuple[EntryDocument, ...]
    next: str | None


class RevisionsDocument(Struct, frozen=True):
    """Revisions of one entry, oldest first; ``next`` is null when there are no more."""

    list: str
    id: str
    height: int
    revisions: tuple[EntryDocument, ...]
    next: int | None


class KeyDocument(Struct, frozen=True):
    """A publisher key."""

    key: str
    revoked: bool


class ParticipantDocument(Struct, frozen=True):
    """Who may publish, with which keys, to which topics."""

    did: str
    name: str
    keys: list[KeyDocument]
    topics: list[str]


class ParticipantsDocument(Struct, frozen=True):
    """Participants after the block at ``height``, by DID; ``next`` is null at the end."""

    height: int
    participants: list[ParticipantDocument]
    next: str | None


class ProposalDocument(Struct, frozen=True):
    """A proposal to the governors.

    Attributes:
        id: id of the event that made it.
        status: ``open`` until it is ``carried_out`` or ``expired``, by the newest block's time.
        action: what it does: ``kind`` and its parts.
        approvals: governors who approved, the proposer first.
        executed_ms: time of the block that carried it out, or null.
    """

    id: str
    status: Literal["open", "carried_out", "expired"]
    proposer: str
    action: Raw
    approvals: list[str]
    expires_ms: int
    executed_ms: int | None


class GovernorsDocument(Struct, frozen=True):
    """Who governs: any ``threshold`` of the members decide."""

    threshold: int
    members: list[str]


class GovernanceDocument(Struct, frozen=True):
    """How the network is governed after the block at ``height``.

    Attributes:
        parameters: name -> (value, height from which on it holds).
        validators: their names, in the order of their indexes.
        validators_change: whether an approved validator set waits for the next epoch.
        open_count: how many proposals are open; ``proposals`` shows the first of them.
    """

    height: int
    governors: GovernorsDocument
    parameters: dict[str, tuple[int, int]]
    validators: list[str]
    validators_change: bool
    open_count: int
    proposals: list[ProposalDocument]


_KINDS: dict[type[Action], str] = {
    SetParticipant: "set_participant",
    SetGovernors: "set_governors",
    SetValidators: "set_validators",
    SetParameter: "set_parameter",
    SetTopicRule: "set_topic_rule",
}


def entry_document(list_name: str, id_: str, entry: ListEntry) -> EntryDocument:
    """Describe one revision of an entry."""
    return EntryDocument(
        list=list_name,
        id=id_,
        kind=entry.kind,
        revision=entry.revision,
        status="active" if entry.status is EntryStatus.ACTIVE else "revoked",
        valid_from_ms=entry.valid_from_ms,
        valid_to_ms=entry.valid_to_ms or None,
        changed_ms=entry.changed_ms,
        writer=entry.writer,
        event_id=entry.event_id.hex(),
        body_hash=entry.body_hash.hex(),
        body=_body(entry.body),
    )


def _body(body: bytes) -> Raw:
    if not body:
        return Raw(b"null")
    # Every body was judged: it is a JSON object, or a compact JWS.
    return Raw(body if body.lstrip().startswith(b"{") else msgspec.json.encode(body.decode()))


def participant_document(participant: Participant) -> ParticipantDocument:
    """Describe a participant."""
    return ParticipantDocument(
        did=participant.did,
        name=participant.name,
        keys=[KeyDocument(item.key.hex(), item.revoked) for item in participant.keys],
        topics=list(participant.topics),
    )


def governors_document(governors: Governors) -> GovernorsDocument:
    """Describe who governs."""
    return GovernorsDocument(governors.threshold, list(governors.members))


def proposal_document(id_: bytes, proposal: Proposal, now_ms: int) -> ProposalDocument:
    """Describe a proposal at the time of a block."""
    is_over = now_ms >= proposal.expires_ms
    parts = plain(proposal.action)
    assert isinstance(parts, dict)
    return ProposalDocument(
        id=id_.hex(),
        status="carried_out" if proposal.executed_ms else "expired" if is_over else "open",
        proposer=proposal.proposer,
        action=Raw(msgspec.json.encode({"kind": _KINDS[type(proposal.action)], **parts})),
        approvals=list(proposal.approvals),
        expires_ms=proposal.expires_ms,
        executed_ms=proposal.executed_ms or None,
    )
