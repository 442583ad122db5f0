"""Reading the state of the trust framework: entries, revisions, participants, proposals, in pages.

Owns how far one request may read, as ``pages`` does for the log. Every function reads one snapshot
and says at which height; blocks, so run it in a thread.
"""

import time

from ledger.core.codec import Codec
from ledger.core.genesis import Governors, Participant
from ledger.core.ids import Height
from ledger.core.limits import (
    GATEWAY_PAGE_BYTES_MAX,
    GATEWAY_PROPOSALS_MAX,
    GATEWAY_SCAN_MS_MAX,
)
from ledger.core.state import (
    GOVERNORS_KEY,
    PARTICIPANT_PREFIX,
    VALIDATORS_KEY,
    participant_key,
)
from ledger.core.trust.bodies import LISTS
from ledger.core.trust.governance import (
    OPEN_PROPOSALS_PREFIX,
    PARAMETER_PREFIX,
    PENDING_VALIDATORS_KEY,
    Proposal,
    open_proposals_codec,
    parameter_codec,
    proposal_codec,
    proposal_key,
)
from ledger.core.trust.lists import (
    EntryStatus,
    ListEntry,
    entry_codec,
    entry_key,
    list_prefix,
    revision_key,
)
from ledger.core.trust.operations import LIST_TOPIC_PREFIX
from ledger.core.validators import members_codec
from ledger.io.chain_reader import ChainReader
from pubsub.core.trust_documents import (
    GovernanceDocument,
    ListPage,
    ListRow,
    ListSummary,
    governors_document,
    proposal_document,
)

__all__ = ["StateReader"]

_participants = Codec(Participant)
_governors = Codec(Governors)


class StateReader:
    """The state in one snapshot of the store; use it only while the reader lives.

    Attributes:
        height, time_ms: of the newest block; root: of the state after it.
    """

    def __init__(self, reader: ChainReader) -> None:
        head = reader.stored_head(reader.head_height())
        self._reader = reader
        self._state = reader.state(head.root)
        self.root: bytes = head.root.state_root
        self.height: Height = head.root.height
        self.time_ms: int = head.time_ms

    # --- lists ------------------------------------------------------------------------------

    def lists(self) -> list[ListSummary]:
        """Count the standing entries of every list."""
        return [self._summary(name) for name in LISTS]

    def _summary(self, name: str) -> ListSummary:
        counts = [0, 0]
        prefix = list_prefix(name)
        for key, value in self._reader.flat_state(prefix):
            if entry_codec.decode(value).status is EntryStatus.ACTIVE:
                counts[b"/" in key[len(prefix) :]] += 1
        return ListSummary(name, LIST_TOPIC_PREFIX + name, *counts)

    def page(
        self, list_name: str, prefix: str, after: str, limit: int, *, also_revoked: bool
    ) -> ListPage:
        """Give the newest revisions of entries whose ids begin with ``prefix``, behind ``after``.

        The page ends at ``limit`` entries, at so many bytes, or when its time is over.
        """
        deadline = time.monotonic() + GATEWAY_SCAN_MS_MAX / 1000
        rows: list[ListRow] = []
        begin, size = len(list_prefix(list_name)), 0
        behind = entry_key(list_name, after) if after else b""
        for key, value in self._reader.flat_state(entry_key(list_name, prefix), behind):
            if rows and (len(rows) >= limit or size >= GATEWAY_PAGE_BYTES_MAX):
                return ListPage(rows[-1].id, tuple(rows))
            entry = entry_codec.decode(value)
            id_ = key[begin:].decode()
            if also_revoked or entry.status is EntryStatus.ACTIVE:
                rows.append(ListRow(id_, entry))
                size += len(value)
            elif time.monotonic() > deadline:
                return ListPage(id_, tuple(rows))
        return ListPage(None, tuple(rows))

    def entry(self, list_name: str, id_: str) -> ListEntry | None:
        """Give the newest revision of an entry, revoked or not."""
        return self._decode(self._state.get(entry_key(list_name, id_)))

    def revision(self, list_name: str, id_: str, number: int) -> ListEntry | None:
        """Give one revision of an entry."""
        return self._decode(self._state.get(revision_key(list_name, id_, number)))

    def revisions(self, list_name: str, id_: str, after: int, limit: int) -> list[ListEntry]:
        """Give revisions behind the one numbered ``after``, oldest first."""
        found: list[ListEntry] = []
        size = 0
        while len(found) < limit and size < GATEWAY_PAGE_BYTES_MAX:
            entry = self.revision(list_name, id_, after + len(found) + 1)
            if entry is None:
                break
            found.append(entry)
            size += len(entry.body)
        return found

    def revision_at(self, list_name: str, id_: str, time_ms: int) -> ListEntry | None:
        """Give the revision that was the newest at a time; the times of revisions never fall."""
        newest = self.entry(list_name, id_)
        low, high = 0, 0 if newest is None else newest.revision
        while low < high:
            middle = (low + high + 1) // 2
            entry = self.revision(list_name, id_, middle)
            if entry is not None and entry.changed_ms <= time_ms:
                low = middle
            else:
                high = middle - 1
        return self.revision(list_name, id_, low) if low else None

    @staticmethod
    def _decode(value: bytes | None) -> ListEntry | None:
        return None if value is None else entry_codec.decode(value)

    # --- participants -----------------------------------------------------------------------

    def participant(self, did: str) -> Participant | None:
        """Give a participant."""
        value = self._state.get(participant_key(did))
        return None if value is None else _participants.decode(value)

    def participants(self, after: str, limit: int) -> tuple[list[Participant], str | None]:
        """Give participants behind the DID ``after``, and the last DID if there are more."""
        found: list[Participant] = []
        size = 0
        behind = participant_key(after) if after else b""
        for _, value in self._reader.flat_state(PARTICIPANT_PREFIX, behind):
            if found and (len(found) >= limit or size >= GATEWAY_PAGE_BYTES_MAX):
                return found, found[-1].did
            found.append(_participants.decode(value))
            size += len(value)
        return found, None

    # --- governance -------------------------------------------------------------------------

    def proposal(self, id_: bytes) -> Proposal | None:
        """Give a proposal, open or decided."""
        value = self._state.get(proposal_key(id_))
        return None if value is None else proposal_codec.decode(value)

    def governance(self) -> GovernanceDocument:
        """Describe who governs, by which parameters, and what is proposed."""
        governors = _governors.decode(self._value(GOVERNORS_KEY))
        validators = members_codec.decode(self._value(VALIDATORS_KEY))
        parameters = {
            key.removeprefix(PARAMETER_PREFIX).decode(): parameter_codec.decode(value)
            for key, value in self._reader.flat_state(PARAMETER_PREFIX)
        }
        ids = self._open_proposals()
        found = [(id_, self.proposal(id_)) for id_ in ids[:GATEWAY_PROPOSALS_MAX]]
        return GovernanceDocument(
            height=self.height,
            governors=governors_document(governors),
            parameters={name: (item.value, item.height) for name, item in parameters.items()},
            validators=[validator.name for validator in validators],
            validators_change=bool(self._state.get(PENDING_VALIDATORS_KEY)),
            open_count=len(ids),
            proposals=[
                proposal_document(id_, proposal, self.time_ms)
                for id_, proposal in found
                if proposal
            ],
        )

    def _value(self, key: bytes) -> bytes:
        """Give what every state holds."""
        return self._state.get(key) or b""

    def _open_proposals(self) -> list[bytes]:
        """Name the open proposals, the one that expires first in front."""
        rows = [
            (item.expires_ms, item.id)
            for _, value in self._reader.flat_state(OPEN_PROPOSALS_PREFIX)
            for item in open_proposals_codec.decode(value).proposals
            if self.time_ms < item.expires_ms
        ]
        return [id_ for _, id_ in sorted(rows)]
