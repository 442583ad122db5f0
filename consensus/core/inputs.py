"""What can happen to a node: the inputs of ``NodeCore.step``."""

import msgspec

from consensus.core.messages import Message
from ledger.core.admission import Verdict
from ledger.core.block import LedgerRoot
from ledger.core.errors import Offence
from ledger.core.ids import BatchId, BlockId, Height, NodeIndex, Round

__all__ = [
    "BatchExamined",
    "BatchStored",
    "ChainDurable",
    "EntriesExamined",
    "Executed",
    "Input",
    "PeerDown",
    "PeerMessage",
    "PeerMisbehaved",
    "PeerUp",
    "Started",
    "Submitted",
    "Timer",
    "TimerFired",
]


class Timer(msgspec.Struct, frozen=True):
    """A timer; setting one of the same name again replaces it, whatever its round.

    Attributes:
        round: the round that it belongs to, 0 for one that outlives rounds. It may run out while
            the input that ends the round is already on its way, so the core must be able to tell.
    """

    name: str
    round: Round = Round(0)


class _Input(msgspec.Struct, frozen=True):
    pass


class Started(_Input, frozen=True):
    """The shell is ready: always the first input."""


class PeerUp(_Input, frozen=True):
    """Both lanes to a peer are connected."""

    peer: NodeIndex


class PeerDown(_Input, frozen=True):
    """A lane to a peer was lost."""

    peer: NodeIndex


class PeerMessage(_Input, frozen=True):
    """A decoded message from an authenticated peer."""

    peer: NodeIndex
    message: Message


class PeerMisbehaved(_Input, frozen=True):
    """The transport saw a peer break the protocol (garbage, flood); it has disconnected it."""

    peer: NodeIndex
    offence: Offence


class TimerFired(_Input, frozen=True):
    """A timer ran out."""

    timer: Timer


class Submitted(_Input, frozen=True):
    """A client hands in encoded entries; answered by a Reply with the same ticket."""

    ticket: int
    entries: tuple[bytes, ...]


class EntriesExamined(_Input, frozen=True):
    """Answer to ExamineEntries: one verdict for each entry, in their order."""

    ticket: int
    verdicts: tuple[Verdict, ...]


class BatchExamined(_Input, frozen=True):
    """Answer to ExamineBatch: is every entry canonical, of this chain and correctly signed?"""

    batch_id: BatchId
    valid: bool


class BatchStored(_Input, frozen=True):
    """Answer to StoreBatch: the batch is durable."""

    batch_id: BatchId


class Executed(_Input, frozen=True):
    """Answer to Execute: the block was applied (its durability follows as ChainDurable).

    Attributes:
        pending: digest of the validator set that waits for its epoch after this block, or None.
    """

    height: Height
    block_id: BlockId
    root: LedgerRoot
    pending: bytes | None = None


class ChainDurable(_Input, frozen=True):
    """The chain store is durable up to this height."""

    height: Height


Input = (
    Started
    | PeerUp
    | PeerDown
    | PeerMessage
    | PeerMisbehaved
    | TimerFired
    | Submitted
    | EntriesExamined
    | BatchExamined
    | BatchStored
    | Executed
    | ChainDurable
)
