"""Writes of a facade: plan changes from one snapshot, carry them out as one operation.

Every change names the revision that the plan saw, so that a write of somebody else in between is
a conflict and never half of one plan and half of another. No plan touches an entry that another
member made first, whatever the ledger would allow: who asks speaks for this member alone.
"""

from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from adapters.access import WriteAccess
from adapters.http import HttpError, in_snapshot
from adapters.lists import Lists
from adapters.member import Writer
from ledger.core.limits import LIST_CHANGES_COUNT_MAX
from ledger.core.trust.bodies import body_fault
from ledger.core.trust.lists import ListEntry, entry_codec, entry_key
from ledger.core.trust.operations import ChangeList, PutEntry, RevokeEntry
from ledger.io.chain_reader import ChainReader
from pubsub.io.state import Gateway

__all__ = ["Change", "Known", "Plan", "WriterFactory", "Writing"]

Change = PutEntry | RevokeEntry
WriterFactory = Callable[[Gateway], Writer]


class Known:
    """One list as a plan sees it: what stands, and the revisions of what no longer does.

    Attributes:
        lists: the standing entries.
    """

    def __init__(self, name: str, reader: ChainReader, lists: Lists, member: str) -> None:
        """See the list ``name`` as the member with a DID that wants to change it."""
        self.name = name
        self.lists = lists
        self._member = member
        self._state = reader.state(reader.stored_head(reader.head_height()).root)

    def entry(self, id_: str) -> ListEntry | None:
        """Give an entry that stands, or None."""
        return self.lists.entry(self.name, id_)

    def children(self, id_: str) -> dict[str, ListEntry]:
        """Give the standing entries that belong to one, by what follows the slash."""
        return dict(self.lists.children(self.name, id_))

    def revision(self, id_: str) -> int:
        """Give the newest revision of an entry, revoked or not; 0 when there was none."""
        value = self._state.get(entry_key(self.name, id_))
        return 0 if value is None else entry_codec.decode(value).revision

    def is_own(self, id_: str) -> bool:
        """Say whether this member made an entry first, or nobody did yet."""
        first = self.lists.revision(self.name, id_, 1)
        return first is None or first.writer == self._member

    def put(self, id_: str, kind: str, body: bytes, validity: tuple[int, int] = (0, 0)) -> PutEntry:
        """Give the change that makes an entry, or its next revision.

        Raises:
            HttpError: the list does not take such a body, or the entry is another member's.
        """
        self._require_own(id_)
        fault = body_fault(self.name, kind, body)
        if fault is not None:
            raise HttpError(HTTPStatus.BAD_REQUEST, fault)
        return PutEntry(id_, kind, body, *validity, self.revision(id_))

    def revoke(self, id_: str) -> RevokeEntry:
        """Give the change that ends an entry. Raises HttpError for another member's."""
        self._require_own(id_)
        return RevokeEntry(id_, self.revision(id_))

    def _require_own(self, id_: str) -> None:
        if not self.is_own(id_):
            raise HttpError(HTTPStatus.FORBIDDEN, f"{id_} was registered by another member")


Plan = Callable[[Known], Sequence[Change]]
_TOO_MANY: Final = f"this would change more than {LIST_CHANGES_COUNT_MAX} entries at once"


class Writing:
    """The writes of one facade: who may ask for them, and in whose name they are done.

    Args:
        writer: None refuses every write.
    """

    def __init__(self, gateway: Gateway, writer: Writer | None, access: WriteAccess) -> None:
        self.gateway = gateway
        self._writer = writer
        self._access = access

    async def require(self, request: Request, credential_types: Collection[str]) -> None:
        """Refuse a request whose sender may not write, before its body is read.

        Args:
            credential_types: of which the token's credential must be one.

        Raises:
            HttpError: 401 or 403.
            ledger.core.errors.Unavailable: the token cannot be checked for now.
        """
        if self._writer is None:
            raise HttpError(HTTPStatus.FORBIDDEN, "this gateway has no key to write with")
        await self._access.require(request, credential_types)

    async def carry_out(self, list_name: str, plan: Plan) -> None:
        """Plan the changes of one list and carry them out, all or none.

        Args:
            plan: gives the changes, or raises HttpError.

        Raises:
            HttpError: the plan's, or there are too many changes.
            ledger.core.errors.Rejected: the ledger refused, with its code.
            ledger.core.errors.Unavailable: it is not final in time; it may still become so.
        """
        assert self._writer is not None, "the request was admitted"
        did = self._writer.did
        changes = await in_snapshot(
            self.gateway, lambda reader, lists: tuple(plan(Known(list_name, reader, lists, did)))
        )
        if len(changes) > LIST_CHANGES_COUNT_MAX:
            raise HttpError(HTTPStatus.BAD_REQUEST, _TOO_MANY)
        await self._writer.carry_out(ChangeList(list_name, changes))
