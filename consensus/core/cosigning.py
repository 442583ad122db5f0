"""Which checkpoints validators sign, and how a quorum's signatures come together. No clock.

Owns the rule by which all honest validators sign the same checkpoints, a function of final blocks
alone. The ledger before a block is signed, as of that block's second,

- if the block begins a second and the log has grown since what was signed last, or the epoch has
  signed nothing yet, or the block begins a minute; so what is logged is covered within about a
  second, a new set of validators signs at once, and a quiet log is signed anew each minute;
- or if the block adds nothing to a log that has grown: after a lone event none may follow for
  seconds. A credit, which one second of block time earns, bounds how often.

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
from ledger.core.limits import (
    CHECKPOINT_REFRESH_S,
    CHECKPOINTS_BURST_MAX,
    CHECKPOINTS_PENDING_MAX,
)
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
_CREDIT_MS_MAX: Final = CHECKPOINTS_BURST_MAX * _MS


class LedgerPoint(NamedTuple):
    """The ledger after one final block."""

    height: Height
    time_ms: int
    log_size: int
    log_root: bytes


class Due(NamedTuple):
    """A ledger that is signed, as of a second since 1970. Later ones compare as greater."""

    time_s: int
    log_size: int
    log_root: bytes

    @property
    def place(self) -> tuple[int, int]:
        """Which checkpoint of the epoch it is."""
        return self.time_s, self.log_size


class CheckpointSchedule:
    """Follows final blocks and says which ledgers are signed.

    All that it remembers is set anew when a minute or an epoch begins; so a node that begins there
    agrees with those that have followed for longer, and one that begins elsewhere waits for it.
    """

    __slots__ = ("_credit_ms", "_is_sure", "_last", "_must", "_signed_size")

    def __init__(self, first: LedgerPoint, *, begins_epoch: bool) -> None:
        """Begin after a block; that it ended the epoch before is ``begins_epoch``."""
        self._last = first
        self._signed_size = first.log_size
        self._credit_ms = _CREDIT_MS_MAX
        self._must = self._is_sure = begins_epoch

    def follow(self, point: LedgerPoint) -> Due | None:
        """Take the next final block; give what is signed because of it."""
        last, self._last = self._last, point
        time_s, last_s = point.time_ms // _MS, last.time_ms // _MS
        begins_minute = time_s // CHECKPOINT_REFRESH_S > last_s // CHECKPOINT_REFRESH_S
        has_grown = last.log_size > self._signed_size
        is_rest = point.log_size == last.log_size and self._credit_ms >= _MS
        is_due = begins_minute or (
            self._is_sure
            and ((has_grown and (time_s > last_s or is_rest)) or (self._must and time_s > last_s))
        )
        earned_ms = self._credit_ms + point.time_ms - last.time_ms
        self._credit_ms = min(_CREDIT_MS_MAX, earned_ms)
        if not is_due:
            return None
        self._signed_size = last.log_size
        self._must, self._is_sure = False, True
        self._credit_ms = _CREDIT_MS_MAX if begins_minute else max(0, self._credit_ms - _MS)
        return Due(time_s, last.log_size, last.log_root)


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
_Place = tuple[int, int]
_NEVER: Final[_Place] = (-1, 0)


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
        self._pending: dict[_Place, _Candidate] = {}
        self._ahead: dict[tuple[NodeIndex, type[CosigningMessage]], CosigningMessage] = {}
        self._newest: _Place = _NEVER
        self._done: _Place = _NEVER
        if kept is not None and kept.epoch == start.number:
            self._done = kept.time_s, kept.log_size
        self._proof: CheckpointMessage | None = None
        self.index = self._validators.index_of(PublicKey(signer.public_key))

    def on_due(self, due: Due) -> Outcome:
        """Sign a ledger that is due, and count what peers have said of it already."""
        self._newest = due.place
        candidate = self._pending[due.place] = _Candidate(self._origin, due)
        if len(self._pending) > CHECKPOINTS_PENDING_MAX:
            del self._pending[min(self._pending)]
        own = self._sign(candidate)
        self._count_ahead(candidate)
        return self._complete(candidate)._replace(say=own)

    def on_message(self, peer: NodeIndex, message: CosigningMessage) -> Outcome:
        """Take what a peer says."""
        place = message.time_s, message.log_size
        if message.epoch != self._epoch or place <= self._done:
            return _NOTHING
        if isinstance(message, CosignatureMessage) and peer >= len(self._validators):
            return _NOTHING
        candidate = self._pending.get(place)
        if candidate is None:
            self._hold(peer, message)
            return _NOTHING
        if message.log_root != candidate.due.log_root:
            return Outcome(is_lie=True)
        fault = self._count(candidate, peer, message)
        return self._complete(candidate)._replace(fault=fault)

    def on_peer_up(self) -> Outcome:
        """Give what a peer that has just connected may have missed."""
        answer: list[CosigningMessage] = [] if self._proof is None else [self._proof]
        newest = self._pending.get(self._newest)
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
        floor = self._newest if held is None else (held.time_s, held.log_size)
        if (message.time_s, message.log_size) > floor:
            self._ahead[slot] = message

    def _count_ahead(self, candidate: _Candidate) -> None:
        """Count what was held of a ledger, and forget what has been passed by.

        What does not hold is not held against anybody: it was said before this node could know.
        """
        due = candidate.due
        for slot, message in tuple(self._ahead.items()):
            if (message.time_s, message.log_size) <= due.place:
                del self._ahead[slot]
                if Due(message.time_s, message.log_size, message.log_root) == due:
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
        if len(rows) < self._validators.quorum or due.place <= self._done:
            return _NOTHING
        rows = rows[: self._validators.quorum]  # not one more: each bit of a note shall matter
        self._done = due.place
        self._pending = {place: c for place, c in self._pending.items() if place > due.place}
        signed = tuple((index, *signatures) for index, signatures in rows)
        self._proof = CheckpointMessage(self._epoch, *due, signed)
        note = write_note(SignedNote(candidate.checkpoint.text, self._lines(due.time_s, rows)))
        kept = StoredCheckpoint(self._epoch, due.time_s, due.log_size, note)
        return Outcome(keep=kept, pass_on=self._proof)

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
