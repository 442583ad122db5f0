"""Getting batches to everybody, and certificates that a quorum holds them.

A batch above the inline size is stored durably by every validator and acknowledged to its
origin, whose certificate makes it proposable by any leader. A smaller one rides inside the next
proposal and needs no acknowledgement, unless its origin had to send it again.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from consensus.core.batchbook import BatchBook, HeldBatch
from consensus.core.context import CoreContext
from consensus.core.effects import (
    Broadcast,
    ExamineBatch,
    ExamineEntries,
    Reply,
    Send,
    SetTimer,
    StoreBatch,
)
from consensus.core.handover import CARRIED, Handover, portions
from consensus.core.inputs import Timer
from consensus.core.mempool import Mempool
from consensus.core.messages import (
    AckMessage,
    BatchMessage,
    BatchRequest,
    CertificateMessage,
)
from consensus.core.ports import BatchIndex
from ledger.core.admission import Verdict
from ledger.core.block import Batch, Proposal, batch_id
from ledger.core.certificate import Ack, BatchCertificate
from ledger.core.codec import encode
from ledger.core.errors import DecodeError, Offence, PeerFault, RejectCode
from ledger.core.ids import BatchId, NodeIndex
from ledger.core.limits import (
    BATCH_INTERVAL_MS,
    BATCHES_IN_FLIGHT_MAX,
    INLINE_BYTES_MAX,
    REBROADCAST_INTERVAL_MS,
)
from ledger.core.scanning import BatchHead, batch_head

__all__ = ["BATCH_TIMER", "REBROADCAST_TIMER", "Dissemination"]

BATCH_TIMER: Final = Timer("batch")
REBROADCAST_TIMER: Final = Timer("rebroadcast")


class Dissemination:
    """The batches of all origins between submission and order."""

    def __init__(self, context: CoreContext, batches: BatchIndex) -> None:
        self._domain = context.domain
        self._signer = context.signer
        self._index = context.index
        self._outbox = context.outbox
        self._counters = context.counters
        self.book = BatchBook(batches)
        self.mempool = Mempool()
        self._sequence = 0
        self._wanted: set[BatchId] = set()
        self.unsent: list[BatchId] = []
        self._own: dict[BatchId, int] = {}  # sizes of those made here and not yet ordered
        self._reclaimed: set[BatchId] = set()  # lost here and asked for; bounded, and forgotten
        self.handover = Handover(self._index, self.book, self.mempool, observes=context.observes)

    # --- start ------------------------------------------------------------------------------

    def start(
        self,
        now_ms: int,
        open_batches: Iterable[tuple[BatchId, bytes]],
        carried: Sequence[bytes],
    ) -> None:
        """Take back what is stored, admit ``carried`` entries again, never reuse a sequence."""
        self._sequence = now_ms * 1_000
        for id_, encoded in open_batches:
            origin = batch_head(encoded).origin
            held = HeldBatch(origin, origin, encoded, "stored")
            self._hold(id_, held)
            self._leave_to_store(held)
        self._outbox.add(SetTimer(REBROADCAST_TIMER, REBROADCAST_INTERVAL_MS))
        for entries in portions(carried):
            self.mempool.take_back(len(entries))
            self._outbox.add(ExamineEntries(CARRIED, entries))

    def restore_inline(self, proposal: Proposal) -> None:
        """Take back the inline batches of a proposal that this node had voted for."""
        for encoded in proposal.inline:
            id_ = batch_id(encoded)
            if id_ not in self.book.held and not self.book.is_ordered(id_):
                origin = batch_head(encoded).origin
                self._hold(id_, HeldBatch(origin, origin, encoded, "valid"))

    # --- submissions ------------------------------------------------------------------------

    def submit(self, ticket: int, entries: tuple[bytes, ...]) -> None:
        """Begin to admit submitted entries, or refuse them for lack of room."""
        closed = self.handover.is_closed
        if closed and self.handover.hold(ticket, entries):
            return
        self._counters.entries_submitted += len(entries)
        if not closed and self.mempool.reserve(len(entries)):
            self._outbox.add(ExamineEntries(ticket, entries))
        else:
            self._counters.entries_refused += len(entries)
            self._outbox.add(Reply(ticket, RejectCode.OVERLOADED))

    def on_examined(self, ticket: int, verdicts: tuple[Verdict, ...]) -> None:
        """Take over admitted entries and answer the client."""
        waiting = len(self.mempool)
        verdicts = self.mempool.add(verdicts)
        self._counters.entries_refused += len(verdicts) - (len(self.mempool) - waiting)
        if ticket != CARRIED:
            self._outbox.add(Reply(ticket, verdicts))
        self._cut_batches()
        if not waiting and self.mempool:
            self._set_batch_timer()

    def on_batch_timer(self) -> None:
        """Close a batch although it is not full."""
        is_open = not self.handover.is_closed
        if is_open and self.mempool and not self._is_full:
            self._cut_one()
        if is_open and self.mempool:
            self._set_batch_timer()

    def _set_batch_timer(self) -> None:
        # The more batches are on the way, the longer the next one waits: it grows instead, and a
        # large one costs each member less than several small ones.
        self._outbox.add(SetTimer(BATCH_TIMER, BATCH_INTERVAL_MS * self.in_flight))

    def _cut_batches(self) -> None:
        while self._may_cut():
            self._cut_one()

    def _may_cut(self) -> bool:
        if self.handover.is_closed or not self.mempool:
            return False
        may_wait = self.in_flight > 0 and not self.mempool.fills_a_batch
        return not may_wait and not self._is_full

    def _cut_one(self) -> None:
        entries = self.mempool.cut()
        self._sequence += 1
        encoded = encode(Batch(self._index, self._sequence, tuple([e.entry for e in entries])))
        held = HeldBatch(self._index, self._index, encoded, "valid")
        held.event_ids = tuple([entry.id for entry in entries])
        id_ = batch_id(encoded)
        self._hold(id_, held)
        self.unsent.append(id_)
        if held.ack_wanted:
            self._store(id_, held)

    # --- sending ----------------------------------------------------------------------------

    def send_new(self, proposed: Sequence[BatchId], now_ms: int) -> None:
        """Send own new batches, except those that just left inside this node's own proposal.

        Those are sent by :meth:`on_rebroadcast_timer` if their block does not make it.
        """
        for id_ in self.unsent:
            held = self.book.held[id_]
            held.sent_ms = now_ms
            if id_ not in proposed:
                self._send(held)
        self.unsent.clear()

    def on_rebroadcast_timer(self, now_ms: int) -> None:
        """Send own batches again that are not ordered after a while; now they need a quorum."""
        if self.handover.is_closed:
            return
        for id_, held in self.book.held.items():
            # A clock that went back must not silence the batch until it is where it was.
            is_fresh = 0 <= now_ms - held.sent_ms < REBROADCAST_INTERVAL_MS
            if held.sender == self._index and not is_fresh:
                held.sent_ms = now_ms
                if (certificate := self.book.certified.get(id_)) is not None:
                    self._outbox.add(Broadcast(CertificateMessage(certificate)))
                    continue  # a quorum keeps the bytes, and whoever lacks them asks for them
                held.ack_wanted = True
                if held.state == "stored":
                    self._acknowledge(id_, held)
                else:
                    self._store(id_, held)
                self._send(held)
        for id_ in sorted(self._reclaimed.difference(self.book.held)):
            self._reclaimed.discard(id_)  # it did not come
            self._wanted.discard(id_)
        self._outbox.add(SetTimer(REBROADCAST_TIMER, REBROADCAST_INTERVAL_MS))

    def _send(self, held: HeldBatch) -> None:
        assert held.encoded is not None, "own batches are kept in memory until they are ordered"
        self._counters.batches_sent += 1
        self._outbox.add(Broadcast(BatchMessage(held.encoded)))

    def on_peer_up(self, peer: NodeIndex) -> None:
        """Acknowledge again what is held of ``peer``: it may have lost that, or the answers."""
        for id_, held in self.book.held.items():
            if held.origin == peer and held.state == "stored" and held.ack_wanted:
                self._acknowledge(id_, held)

    # --- batches of others -------------------------------------------------------------------

    def on_batch(self, peer: NodeIndex, encoded: bytes) -> None:
        """Take in a batch from its origin, or one that this node asked for.

        Raises:
            PeerFault: it is malformed.
        """
        id_ = batch_id(encoded)
        held = self.book.held.get(id_)
        if held is not None:
            if held.origin == peer:
                self._on_resent(id_, held)
            return
        wanted = id_ in self._wanted
        if not wanted and (self.handover.is_closed or self.book.is_ordered(id_)):
            return
        try:
            head = batch_head(encoded)
        except DecodeError as error:
            raise PeerFault(Offence.BAD_BATCH, str(error)) from None
        if not wanted and (head.origin != peer or not self.book.has_room(peer)):
            self._counters.batches_refused += 1
            return
        self._counters.batches_received += 1
        self._hold_and_examine(id_, encoded, head, peer)

    def _hold_and_examine(
        self, id_: BatchId, encoded: bytes, head: BatchHead, sender: NodeIndex
    ) -> None:
        self._hold(id_, HeldBatch(head.origin, sender, encoded, "examining"))
        self._outbox.add(ExamineBatch(id_, encoded, head.entries_count))

    def _on_resent(self, id_: BatchId, held: HeldBatch) -> None:
        held.ack_wanted = True
        if held.state == "stored":
            self._acknowledge(id_, held)
        elif held.state == "valid":
            self._store(id_, held)

    def on_batch_examined(self, id_: BatchId, *, valid: bool) -> NodeIndex | None:
        """Note the outcome; give the sender of an invalid batch, who is at fault."""
        held = self.book.held.get(id_)
        if held is None or held.is_valid:
            return None
        if not valid:
            del self.book.held[id_]
            self._counters.batches_refused += 1
            return held.sender
        held.state = "valid"
        self._wanted.discard(id_)
        if id_ in self._reclaimed and held.origin == self._index:
            held.sender = self._index
        if held.ack_wanted:
            self._store(id_, held)
        return None

    def _store(self, id_: BatchId, held: HeldBatch) -> None:
        if held.state == "valid" and held.encoded is not None and not self.handover.is_closed:
            held.state = "storing"
            self._outbox.add(StoreBatch(id_, held.encoded))

    def on_stored(self, id_: BatchId) -> None:
        """Acknowledge a batch that is durable now."""
        held = self.book.held.get(id_)
        if held is None:
            return  # ordered meanwhile
        held.state = "stored"
        self._acknowledge(id_, held)
        self._leave_to_store(held)

    def _leave_to_store(self, held: HeldBatch) -> None:
        if held.sender != self._index and held.size > INLINE_BYTES_MAX:
            held.encoded = None

    def _acknowledge(self, id_: BatchId, held: HeldBatch) -> None:
        if self.handover.is_closed:
            return
        ack = Ack.make(self._domain, id_, self._signer)
        if held.origin == self._index:
            self._domain.remember(ack.check(self._domain))
            self.on_ack(ack)
        else:
            self._outbox.add(Send(held.origin, AckMessage(ack)))

    # --- certificates -----------------------------------------------------------------------

    def on_ack(self, ack: Ack) -> tuple[NodeIndex, ...]:
        """Collect acknowledgements of own batches; give the signers of forged ones."""
        held = self.book.held.get(ack.batch_id)
        if held is None:
            return self._reclaim(ack)
        if held.sender != self._index or ack.batch_id in self.book.certified:
            return ()
        held.acks.setdefault(ack.signer, ack)
        if len(held.acks) < self._domain.validators.quorum:
            return ()
        acks = [held.acks[signer] for signer in sorted(held.acks)]
        verdicts = self._domain.verdicts([a.check(self._domain) for a in acks])
        forgers = tuple(a.signer for a, ok in zip(acks, verdicts, strict=True) if not ok)
        for forger in forgers:
            del held.acks[forger]
        rows = tuple((a.signer, a.signature) for a, ok in zip(acks, verdicts, strict=True) if ok)
        if len(rows) >= self._domain.validators.quorum:
            certificate = BatchCertificate(ack.epoch, ack.batch_id, rows)
            self.book.certified[ack.batch_id] = certificate
            self._outbox.add(Broadcast(CertificateMessage(certificate)))
        return forgers

    def _reclaim(self, ack: Ack) -> tuple[NodeIndex, ...]:
        """Ask for a batch that this node has sent and lost; nobody else can have it certified.

        Few at a time and for a while only: the signer may have made it up.
        """
        id_ = ack.batch_id
        if len(self._reclaimed) >= BATCHES_IN_FLIGHT_MAX[0] or self.book.is_ordered(id_):
            return ()
        if not self._domain.verdicts([ack.check(self._domain)])[0]:
            return (ack.signer,)
        self._reclaimed.add(id_)
        self._wanted.add(id_)
        self._outbox.add(Send(ack.signer, BatchRequest((id_,))))
        return ()

    def on_certificate(self, certificate: BatchCertificate) -> None:
        """Take in a certificate: its batch is proposable by anybody.

        Raises:
            PeerFault: it is not valid.
        """
        id_ = certificate.batch_id
        if id_ not in self.book.certified and not self.book.is_ordered(id_):
            certificate.verify(self._domain)
            self.book.certify(certificate, len(self._domain.validators))

    # --- proposals --------------------------------------------------------------------------

    def admit_payload(self, proposal: Proposal) -> None:
        """Check what a proposal carries, and begin to examine inline batches not yet held.

        Raises:
            PeerFault: the proposal carries something that is invalid or not asked for.
        """
        inline = {batch_id(encoded): encoded for encoded in proposal.inline}
        carried = [*(c.batch_id for c in proposal.certificates), *inline]
        payload = sorted(set(proposal.block.payload))
        if sorted(carried) != payload or len(payload) != len(proposal.block.payload):
            raise PeerFault(Offence.BAD_BLOCK, "each batch needs one certificate or its bytes")
        if sum(map(len, proposal.inline)) > INLINE_BYTES_MAX:
            raise PeerFault(Offence.BAD_BLOCK, "the inline batches are too large")
        for certificate in proposal.certificates:
            self.on_certificate(certificate)
        for id_, encoded in inline.items():
            is_new = id_ not in self.book.held and not self.book.is_ordered(id_)
            if is_new and self.book.has_room(proposal.block.author):
                try:
                    head = batch_head(encoded)
                except DecodeError as error:
                    raise PeerFault(Offence.BAD_BATCH, str(error)) from None
                self._hold_and_examine(id_, encoded, head, proposal.block.author)

    # --- execution --------------------------------------------------------------------------

    def want(self, batch_ids: Iterable[BatchId]) -> None:
        """Accept these from anybody: a final block names them."""
        self._wanted.update(batch_ids)

    def on_ordered(self, batch_ids: Iterable[BatchId]) -> None:
        """Forget batches that an executed block names, and make room for new ones."""
        for id_ in batch_ids:
            held = self.book.on_ordered(id_)
            self._wanted.discard(id_)
            self._own.pop(id_, None)
            self._reclaimed.discard(id_)
            if held is not None and held.sender == self._index:
                self.mempool.settle(held.event_ids)
        self._cut_batches()

    # --- status -----------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Number of own batches not yet ordered."""
        return len(self._own)

    @property
    def _is_full(self) -> bool:
        count_max, bytes_max = BATCHES_IN_FLIGHT_MAX
        return len(self._own) >= count_max or sum(self._own.values()) >= bytes_max

    def _hold(self, id_: BatchId, held: HeldBatch) -> None:
        self.book.held[id_] = held
        if held.sender == self._index:
            self._own[id_] = held.size
