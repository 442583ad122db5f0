"""Answers to whoever speaks of what is over: the proof of the present round, or of the epoch's end.

Neither is an offence: messages are late, and who was away cannot know. One answer in a while is
enough, because whoever is behind says so again.
"""

from consensus.core.effects import Send, ServeEpochEnd
from consensus.core.messages import (
    EpochEnd,
    ProposalMessage,
    SyncInfo,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.outbox import Outbox
from consensus.core.safety import SafetyRules
from ledger.core.ids import Epoch, NodeIndex, Round
from ledger.core.limits import SYNC_INFO_INTERVAL_MS

__all__ = ["Stragglers"]


class Stragglers:
    """Whom this validator has answered lately. Peers and guests are few, so this is bounded."""

    def __init__(self, rules: SafetyRules, outbox: Outbox) -> None:
        self._rules = rules
        self._outbox = outbox
        self._answered: dict[NodeIndex, int] = {}

    def prove_round_to(self, peer: NodeIndex, now_ms: int) -> None:
        """Send ``peer`` the proof of this validator's round, not too often."""
        if self._may_answer(peer, now_ms):
            self._prove(peer)

    def greet(self, peer: NodeIndex, round_: Round) -> None:
        """Prove the round to a new connection, and repeat what was signed in it, as stored."""
        self._prove(peer)
        record = self._rules.record
        if self._rules.epoch_end is not None:
            return
        if record.last_proposal is not None and record.last_proposal.block.round == round_:
            self._outbox.add(Send(peer, ProposalMessage(record.last_proposal)))
        if record.last_vote is not None and record.last_vote.round == round_:
            self._outbox.add(Send(peer, VoteMessage(record.last_vote)))
        if record.last_timeout is not None and record.last_timeout.round == round_:
            self._outbox.add(Send(peer, TimeoutMessage(record.last_timeout)))

    def _prove(self, peer: NodeIndex) -> None:
        record, end = self._rules.record, self._rules.epoch_end
        proof = SyncInfo(record.high_qc, record.high_tc) if end is None else EpochEnd(end)
        self._outbox.add(Send(peer, proof))

    def answer_epoch(self, peer: NodeIndex, epoch: Epoch, now_ms: int) -> None:
        """Send ``peer``, who speaks in an earlier epoch, the end of that one, not too often.

        In a later one it is sent the present round, and answers with the end of this epoch: who may
        sign nothing says nothing by itself, and would never be told of it.
        """
        if epoch > self._rules.record.epoch:
            if self._rules.epoch_end is None:
                self.prove_round_to(peer, now_ms)
        elif self._may_answer(peer, now_ms):
            self._outbox.add(ServeEpochEnd(peer, epoch))

    def _may_answer(self, peer: NodeIndex, now_ms: int) -> bool:
        last = self._answered.get(peer)
        if last is not None and 0 <= now_ms - last < SYNC_INFO_INTERVAL_MS:
            return False
        self._answered[peer] = now_ms
        return True
