"""What EBSI asks of the log and no index of the store answers: documents and transactions.

Owns a memory of the log that is filled from the log alone, slice by slice, and can be thrown away:

* each entity that events speak of is a *document*, named by the SHA-256 of its id, or by the id
  itself where EBSI gave it (``0x`` and 64 digits);
* each event that a signed Ethereum transaction led to names that transaction in its tags, so that
  receipts and nonces survive a restart.

Only the gateway's own member can have made its transactions: events of others that claim to be
some are no evidence.
"""

import re
import threading
from array import array
from collections import Counter, OrderedDict
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
import structlog

from ledger.core.event import Event, open_entry
from ledger.core.ids import Sequence
from ledger.core.limits import (
    EBSI_DOCUMENTS_MAX,
    EBSI_INDEX_SLICE_EVENTS,
    EBSI_TRANSACTIONS_MAX,
)
from ledger.core.topics import RESERVED_PREFIX
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore

__all__ = [
    "TRANSACTION_TYPE",
    "LogIndex",
    "Transaction",
    "author_of",
    "document_id",
    "stated_in",
    "transaction_of",
    "transaction_tags",
]

TRANSACTION_TYPE: Final = "org.concordat.ebsi.transaction"
_OWN_ID: Final = re.compile(r"0x[0-9a-f]{64}\Z")
_TAGS_COUNT: Final = 4

_log = structlog.get_logger("ebsi")


class Transaction(NamedTuple):
    """The Ethereum transaction that an event carries out.

    Attributes:
        contract: name of the contract that it calls.
        hash: Keccak-256 of the signed transaction.
        sender: address of the signer, 20 bytes.
        nonce: of that sender.
    """

    contract: str
    hash: bytes
    sender: bytes
    nonce: int


def transaction_tags(transaction: Transaction) -> tuple[str, ...]:
    """Give the tags by which an event names its transaction."""
    return (
        transaction.contract,
        transaction.hash.hex(),
        transaction.sender.hex(),
        str(transaction.nonce),
    )


def transaction_of(event: Event) -> Transaction | None:
    """Give the transaction that an event says it carries out, or None."""
    if event.type != TRANSACTION_TYPE or len(event.tags) != _TAGS_COUNT:
        return None
    contract, hash_, sender, nonce = event.tags
    try:
        return Transaction(contract, bytes.fromhex(hash_), bytes.fromhex(sender), int(nonce))
    except ValueError:
        return None


def stated_in(event: Event) -> dict[str, str]:
    """Give what EBSI's client said by a transaction; nothing for any other event."""
    if event.type != TRANSACTION_TYPE:
        return {}
    try:
        return msgspec.json.decode(event.data, type=dict[str, str])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def author_of(event: Event) -> str:
    """Give the DID that an event's publisher names as its author: itself, or its client."""
    return stated_in(event).get("author", event.publisher)


def document_id(subject: str) -> bytes:
    """Give the id of the document that is an entity."""
    if _OWN_ID.match(subject):
        return bytes.fromhex(subject[2:])
    return sha256(subject.encode()).digest()


class LogIndex:
    """Documents and transactions up to a place in the log. Safe to use from several threads.

    Args:
        member: DID in whose name the gateway writes, None when it never does.
    """

    def __init__(self, member: str | None) -> None:
        self._member = member
        self._lock = threading.Lock()
        self._next = 0
        self._documents: dict[bytes, array[int]] = {}
        self._order: list[bytes] = []
        self._is_full = False
        self._created: dict[str, list[bytes]] = {}
        self._nonces: Counter[bytes] = Counter()
        self._transactions: OrderedDict[bytes, Sequence] = OrderedDict()

    def catch_up(self, store: ChainStore) -> None:
        """Read what the log has more than at the last time.

        Raises:
            Forgotten: it is not here any more. An index that lacked it would tell less than there
                is, so it stays as it was.
        """
        while self.catch_up_some(store):
            pass

    def catch_up_some(self, store: ChainStore) -> bool:
        """Read a slice of it; say whether there was anything."""
        with self._lock, store.read() as reader:
            return self._read_slice(reader)

    def documents(self, offset: int, limit: int) -> tuple[int, list[bytes]]:
        """Give the number of documents and some of their ids, in the order of their creation."""
        with self._lock:
            return len(self._order), self._order[offset : offset + limit]

    def sequences(self, document: bytes) -> list[Sequence] | None:
        """Give where in the log a document's events are, or None when there is no such one."""
        with self._lock:
            found = self._documents.get(document)
            return None if found is None else [Sequence(number) for number in found]

    def created_by(self, did: str) -> list[bytes]:
        """Give the documents whose first event a publisher made."""
        with self._lock:
            return list(self._created.get(did, ()))

    def nonce(self, sender: bytes) -> int:
        """Give how many transactions of an address the log holds."""
        with self._lock:
            return self._nonces[sender]

    def sequence_of(self, transaction_hash: bytes) -> Sequence | None:
        """Give where a transaction's event is, if it is among the newest."""
        with self._lock:
            return self._transactions.get(transaction_hash)

    def _read_slice(self, reader: ChainReader) -> bool:
        """Read one slice; say whether there was anything."""
        end = min(reader.head().log_size, self._next + EBSI_INDEX_SLICE_EVENTS)
        start = self._next
        for number in range(start, end):
            entry = reader.entry(Sequence(number))
            assert entry is not None, "the log has every entry below its size"
            self._add(Sequence(number), open_entry(entry).event)
            self._next = number + 1
        return end > start

    def _add(self, sequence: Sequence, event: Event) -> None:
        if event.publisher == self._member and (found := transaction_of(event)) is not None:
            self._nonces[found.sender] += 1
            self._transactions[found.hash] = sequence
            if len(self._transactions) > EBSI_TRANSACTIONS_MAX:
                self._transactions.popitem(last=False)
        if event.subject and not event.topic.startswith(RESERVED_PREFIX):
            self._add_document(sequence, event)

    def _add_document(self, sequence: Sequence, event: Event) -> None:
        id_ = document_id(event.subject)
        if id_ not in self._documents:
            if len(self._documents) >= EBSI_DOCUMENTS_MAX:
                if not self._is_full:
                    self._is_full = True
                    _log.warning("later_documents_not_served", documents=len(self._documents))
                return
            self._documents[id_] = array("Q")
            self._order.append(id_)
            self._created.setdefault(author_of(event), []).append(id_)
        self._documents[id_].append(sequence)
