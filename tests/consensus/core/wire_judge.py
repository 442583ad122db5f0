"""What no honest node may say: two things in one round, or a vote after giving the round up."""

from consensus.core.messages import Message, ProposalMessage, TimeoutMessage, VoteMessage
from ledger.core.block import block_id
from ledger.core.ids import NodeIndex


class WireJudge:
    """Asserts that no honest node contradicts itself in what it sends."""

    def __init__(self, wire: list[tuple[NodeIndex, Message]], faulty: set[int]) -> None:
        self._wire = wire
        self._faulty = faulty
        self._seen = 0
        self._said: dict[tuple[str, int, int], object] = {}

    def check(self) -> None:
        """Judge what was sent since the last time."""
        for sender, message in self._wire[self._seen :]:
            if sender not in self._faulty:
                self._judge(sender, message)
        self._seen = len(self._wire)

    def _judge(self, sender: int, message: Message) -> None:
        said = self._said
        match message:
            case VoteMessage(vote) if ("vote", sender, vote.round) not in said:
                assert ("timeout", sender, vote.round) not in said, "a vote after the timeout"
                said["vote", sender, vote.round] = vote
            case VoteMessage(vote):
                assert said["vote", sender, vote.round] == vote, "two votes in a round"
            case TimeoutMessage(timeout):
                first = said.setdefault(("timeout", sender, timeout.round), timeout)
                assert first == timeout, "a timeout was made a second time"
            case ProposalMessage(proposal):
                key = ("proposal", sender, proposal.block.round)
                id_ = block_id(proposal.block)
                assert said.setdefault(key, id_) == id_, "two proposals in a round"
            case _:
                pass
