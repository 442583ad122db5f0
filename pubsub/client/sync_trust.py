"""The synchronous client's side of the trust framework: lists, participants, governance.

Made from async_trust.py by tests/support/unasync.py.
"""

from collections.abc import Iterator
from typing import Protocol, TypedDict, TypeVar, Unpack

from ledger.core.event import OpenEntry
from ledger.core.genesis import Governors, Participant
from ledger.core.ids import EventId, Height, PublicKey
from ledger.core.signing import Signer
from ledger.core.trust.governance import Proposal
from ledger.core.trust.lists import ListEntry
from ledger.core.trust.operations import (
    Action,
    Approve,
    ChangeList,
    Operation,
    Propose,
    PutEntry,
    RegisterParticipant,
    RevokeEntry,
    RevokeKey,
)
from ledger.core.validators import Validator
from pubsub.client.answers import Receipt
from pubsub.client.calls import Wait, event_id_of
from pubsub.client.exchange import Flow
from pubsub.client.identity import Publisher
from pubsub.client.trust_calls import ListQuestion, Reading, TrustCalls
from pubsub.core.trust_documents import GovernanceDocument, ListRow, ListSummary

__all__ = ["EntryTerms", "Trust", "TrustPort"]

T = TypeVar("T")


class EntryTerms(TypedDict, total=False):
    """What may be left out when an entry is put; see ``PutEntry``."""

    valid_from_ms: int
    valid_to_ms: int
    expected_revision: int


class TrustPort(Protocol):
    """What this needs of the client: to carry out a flow, and to publish an event."""

    def run(self, flow: Flow[T]) -> T:
        """Carry out the steps of a flow and give its value."""
        ...

    def publish(self, opened: OpenEntry, wait: Wait) -> Receipt:
        """Publish one event."""
        ...


class Trust:
    """The trusted lists, as ``client.trust``.

    Reads of single values are verified against the client's genesis unless ``verified=False``. What
    is read is the newest provable state of that gateway, or, with ``at_least``, one of that height
    or a later one: give a receipt's ``height`` to see what was written. Pages of lists and
    overviews are what the gateway says.

    Writes publish one event in the name of a publisher and return when it is final. They raise
    ``Rejected`` with the state machine's code when they are not allowed as things stand.
    """

    def __init__(self, port: TrustPort, calls: TrustCalls) -> None:
        """Read and write through ``port``."""
        self._port = port
        self._calls = calls

    # --- reading ----------------------------------------------------------------------------

    def lists(self) -> list[ListSummary]:
        """Read the lists and how many entries they hold, as the gateway says."""
        return self._port.run(self._calls.lists())

    def entries(
        self, list_name: str, *, prefix: str = "", also_revoked: bool = False
    ) -> Iterator[ListRow]:
        """Iterate over a list in order of the ids, as the gateway says.

        What belongs to an entry stands below it, as ``<id>/<name>``: ``prefix="<id>/"`` gives that.
        """
        after: str | None = ""
        while after is not None:
            question = ListQuestion(list_name, prefix, also_revoked, after)
            page = self._port.run(self._calls.page(question))
            yield from page.rows
            after = page.next_id

    def entry(
        self,
        list_name: str,
        id_: str,
        *,
        revision: int | None = None,
        at_least: Height | None = None,
        verified: bool = True,
    ) -> Reading[ListEntry]:
        """Read an entry's newest revision, also of a revoked one, or a numbered one.

        Raises:
            ProofError: the proof does not hold.
            ValueError: there is no genesis to verify with.
        """
        flow = self._calls.entry(list_name, id_, revision, at_least, check=verified)
        return self._port.run(flow)

    def history(
        self,
        list_name: str,
        id_: str,
        *,
        at_least: Height | None = None,
        verified: bool = True,
    ) -> list[Reading[ListEntry]]:
        """Read all revisions of an entry, oldest first; empty when there never was one."""
        newest = self.entry(list_name, id_, at_least=at_least, verified=verified)
        count = 0 if newest.value is None else newest.value.revision
        return [
            self.entry(list_name, id_, revision=number, at_least=newest.height, verified=verified)
            for number in range(1, count + 1)
        ]

    def participant(
        self, did: str, *, at_least: Height | None = None, verified: bool = True
    ) -> Reading[Participant]:
        """Read a participant's keys and rights. Raises as :meth:`entry`."""
        return self._port.run(self._calls.participant(did, at_least, check=verified))

    def governors(
        self, *, at_least: Height | None = None, verified: bool = True
    ) -> Reading[Governors]:
        """Read who governs. Raises as :meth:`entry`."""
        return self._port.run(self._calls.governors(at_least, check=verified))

    def validators(
        self, *, at_least: Height | None = None, verified: bool = True
    ) -> Reading[tuple[Validator, ...]]:
        """Read who the validators are, in the order of their indexes. Raises as :meth:`entry`."""
        return self._port.run(self._calls.validators(at_least, check=verified))

    def proposal(
        self, id_: EventId | str, *, at_least: Height | None = None, verified: bool = True
    ) -> Reading[Proposal]:
        """Read a proposal, open or decided. Raises as :meth:`entry`."""
        flow = self._calls.proposal(event_id_of(id_), at_least, check=verified)
        return self._port.run(flow)

    def governance(self) -> GovernanceDocument:
        """Read who governs and what is proposed, as the gateway says."""
        return self._port.run(self._calls.governance())

    # --- writing ----------------------------------------------------------------------------

    def carry_out(self, publisher: Publisher, operation: Operation) -> Receipt:
        """Publish an operation and return when it is final.

        Raises:
            Rejected: it is not allowed, with its code.
            Unavailable: not known in time.
        """
        return self._port.publish(publisher.sign_operation(operation), "final")

    def put(
        self,
        publisher: Publisher,
        list_name: str,
        id_: str,
        content: tuple[str, bytes],
        **terms: Unpack[EntryTerms],
    ) -> Receipt:
        """Make an entry, or give it a new revision.

        Args:
            content: the entry's kind and its body.
            terms: validity, and the revision that must be the newest (0: none).
        """
        kind, body = content
        change = PutEntry(
            id_,
            kind,
            body,
            terms.get("valid_from_ms", 0),
            terms.get("valid_to_ms", 0),
            terms.get("expected_revision"),
        )
        return self.carry_out(publisher, ChangeList(list_name, (change,)))

    def revoke(
        self,
        publisher: Publisher,
        list_name: str,
        id_: str,
        *,
        expected_revision: int | None = None,
    ) -> Receipt:
        """End an entry; its history stays."""
        change = RevokeEntry(id_, expected_revision)
        return self.carry_out(publisher, ChangeList(list_name, (change,)))

    def register(self, publisher: Publisher, participant: Participant) -> Receipt:
        """Register a participant without reserved rights, or change its name and topics."""
        return self.carry_out(publisher, RegisterParticipant(participant))

    def add_key(self, publisher: Publisher, signer: Signer) -> Receipt:
        """Let another key, whose holder consents here, speak for the publisher, too."""
        return self.carry_out(publisher, publisher.new_key(signer))

    def revoke_key(self, publisher: Publisher, key: PublicKey) -> Receipt:
        """Revoke one of the publisher's keys for ever; never the last."""
        return self.carry_out(publisher, RevokeKey(key))

    def propose(self, publisher: Publisher, action: Action, expires_ms: int) -> Receipt:
        """Propose an action to the governors, as one of them; the receipt's id names it."""
        return self.carry_out(publisher, Propose(action, expires_ms))

    def approve(self, publisher: Publisher, proposal: EventId | str) -> Receipt:
        """Approve a proposal, as a governor."""
        return self.carry_out(publisher, Approve(event_id_of(proposal)))
