"""Members that send far too much, or times far from the true one."""

from collections.abc import Iterable
from typing import Final

import msgspec

from consensus.core.effects import Broadcast, Effect
from consensus.core.messages import (
    BatchMessage,
    BatchRequest,
    BlocksRequest,
    Message,
    ProposalMessage,
    ProposalRequest,
    TimeoutMessage,
    VoteMessage,
)
from ledger.core.block import Batch
from ledger.core.certificate import Timeout, Vote, genesis_certificate
from ledger.core.codec import encode
from ledger.core.ids import BatchId, BlockId, Height, Round
from ledger.core.limits import BLOCK_DRIFT_MS_MAX
from simnet.actors.byzantine import Byzantine

__all__ = ["Flooder", "TimeRatchet"]

_BURST_MAX: Final = 10
_HOUR_MS: Final = 3_600_000
_OFFSETS_MS: Final = (
    1,
    -1,
    BLOCK_DRIFT_MS_MAX // 2,
    BLOCK_DRIFT_MS_MAX - 200,
    BLOCK_DRIFT_MS_MAX,
    BLOCK_DRIFT_MS_MAX + 1_000,
    _HOUR_MS,
    -_HOUR_MS,
    24 * 365 * _HOUR_MS,
)


class Flooder(Byzantine):
    """Sends bursts of votes and timeouts of far rounds, of batches and of questions."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Follow each vote by a burst."""
        yield effect
        match effect:
            case Broadcast(VoteMessage(vote)):
                size = self.choose(f"burst {vote.round}", lambda draw: draw.heavy(_BURST_MAX))
                for number in range(size):
                    yield from self.say_to_all(self.junk(vote, number))
            case _:
                pass

    def junk(self, vote: Vote, number: int) -> Message:
        """Make one well signed message that nobody asked for."""
        signer, far = self.machine.signer, Round(vote.round + 1 + number**3)
        nothing = genesis_certificate(BlockId(self.machine.world.genesis.block_id))
        match number % 7:
            case 0:
                return VoteMessage(Vote.make(self.domain, far, vote.block_id, None, signer))
            case 1:
                return TimeoutMessage(Timeout.make(self.domain, far, nothing, None, signer))
            case 2:
                entry = b"flood %d %d" % (vote.round, number)
                return BatchMessage(encode(Batch(self.machine.index, far, (entry,))))
            case 3:
                return BlocksRequest(Height(1 + number))
            case 4:
                return BatchRequest((BatchId(bytes([number]) * 32),))
            case 5:
                return ProposalRequest(BlockId(bytes([number]) * 32))
            case _:
                old = Round(max(1, vote.round - number))
                return VoteMessage(Vote.make(self.domain, old, vote.block_id, None, signer))


class TimeRatchet(Byzantine):
    """Dates its blocks as far ahead, or back, as it gets away with and further."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Move the time of own blocks."""
        match effect:
            case Broadcast(ProposalMessage(proposal)):
                kind = self.pick(f"time {proposal.block.round}", len(_OFFSETS_MS))
                if kind:
                    time_ms = max(0, proposal.block.time_ms + _OFFSETS_MS[kind - 1])
                    block = msgspec.structs.replace(proposal.block, time_ms=time_ms)
                    yield from self.say_to_all(ProposalMessage(self.sign(block, proposal)))
                    return
            case _:
                pass
        yield effect
