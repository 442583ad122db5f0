"""The cosigner of a node: feeds ``Cosigning`` with final blocks and peers, and does what it says.

Beside consensus, not in it: messages of peers come from the listener and answers leave through the
transport, on the bulk lane. Everything here runs in trio's thread and is short; reading is of
blocks that have just become durable.
"""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from consensus.core.cosigning import CheckpointSchedule, Cosigning, LedgerPoint, Outcome
from consensus.core.cosigning_messages import CosigningMessage, encode_cosigning
from consensus.core.frames import encode_frame
from consensus.core.messages import Lane
from ledger.core.epoch import EpochStart
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import Height, NodeIndex
from ledger.core.limits import CHECKPOINT_REFRESH_S
from ledger.core.signing import Signer
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.io.chain_store import ChainReader, ChainStore

__all__ = ["Cosigner", "Wires"]

_log = structlog.get_logger()
_REFRESH_MS: Final = CHECKPOINT_REFRESH_S * 1_000


class Wires(Protocol):
    """The connections of an epoch."""

    def send_frame(self, peer: NodeIndex, lane: Lane, frame: bytes, /) -> None:
        """Queue a frame for one peer."""
        ...

    def broadcast_frame(self, lane: Lane, frame: bytes, /) -> None:
        """Queue a frame for every validator."""
        ...

    def send_guests(self, lane: Lane, frame: bytes, /) -> None:
        """Queue a frame for every guest."""
        ...

    def blame(self, peer: NodeIndex, fault: PeerFault, /) -> None:
        """Count a fault, and disconnect the peer for a while."""
        ...


class Cosigner:
    """Signs checkpoints and collects what others signed.

    Attributes:
        log_size: of the newest checkpoint that a quorum has cosigned.
        checkpoints: so many since the start.
        lies: peers that signed another ledger than this node's, each counted once in a row.
    """

    def __init__(
        self, store: ChainStore, signer: Signer, keep: Callable[[StoredCheckpoint], None]
    ) -> None:
        """Read final blocks in ``store``; give to ``keep`` what shall be stored."""
        self._store = store
        self._signer = signer
        self._keep = keep
        self._liars: set[NodeIndex] = set()
        self.checkpoints = 0
        self.lies = 0
        with store.read() as reader:
            kept = reader.checkpoint()
            start = reader.epoch_start()
            self._begin(reader, start, kept)
        self.log_size = 0 if kept is None else kept.log_size

    def attach(self, wires: Wires) -> None:
        """Speak through these connections from now on, and sign what is due at the start."""
        self._wires = wires
        with self._store.read() as reader:
            self._follow(reader, reader.head_height())

    def begin_epoch(self, start: EpochStart) -> None:
        """Begin an epoch; the last block of the one before is durable, and nothing after it."""
        self._liars.clear()
        with self._store.read() as reader:
            self._begin(reader, start, reader.checkpoint())

    def on_durable(self, height: Height) -> None:
        """Take note that the chain is durable up to a height."""
        with self._store.read() as reader:
            self._follow(reader, height)

    def on_message(self, peer: NodeIndex, message: CosigningMessage) -> None:
        """Take what a peer says."""
        self._do(self._core.on_message(peer, message), peer)

    def on_peer_up(self, peer: NodeIndex) -> None:
        """Tell a peer what it may have missed."""
        self._do(self._core.on_peer_up(), peer)

    # --- helpers --------------------------------------------------------------------------

    def _begin(self, reader: ChainReader, start: EpochStart, kept: StoredCheckpoint | None) -> None:
        """Begin at the epoch's first block, or a minute ago: it was signed in any case there."""
        origin = self._store.chain_id
        self._core = Cosigning(origin, start, self._signer, kept)
        minute = reader.head().time_ms // _REFRESH_MS * _REFRESH_MS
        begun = reader.first_height_at(minute) or start.height
        first = Height(max(start.height, begun - 1, reader.first_height()))
        self._schedule = CheckpointSchedule(
            _point(reader, first), begins_epoch=first == start.height
        )
        self._followed = first

    def _follow(self, reader: ChainReader, height: Height) -> None:
        newest = None
        for number in range(self._followed + 1, height + 1):
            newest = self._schedule.follow(_point(reader, Height(number))) or newest
        self._followed = max(self._followed, height)
        if newest is not None:  # of several at once the others are passed by already
            self._do(self._core.on_due(newest), None)

    def _do(self, outcome: Outcome, peer: NodeIndex | None) -> None:
        if outcome.say is not None:
            self._wires.broadcast_frame(Lane.BULK, _frame(outcome.say))
        if outcome.pass_on is not None:
            self._wires.send_guests(Lane.BULK, _frame(outcome.pass_on))
        if outcome.keep is not None:
            self.log_size = outcome.keep.log_size
            self.checkpoints += 1
            self._keep(outcome.keep)
        if peer is None:
            return
        for message in outcome.answer:
            self._wires.send_frame(peer, Lane.BULK, _frame(message))
        if outcome.is_lie:
            self._on_lie(peer)
        if outcome.fault is not None:
            self._wires.blame(peer, outcome.fault)

    def _on_lie(self, peer: NodeIndex) -> None:
        """Say once that a peer contradicts this node's ledger. Votes on roots decide who errs."""
        if peer not in self._liars:
            self._liars.add(peer)
            self.lies += 1
            _log.error("checkpoint_contradicted", peer=peer, offence=Offence.BAD_CHECKPOINT)


def _point(reader: ChainReader, height: Height) -> LedgerPoint:
    head = reader.stored_head(height)
    return LedgerPoint(height, head.time_ms, head.root.log_size, head.root.log_root)


def _frame(message: CosigningMessage) -> bytes:
    return encode_frame(encode_cosigning(message))
