"""What replication asks of the ledger, as whom, and what it remembers of the ledger's members.

``AsyncClient`` fits ``Ledger``; tests play it.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, NamedTuple, Protocol, Unpack

import anyio

from adapters.credentials.did_keys import is_did
from ledger.core.errors import PeerFault, ProofError, Rejected, Unavailable
from ledger.core.event import OpenEntry
from ledger.core.genesis import Participant
from ledger.core.limits import (
    REPLICATION_LOOKUPS_MAX,
    REPLICATION_MEMBER_FRESH_MS,
    REPLICATION_MEMBERS_REMEMBERED_MAX,
)
from ledger.core.signing import Signer
from pubsub.client.answers import LedgerEvent, Receipt
from pubsub.client.calls import Wait
from pubsub.client.following import Filters
from pubsub.client.trust_calls import Reading
from pubsub.core.documents import Status

__all__ = ["Identity", "Ledger", "Member", "Members", "Participants", "Subscription"]


class Participants(Protocol):
    """The part of ``AsyncTrust`` that is used here."""

    async def participant(self, did: str) -> Reading[Participant]:
        """Read a participant's keys and rights, proven."""
        ...


class Subscription(Protocol):
    """Events without end; to be closed."""

    def __aiter__(self) -> AsyncIterator[LedgerEvent]: ...

    async def __anext__(self) -> LedgerEvent: ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...


class Ledger(Protocol):
    """The part of ``AsyncClient`` that is used here."""

    @property
    def trust(self) -> Participants:
        """The participants."""
        ...

    async def status(self) -> Status:
        """Read how a gateway and its chain do."""
        ...

    async def publish_many(self, entries: Iterable[OpenEntry], wait: Wait) -> list[Receipt]:
        """Publish; one receipt for each, in order."""
        ...

    def events(self, *, after: int = -1, **filters: Unpack[Filters]) -> AsyncIterator[LedgerEvent]:
        """Read to the end of the ledger, each event proven."""
        ...

    def subscribe(self, *, after: int | None = -1, **filters: Unpack[Filters]) -> Subscription:
        """Follow the ledger without end, each event proven."""
        ...


class Identity(NamedTuple):
    """Who this node is among the others.

    Attributes:
        did: of its member; ``signer``: one of the member's keys on the ledger.
        chain_id: of the ledger.
        public_url: where its peers reach it, without a slash at the end.
        environment: tag of all its events ("prd"); empty for none.
    """

    did: str
    signer: Signer
    chain_id: str
    public_url: str
    environment: str = ""


class Member(NamedTuple):
    """A participant of the ledger: the keys that it may use now, and when that was read."""

    keys: tuple[bytes, ...]
    read_ms: int


_NOBODY: Final = Member((), 0)


class Members:
    """The members' keys as the ledger has them, remembered for a minute."""

    def __init__(self, participants: Participants, now_ms: Callable[[], int]) -> None:
        self._participants = participants
        self._now_ms = now_ms
        self._known: OrderedDict[str, Member] = OrderedDict()
        self._slots = anyio.Semaphore(REPLICATION_LOOKUPS_MAX)

    async def get(self, did: str) -> Member:
        """Give a member; one that the ledger does not know has no keys.

        Raises:
            Unavailable: the ledger cannot be asked now.
        """
        known = self._known.get(did)
        if known and self._now_ms() - known.read_ms < REPLICATION_MEMBER_FRESH_MS:
            return known
        if not is_did(did):
            return _NOBODY
        try:
            async with self._slots:
                found = (await self._participants.participant(did)).value
        except (PeerFault, ProofError, Rejected) as error:
            raise Unavailable(f"{did} cannot be looked up: {error}") from None
        if found is None:  # not remembered: strangers must not push members out
            self._known.pop(did, None)
            return _NOBODY
        keys = tuple(item.key for item in found.keys if not item.revoked)
        member = self._known[did] = Member(keys, self._now_ms())
        self._known.move_to_end(did)
        while len(self._known) > REPLICATION_MEMBERS_REMEMBERED_MAX:
            self._known.popitem(last=False)
        return member
