"""The batches that are not yet ordered, and what is known about each.

One predicate decides availability: the bytes are here, held and found valid, or in the store. A
digest that was merely seen counts for nothing (narwhal issues 286 and 837).
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from consensus.core.ports import BatchIndex
from ledger.core.certificate import Ack, BatchCertificate
from ledger.core.ids import BatchId, EventId, NodeIndex
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BLOCK_BATCHES_MAX,
    INLINE_BYTES_MAX,
    OPEN_BATCHES_PER_ORIGIN_MAX,
    ORDERED_BATCHES_REMEMBERED,
    PROPOSED_BYTES_MAX,
)

__all__ = ["BatchBook", "HeldBatch", "Payload"]


class Payload(NamedTuple):
    """What a leader puts into its block."""

    batch_ids: tuple[BatchId, ...] = ()
    certificates: tuple[BatchCertificate, ...] = ()
    inline: tuple[bytes, ...] = ()


class HeldBatch:
    """A batch that is not yet ordered."""

    __slots__ = (
        "ack_wanted",
        "acks",
        "encoded",
        "event_ids",
        "origin",
        "sender",
        "sent_ms",
        "size",
        "state",
    )

    def __init__(self, origin: NodeIndex, sender: NodeIndex, encoded: bytes, state: str) -> None:
        self.origin = origin
        self.sender = sender  # who gave it: answers for it, because the origin may be forged
        self.encoded: bytes | None = encoded  # None once only the store has it
        self.size = len(encoded)
        self.state = state  # "examining" -> "valid" -> "storing" -> "stored"
        self.ack_wanted = self.size > INLINE_BYTES_MAX
        self.event_ids: tuple[EventId, ...] = ()  # own batches only
        self.acks: dict[NodeIndex, Ack] = {}  # own batches only
        self.sent_ms = -1  # own batches only

    @property
    def is_valid(self) -> bool:
        """True once every signature in it was verified."""
        return self.state != "examining"


class BatchBook:
    """Held batches and certificates by batch id, and the ids that were ordered lately."""

    def __init__(self, batches: BatchIndex) -> None:
        self._batches = batches
        self.held: OrderedDict[BatchId, HeldBatch] = OrderedDict()
        self.certified: OrderedDict[BatchId, BatchCertificate] = OrderedDict()
        self._ordered: OrderedDict[BatchId, None] = OrderedDict()

    def is_ordered(self, id_: BatchId) -> bool:
        """Say whether an executed block names the batch."""
        return id_ in self._ordered or self._batches.is_ordered(id_)

    def is_available(self, id_: BatchId) -> bool:
        """Say whether the bytes are here: held and valid, or in the store."""
        held = self.held.get(id_)
        if held is not None and held.is_valid:
            return True
        return id_ in self._ordered or self._batches.has_batch(id_)

    def is_votable(self, batch_ids: Iterable[BatchId]) -> bool:
        """Say whether each batch is certified or available."""
        return all(id_ in self.certified or self.is_available(id_) for id_ in batch_ids)

    def missing(self, batch_ids: Iterable[BatchId]) -> list[BatchId]:
        """Give those that are not available."""
        return [id_ for id_ in batch_ids if not self.is_available(id_)]

    def bytes_not_stored(self, batch_ids: Iterable[BatchId]) -> tuple[tuple[BatchId, bytes], ...]:
        """Give the bytes that only memory holds, for the execution to store."""
        rows = ((id_, self.held.get(id_)) for id_ in batch_ids)
        return tuple(
            (id_, held.encoded)
            for id_, held in rows
            if held is not None and held.encoded is not None and held.state != "stored"
        )

    def has_room(self, sender: NodeIndex) -> bool:
        """Say whether one more batch of ``sender`` may be held."""
        held_all = self.held.values()
        if len(held_all) < OPEN_BATCHES_PER_ORIGIN_MAX:
            return True  # no need to count whose they are
        return sum(held.sender == sender for held in held_all) < OPEN_BATCHES_PER_ORIGIN_MAX

    def certify(self, certificate: BatchCertificate, origins: int) -> None:
        """Note a verified certificate, unless there are as many as ``origins`` may have open."""
        if len(self.certified) < OPEN_BATCHES_PER_ORIGIN_MAX * origins:
            self.certified[certificate.batch_id] = certificate

    def in_memory(self, id_: BatchId) -> bytes | None:
        """Give the bytes if they are held and valid."""
        held = self.held.get(id_)
        return held.encoded if held is not None and held.is_valid else None

    def choose(self, exclude: set[BatchId]) -> Payload:
        """Choose the payload of a proposal: certified batches first, then small ones inline."""
        certificates: list[BatchCertificate] = []
        room = PROPOSED_BYTES_MAX
        for id_, certificate in self.certified.items():
            if len(certificates) == BLOCK_BATCHES_MAX or room <= 0:
                break
            if id_ not in exclude:
                certificates.append(certificate)
                held = self.held.get(id_)
                room -= BATCH_BYTES_MAX if held is None else held.size
        ids = [certificate.batch_id for certificate in certificates]
        inline: list[bytes] = []
        room = INLINE_BYTES_MAX
        for id_, held in self.held.items():
            if len(ids) == BLOCK_BATCHES_MAX or room <= 0:
                break
            if id_ in exclude or id_ in self.certified or held.encoded is None:
                continue
            if held.size <= room and held.is_valid:
                ids.append(id_)
                inline.append(held.encoded)
                room -= held.size
        return Payload(tuple(ids), tuple(certificates), tuple(inline))

    def has_proposable(self, exclude: set[BatchId]) -> bool:
        """Say whether some leader could propose something new."""
        if not exclude.issuperset(self.certified):
            return True
        for id_, held in self.held.items():
            if id_ not in exclude and held.size <= INLINE_BYTES_MAX and held.is_valid:
                return True
        return False

    def on_ordered(self, id_: BatchId) -> HeldBatch | None:
        """Forget a batch that an executed block names; give what was held of it."""
        self._ordered[id_] = None
        if len(self._ordered) > ORDERED_BATCHES_REMEMBERED:
            self._ordered.popitem(last=False)
        self.certified.pop(id_, None)
        return self.held.pop(id_, None)
