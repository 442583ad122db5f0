"""What a node wants done: the effects of ``NodeCore.step``, to be carried out in order."""

import msgspec

from consensus.core.inputs import Submitted, Timer
from consensus.core.messages import Message
from consensus.core.safety_record import SafetyRecord
from ledger.core.admission import Verdict
from ledger.core.block import Block, Proposal
from ledger.core.certificate import QuorumCertificate
from ledger.core.errors import Offence, RejectCode
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex

__all__ = [
    "Broadcast",
    "CancelTimer",
    "Effect",
    "EndEpoch",
    "ExamineBatch",
    "ExamineEntries",
    "Execute",
    "Halt",
    "Penalize",
    "Persist",
    "RecordEvidence",
    "Reply",
    "Send",
    "ServeBatches",
    "ServeBlocks",
    "ServeEpochEnd",
    "SetTimer",
    "StoreBatch",
]


class _Effect(msgspec.Struct, frozen=True):
    pass


class Persist(_Effect, frozen=True):
    """Barrier: write this to the safety store; no later effect before its fsync returned.

    ``proposals`` are the blocks (with inline batches) voted for or proposed; stored proposals of
    height ``prune_height`` and below are deleted, because the chain store has them durably.
    """

    record: SafetyRecord
    proposals: tuple[Proposal, ...]
    prune_height: Height


class Send(_Effect, frozen=True):
    """Send a message to one peer; dropped when its queue is full."""

    peer: NodeIndex
    message: Message


class Broadcast(_Effect, frozen=True):
    """Send a message to every peer."""

    message: Message


class SetTimer(_Effect, frozen=True):
    """Deliver TimerFired after ``delay_ms``, replacing the timer of the same name."""

    timer: Timer
    delay_ms: int


class CancelTimer(_Effect, frozen=True):
    """Forget a timer."""

    timer: Timer


class ExamineEntries(_Effect, frozen=True):
    """Decode, admit and verify submitted entries; answered by EntriesExamined."""

    ticket: int
    entries: tuple[bytes, ...]


class ExamineBatch(_Effect, frozen=True):
    """Decode and verify every entry of a peer's batch; answered by BatchExamined."""

    batch_id: BatchId
    encoded: bytes
    entries_count: int


class StoreBatch(_Effect, frozen=True):
    """Write a batch durably into the chain store; answered by BatchStored."""

    batch_id: BatchId
    batch: bytes


class Execute(_Effect, frozen=True):
    """Apply a final block, oldest first; answered by Executed, later by ChainDurable.

    ``certificate`` commits exactly this block, or is None where only a descendant was committed
    by a certificate of its own. ``batches`` holds the encoded batches that the chain store does
    not hold yet.
    """

    block_id: BlockId
    block: Block
    certificate: QuorumCertificate | None
    batches: tuple[tuple[BatchId, bytes], ...]


class ServeBlocks(_Effect, frozen=True):
    """Read committed blocks from the store and send them as one BlocksResponse."""

    peer: NodeIndex
    from_height: Height


class ServeBatches(_Effect, frozen=True):
    """Read batches from the store and send each that is there as a BatchMessage."""

    peer: NodeIndex
    batch_ids: tuple[BatchId, ...]


class ServeEpochEnd(_Effect, frozen=True):
    """Read the certificate that ended an earlier epoch and send it as an EpochEnd."""

    peer: NodeIndex
    epoch: Epoch


class Reply(_Effect, frozen=True):
    """Answer a submission: a verdict for each entry, or one code for all of it."""

    ticket: int
    verdicts: tuple[Verdict, ...] | RejectCode


class Penalize(_Effect, frozen=True):
    """A peer broke the protocol: count it; the transport disconnects it for a bounded time."""

    peer: NodeIndex
    offence: Offence
    detail: str


class RecordEvidence(_Effect, frozen=True):
    """Keep two contradictory signed statements of one validator, for people to judge.

    ``offender`` is its index in the validator set of ``epoch``.
    """

    offender: NodeIndex
    kind: str
    first: bytes
    second: bytes
    epoch: Epoch


class Halt(_Effect, frozen=True):
    """Safety is violated or this node must not go on: stop the process and say why."""

    reason: str


class EndEpoch(_Effect, frozen=True):
    """The epoch is over and its last block durable: make the next core. Always the last effect.

    ``carried`` are admitted entries that are not ordered yet: the next core brings them in, with
    those of ``Restored.carried``. ``submitted`` has not been looked at: give it to the next core
    after Started.
    """

    carried: tuple[bytes, ...]
    submitted: tuple[Submitted, ...]


Effect = (
    Persist
    | Send
    | Broadcast
    | SetTimer
    | CancelTimer
    | ExamineEntries
    | ExamineBatch
    | StoreBatch
    | Execute
    | ServeBlocks
    | ServeBatches
    | ServeEpochEnd
    | Reply
    | Penalize
    | RecordEvidence
    | Halt
    | EndEpoch
)
