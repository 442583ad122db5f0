"""Signed transactions: handed in once, in the order of their nonces, and what became of them.

Owns the memory of those under way. What is final is found in the log alone, by the tags of its
event, so that a restart loses nothing; what the ledger refused changed nothing and is remembered
for a while only, and its nonce can be used again.

Invariants: one transaction of an address is under way at a time; while its outcome is unknown only
it can be sent again, and that is the same event again.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import anyio

from adapters.ebsi.ethereum import error_data
from adapters.ebsi.log_index import (
    TRANSACTION_TYPE,
    LogIndex,
    Transaction,
    transaction_of,
    transaction_tags,
)
from adapters.ebsi.planning import Planned
from adapters.ebsi.refusals import RpcRefused
from adapters.member import Writer
from ledger.core.errors import InvariantError, RejectCode, Rejected
from ledger.core.event import open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import EBSI_PENDING_MAX, EBSI_TRANSACTIONS_MAX, EVENT_AGE_MS_MAX
from ledger.io.chain_store import ChainStore
from pubsub.io.state import Gateway

__all__ = ["Receipt", "Transactions"]

_LOCKS: Final = 64
_NONCE_BITS: Final = 63


class _Pending(NamedTuple):
    """A transaction whose outcome is not known, and the event that it is."""

    hash: bytes
    planned: Planned
    stamps: dict[str, object]
    since_ms: int


class Receipt(NamedTuple):
    """What became of a transaction.

    Attributes:
        reason: why the ledger refused it, None when it carried it out.
    """

    transaction: Transaction
    height: Height
    block_id: bytes
    reason: str | None

    def document(self, to: bytes) -> dict[str, object]:
        """Give it as an Ethereum node would."""
        refused = {} if self.reason is None else {"revertReason": error_data(self.reason)}
        return {
            "blockHash": f"0x{self.block_id.hex()}",
            "blockNumber": hex(self.height),
            "contractAddress": None,
            "cumulativeGasUsed": "0x0",
            "effectiveGasPrice": "0x0",
            "from": f"0x{self.transaction.sender.hex()}",
            "gasUsed": "0x0",
            "logs": [],
            "logsBloom": f"0x{bytes(256).hex()}",
            "status": "0x1" if self.reason is None else "0x0",
            "to": f"0x{to.hex()}",
            "transactionHash": f"0x{self.transaction.hash.hex()}",
            "transactionIndex": "0x0",
            "type": "0x0",
            **refused,
        }


class Transactions:
    """The transactions of one gateway."""

    def __init__(self, gateway: Gateway, index: LogIndex, writer: Writer | None) -> None:
        self._gateway = gateway
        self._index = index
        self._writer = writer
        self._locks = [anyio.Lock() for _ in range(_LOCKS)]
        self._pending: OrderedDict[bytes, _Pending] = OrderedDict()
        self._refused: OrderedDict[bytes, Receipt] = OrderedDict()

    async def nonce(self, address: bytes) -> int:
        """Give how many transactions of an address are final: the nonce of its next one."""
        await self._gateway.access.in_thread(self._index.catch_up)
        return self._index.nonce(address)

    async def send(self, transaction: Transaction, plan: Callable[[], Awaitable[Planned]]) -> None:
        """Carry a transaction out and wait until that is decided.

        Args:
            plan: gives the event, from the state as it is then; raises RpcRefused.

        Raises:
            RpcRefused: it is known already, out of turn, or not to be planned.
            Rejected: the node has too much to do (OVERLOADED).
            Unavailable: it is not decided in time; send the same again.
        """
        async with self._locks[transaction.sender[-1] % _LOCKS]:
            pending = self._pending.get(transaction.sender)
            expected = await self.nonce(transaction.sender)
            if self._index.sequence_of(transaction.hash) is not None:
                if pending is not None and pending.hash == transaction.hash:
                    del self._pending[transaction.sender]
                    return
                raise RpcRefused("Known transaction")
            if transaction.nonce != expected:
                too_low = transaction.nonce < expected
                far = "Transaction nonce is too distant from current sender nonce"
                raise RpcRefused("Nonce too low" if too_low else far)
            pending = self._require_turn(transaction, pending)
            if pending is None:
                pending = await self._begin(transaction, await plan())
            await self._publish(transaction, pending)

    async def receipt(self, hash_: bytes) -> Receipt | None:
        """Give what became of a transaction, or None while nothing is known of it."""

        def read(store: ChainStore) -> Receipt | None:
            self._index.catch_up(store)
            sequence = self._index.sequence_of(hash_)
            return None if sequence is None else _read_receipt(store, sequence)

        found = await self._gateway.access.in_thread(read)
        return found or self._refused.get(hash_)

    def _require_turn(self, transaction: Transaction, pending: _Pending | None) -> _Pending | None:
        """Give the same transaction's earlier attempt, if one may still become final."""
        if pending is None or time.time_ns() // 1_000_000 - pending.since_ms > EVENT_AGE_MS_MAX:
            self._pending.pop(transaction.sender, None)
            return None
        if pending.hash != transaction.hash:
            text = f"the outcome of 0x{pending.hash.hex()} is not known yet: send it again"
            raise RpcRefused(text)
        return pending

    async def _begin(self, transaction: Transaction, planned: Planned) -> _Pending:
        now_ms = time.time_ns() // 1_000_000
        while self._pending and now_ms - self._oldest_ms() > EVENT_AGE_MS_MAX:
            self._pending.popitem(last=False)
        if len(self._pending) >= EBSI_PENDING_MAX:
            raise RpcRefused("too many transactions are under way; try again later")
        stamps: dict[str, object] = {
            "nonce": secrets.randbits(_NONCE_BITS),
            "time_ms": now_ms,
            "tags": transaction_tags(transaction),
        }
        pending = _Pending(transaction.hash, planned, stamps, now_ms)
        self._pending[transaction.sender] = pending
        return pending

    def _oldest_ms(self) -> int:
        return next(iter(self._pending.values())).since_ms

    async def _publish(self, transaction: Transaction, pending: _Pending) -> None:
        if self._writer is None:
            raise RpcRefused("this gateway writes for no member")
        fields = {**pending.planned.fields, **pending.stamps}
        try:
            await self._writer.publish(pending.planned.topic, TRANSACTION_TYPE, fields)
        except Rejected as refused:
            if refused.code is RejectCode.OVERLOADED:
                self._pending.pop(transaction.sender, None)
                raise
            with self._gateway.access.store.read() as reader:
                head = reader.head()
            self._refused[transaction.hash] = Receipt(
                transaction, head.height, head.block_id, str(refused.code)
            )
            if len(self._refused) > EBSI_TRANSACTIONS_MAX:
                self._refused.popitem(last=False)
        self._pending.pop(transaction.sender, None)


def _read_receipt(store: ChainStore, sequence: Sequence) -> Receipt:
    with store.read() as reader:
        entry = reader.entry(sequence)
        transaction = None if entry is None else transaction_of(open_entry(entry).event)
        if transaction is None:
            raise InvariantError(f"the log has no transaction at {sequence}, which the index names")
        height = reader.height_of(sequence)
        return Receipt(transaction, height, reader.stored_head(height).block_id, None)
