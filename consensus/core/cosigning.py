"""Which checkpoints validators sign, and how a quorum's signatures come together. No clock.

Owns the rule by which all honest validators sign the same checkpoints, a function of final blocks
alone: the ledger after the last block of a second of block time is signed, as of that second, if
the log grew in it, if the next block is of another minute, or if the epoch began in it. So there is
at most one a second, what is logged is covered when the next second has begun, a quiet log is
signed anew each minute, and a new set of validators signs at once.

Owns what a liar can do here, which is nothing: a signature counts only for a checkpoint that this
node has computed itself, and once for each validator. Of what is ahead of this node the newest
message of each peer and kind is held, unread. Who signs another ledger is counted and not heard in
this matter; who sends a wrong signature is at fault.

A part of no safety rule: if all of this fails, the chain goes on.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from consensus.core.cosigning_messages import (
    CheckpointMessage,
    CosignatureMessage,
    CosigningMessage,
)
from ledger.core.epoch import EpochStart
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import Height, NodeIndex, PublicKey
from ledger.core.limits import CHECKPOINT_REFRESH_S, CHECKPOINTS_PENDING_MAX
from ledger.core.signing import Signer
from ledger.core.tlog.checkpoint import (
    Checkpoint,
    CheckpointSignatures,
    StoredCheckpoint,
    cosigner_key,
    holds,
    log_key,
    sign_checkpoint,
    timestamped,
)
from ledger.core.tlog.note import NoteSignature, SignedNote, write_note
from ledger.core.validators import ValidatorSet

__all__ = ["CheckpointSchedule", "Cosigning", "Due", "LedgerPoint", "Outcome"]

_MS: Final = 1_000


class LedgerPoint(NamedTuple):
    """The ledger after one final block."""

    height: Height
    time_ms: int
    log_size: int
    log_root: bytes


class Due(NamedTuple):
    """A ledger that is signed, as of a second since 1970."""

    time_s: int
    log_size: int
    log_root: bytes


class CheckpointSchedule:
    """Follows final blocks and says which ledgers are signed."""

    __slots__ = ("_first_of_second", "_last", "_must")

    def __init__(self, first: LedgerPoint, *, must: bool) -> None:
        """Begin after a block.

        Args:
            must: it ended the epoch before, so that its second is signed in any case.
        """
        self._last = first
        self._first_of_second = first.log_size
        self._must = must

    def follow(self, point: LedgerPoint) -> Due | None:
        """Take the next final block; give what is signed because a second is over."""
        last, self._last = self._last, point
        second, next_second = last.time_ms // _MS, point.time_ms // _MS
        if next_second <= second:
            return None
        is_refresh = next_second // CHECKPOINT_REFRESH_S > second // CHECKPOINT_REFRESH_S
        is_due = self._must or is_refresh or last.log_size > self._first_of_second
        self._must = False
        self._first_of_second = last.log_size
        return Due(second, last.log_size, last.log_root) if is_due else None


class Outcome(NamedTuple):
    """What to do now.

    Attributes:
        say: to all validators; keep: durably, as the newest; pass_on: to guests, who are told
            nothing else.
        answer: to the peer whose input this was.
        fault: what that peer did wrong; is_lie: it signed another ledger than this node's.
    """

    say: CosignatureMessage | None = None
    keep: StoredCheckpoint | None = None
    pass_on: CheckpointMessage | None = None
    answer: tuple[CosigningMessage, ...] = ()
    fault: PeerFault | None = None
    is_lie: bool = False


_NOTHING: Final = Outcome()


class _Candidate:
    """A checkpoint for which signatures are collected."""

    __slots__ = ("checkpoint", "due", "signatures")

    def __init__(self, origin: str, due: Due) -> None:
        self.due = due
        self.checkpoint = Checkpoint(origin, due.log_size, due.log_root)
        self.signatures: dict[NodeIndex, CheckpointSignatures] = {}


class Cosigning:
    """One epoch's checkpoints at one node.

    Attributes:
        index: of this validator; None for an observer, who collects and signs nothing.
    """

    def __init__(
        self, origin: str, start: EpochStart, signer: Signer, kept: StoredCheckpoint | None
    ) -> None:
        """Begin an epoch; ``kept`` is the newest checkpoint that is stored."""
        self._origin = origin
        self._epoch = start.number
        self._validators: ValidatorSet = start.validator_set()
        self._signer = signer
        self._pending: dict[int, _Candidate] = {}
        self._ahead: dict[tuple[NodeIndex, type[CosigningMessage]], CosigningMessage] = {}
        self._newest_s = -1
        self._done_s = -1 if kept is None or kept.epoch != start.number else kept.time_s
        self._done: CheckpointMessage | None = None
        self.index = self._validators.index_of(PublicKey(signer.public_key))

    def on_due(self, due: Due) -> Outcome:
        """Sign a ledger that is due, and count what peers have said of it already."""
        if due.time_s <= self._newest_s:
            return _NOTHING
        self._newest_s = due.time_s
        candidate = self._pending[due.time_s] = _Candidate(self._origin, due)
        if len(self._pending) > CHECKPOINTS_PENDING_MAX:
            del self._pending[min(self._pending)]
        own = self._sign(candidate)
        self._count_ahead(candidate)
        outcome = self._complete(candidate)
        return outcome._replace(say=own)

    def on_message(self, peer: NodeIndex, message: CosigningMessage) -> Outcome:
        """Take what a peer says."""
        if message.epoch != self._epoch or message.time_s <= self._done_s:
            return _NOTHING
        if isinstance(message, CosignatureMessage) and peer >= len(self._validators):
            return _NOTHING
        candidate = self._pending.get(message.time_s)
        if candidate is None:
            self._hold(peer, message)
            return _NOTHING
        if not _is_same(candidate.due, message):
            return Outcome(is_lie=True)
        fault = self._count(candidate, peer, message)
        return self._complete(candidate)._replace(fault=fault)

    def on_peer_up(self) -> Outcome:
        """Give what a peer that has just connected may have missed."""
        answer: list[CosigningMessage] = [] if self._done is None else [self._done]
        newest = self._pending.get(self._newest_s)
        if newest is not None and self.index in newest.signatures:
            answer.append(self._own_message(newest))
        return Outcome(answer=tuple(answer))

    # --- helpers --------------------------------------------------------------------------

    def _sign(self, candidate: _Candidate) -> CosignatureMessage | None:
        if self.index is None:
            return None
        time_s = candidate.due.time_s
        signed = sign_checkpoint(self._signer, candidate.checkpoint, time_s)
        candidate.signatures[self.index] = signed
        return self._own_message(candidate)

    def _own_message(self, candidate: _Candidate) -> CosignatureMessage:
        assert self.index is not None, "observers sign nothing"
        own = candidate.signatures[self.index]
        return CosignatureMessage(self._epoch, *candidate.due, *own)

    def _hold(self, peer: NodeIndex, message: CosigningMessage) -> None:
        """Keep what is ahead of this node, the newest of each peer and kind."""
        slot = peer, type(message)
        held = self._ahead.get(slot)
        if message.time_s > self._newest_s and (held is None or message.time_s > held.time_s):
            self._ahead[slot] = message

    def _count_ahead(self, candidate: _Candidate) -> None:
        """Count what was held of a ledger, and forget what has been passed by.

        What does not hold is not held against anybody: it was said before this node could know.
        """
        for slot, message in tuple(self._ahead.items()):
            if message.time_s <= candidate.due.time_s:
                del self._ahead[slot]
                if _is_same(candidate.due, message):
                    self._count(candidate, slot[0], message)

    def _count(
        self, candidate: _Candidate, peer: NodeIndex, message: CosigningMessage
    ) -> PeerFault | None:
        """Count the signatures in a message that is of this very ledger."""
        if isinstance(message, CosignatureMessage):
            rows = [(peer, CheckpointSignatures(message.as_log, message.as_cosigner))]
        else:
            rows = [(index, CheckpointSignatures(*signed)) for index, *signed in message.rows]
        for index, signed in rows:
            key = self._validators.key(index)
            if key is None:
                return PeerFault(Offence.BAD_CHECKPOINT, f"signed by validator {index}")
            if index in candidate.signatures:
                continue
            if not holds(candidate.checkpoint, candidate.due.time_s, key, signed):
                return PeerFault(Offence.BAD_CHECKPOINT, f"wrong signature of validator {index}")
            candidate.signatures[index] = signed
        return None

    def _complete(self, candidate: _Candidate) -> Outcome:
        """Give the checkpoint when a quorum has signed it."""
        due, rows = candidate.due, sorted(candidate.signatures.items())
        if len(rows) < self._validators.quorum or due.time_s <= self._done_s:
            return _NOTHING
        rows = rows[: self._validators.quorum]  # not one more: each bit of a note shall matter
        self._done_s = due.time_s
        self._pending = {time: item for time, item in self._pending.items() if time > due.time_s}
        signed = tuple((index, *signatures) for index, signatures in rows)
        self._done = CheckpointMessage(self._epoch, *due, signed)
        note = write_note(SignedNote(candidate.checkpoint.text, self._lines(due.time_s, rows)))
        kept = StoredCheckpoint(self._epoch, due.time_s, due.log_size, note)
        return Outcome(keep=kept, pass_on=self._done)

    def _lines(
        self, time_s: int, rows: Iterable[tuple[NodeIndex, CheckpointSignatures]]
    ) -> tuple[NoteSignature, ...]:
        """Give the lines of a note: one of the log, then one of each cosigner."""
        lines: list[NoteSignature] = []
        for index, signed in rows:
            validator = self._validators.members[index]
            if not lines:
                key = log_key(self._origin, validator)
                lines.append(NoteSignature(key.name, key.id, signed.as_log))
            key = cosigner_key(self._origin, validator)
            cosignature = timestamped(time_s, signed.as_cosigner)
            lines.append(NoteSignature(key.name, key.id, cosignature))
        return tuple(lines)


def _is_same(due: Due, message: CosigningMessage) -> bool:
    return (message.log_size, message.log_root) == (due.log_size, due.log_root)
