"""The trusted lists as the access node sees them: read from gateways, each value with its proof.

Owns the answers to questions about the ledger where there is no chain store. A question is a pure
function of a snapshot; where it asks for what is not known yet it is stopped, the value is read,
and the question is asked again. So whatever asks the ledger works here as it does in a gateway.

A gateway can hide no revocation: what an id holds, or that it holds nothing, is proven. It can only
leave out which attributes an issuer has, and an attribute that is missing grants nothing.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple, TypeVar

import structlog

from adapters.credentials.trust import LedgerSnapshot
from ledger.core.errors import PeerFault, ProofError, Rejected, Unavailable
from ledger.core.genesis import Participant
from ledger.core.limits import (
    STATUS_FRESH_MS,
    TMF_LEDGER_CHILDREN_MAX,
    TMF_LEDGER_READS_MAX,
    TMF_LEDGER_REMEMBERED_MAX,
    TMF_LEDGER_STALE_MS_MAX,
)
from ledger.core.state import Rights
from ledger.core.trust.lists import EntryStatus, ListEntry
from pubsub.client.async_trust import AsyncTrust
from pubsub.client.trust_calls import Reading

__all__ = ["ClientLedger"]

T = TypeVar("T")
_log: Final = structlog.get_logger("tmf")


class _Key(NamedTuple):
    """What is read: the name of a list and an id, or no name and a participant's DID."""

    list_name: str
    id: str
    is_parent: bool = False


class _UnknownError(Exception):
    """A question asked for what was not read yet."""

    def __init__(self, key: _Key) -> None:
        super().__init__(str(key))
        self.key = key


class _Value(NamedTuple):
    read_ms: int
    value: ListEntry | Participant | list[str] | None


class _Known:
    """What was read, as lists and as a snapshot; stops a question that asks for more."""

    def __init__(self, give: Callable[[_Key], object]) -> None:
        self._give = give

    @property
    def lists(self) -> "_Known":
        """The trusted lists."""
        return self

    def entry(self, list_name: str, id_: str) -> ListEntry | None:
        """Give an entry that stands, or None."""
        value = self._give(_Key(list_name, id_))
        return value if isinstance(value, ListEntry) else None

    def children(self, list_name: str, id_: str) -> list[tuple[str, ListEntry]]:
        """Give the standing entries that belong to one: (what follows the slash, entry)."""
        ids = self._give(_Key(list_name, id_, is_parent=True))
        names = ids if isinstance(ids, list) else []
        found = ((name, self.entry(list_name, f"{id_}/{name}")) for name in names)
        return [(name, entry) for name, entry in found if entry is not None]

    def rights(self, did: str) -> Rights | None:
        """Give what a participant may do, or None when the DID is no participant's."""
        value = self._give(_Key("", did))
        return Rights(value) if isinstance(value, Participant) else None


class ClientLedger:
    """Asks the ledger through a client. See ``adapters.credentials.trust.LedgerView``."""

    def __init__(self, trust: AsyncTrust, now_ms: Callable[[], int]) -> None:
        """Read with a client that has genesis."""
        self._trust = trust
        self._now_ms = now_ms
        self._values: OrderedDict[_Key, _Value] = OrderedDict()

    async def ask(self, question: Callable[[LedgerSnapshot], T]) -> T:
        """Ask about values that are a minute old at most.

        Raises:
            Unavailable: they cannot be read, or the gateways show the past.
        """
        for _ in range(TMF_LEDGER_READS_MAX):
            try:
                return question(_Known(self._give))
            except _UnknownError as unknown:
                key = unknown.key
            try:
                value = await self._read(key)
            except (PeerFault, ProofError, Rejected) as error:
                _log.warning("ledger_unreadable", list=key.list_name, id=key.id, reason=str(error))
                raise Unavailable("a gateway's answer about the ledger cannot be used") from None
            self._values[key] = _Value(self._now_ms(), value)
            self._values.move_to_end(key)
            while len(self._values) > TMF_LEDGER_REMEMBERED_MAX:
                self._values.popitem(last=False)
        raise Unavailable(f"a question needs more than {TMF_LEDGER_READS_MAX} values of the ledger")

    def _give(self, key: _Key) -> object:
        known = self._values.get(key)
        if known is None or self._now_ms() - known.read_ms >= STATUS_FRESH_MS:
            raise _UnknownError(key)
        return known.value

    async def _read(self, key: _Key) -> ListEntry | Participant | list[str] | None:
        if not key.list_name:
            return self._fresh(await self._trust.participant(key.id))
        if not key.is_parent:
            entry = self._fresh(await self._trust.entry(key.list_name, key.id))
            return None if entry is None or entry.status is EntryStatus.REVOKED else entry
        prefix, names = f"{key.id}/", list[str]()
        rows = self._trust.entries(key.list_name, prefix=prefix)
        assert isinstance(rows, AsyncGenerator), "it has to be closed"
        async with aclosing(rows):
            async for row in rows:
                names.append(row.id.removeprefix(prefix))
                if len(names) > TMF_LEDGER_CHILDREN_MAX:
                    reason = f"{key.id} has more than {TMF_LEDGER_CHILDREN_MAX} attributes"
                    raise Unavailable(reason)
        return names

    def _fresh(self, reading: Reading[T]) -> T | None:
        age_ms = self._now_ms() - reading.time_ms
        if age_ms > TMF_LEDGER_STALE_MS_MAX:
            raise Unavailable(f"the gateway shows the ledger of {age_ms // 1000} s ago")
        return reading.value
