"""Members that cheat about batches: bad contents, and acknowledgements of what they do not hold."""

from collections.abc import Iterable

import msgspec

from consensus.core.effects import Broadcast, Effect, Send
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import AckMessage, BatchMessage, ProposalMessage
from ledger.core.block import Batch, Proposal, batch_id, decode_batch
from ledger.core.certificate import Ack
from ledger.core.codec import encode
from ledger.core.errors import DecodeError
from ledger.core.ids import BatchId, NodeIndex
from simnet.actors.byzantine import Byzantine

__all__ = ["BadBatcher", "FalseAcknowledger"]

_BAD = b"bad entry"


class BadBatcher(Byzantine):
    """Brings in batches with invalid entries, broken bytes, or another member's name on them."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Spoil own batches, sent ones and inline ones."""
        match effect:
            case Broadcast(BatchMessage(encoded)):
                kind = self.pick(f"batch {batch_id(encoded).hex()[:8]}", 4)
                for peer in self.peers:
                    shown = self._spoil(encoded, kind + (peer % 2 if kind else 0))
                    yield from self.say(peer, BatchMessage(shown))
            case Broadcast(ProposalMessage(proposal)) if proposal.inline:
                kind = self.pick(f"inline {proposal.block.round}", 4)
                if kind:
                    spoiled = self._spoil_inline(proposal, kind)
                    yield from self.say_to_all(ProposalMessage(spoiled))
                else:
                    yield effect
            case _:
                yield effect

    def _spoil(self, encoded: bytes, kind: int) -> bytes:
        batch = decode_batch(encoded)
        match kind:
            case 0:
                return encoded
            case 1:
                return encode(msgspec.structs.replace(batch, entries=(*batch.entries, _BAD)))
            case 2:
                stranger = NodeIndex((batch.origin + 1) % (len(self.peers) + 1))
                return encode(Batch(stranger, batch.sequence, (*batch.entries, _BAD)))
            case 3:
                return encoded + b"\x00"
            case _:
                return encode(msgspec.structs.replace(batch, entries=batch.entries * 2))

    def _spoil_inline(self, proposal: Proposal, kind: int) -> Proposal:
        """Spoil the first inline batch; the block names what is carried."""
        first, *rest = proposal.inline
        spoiled = self._spoil(first, kind)
        payload = tuple(
            batch_id(spoiled) if id_ == batch_id(first) else id_ for id_ in proposal.block.payload
        )
        block = msgspec.structs.replace(proposal.block, payload=payload)
        return self.sign(block, msgspec.structs.replace(proposal, inline=(spoiled, *rest)))


class FalseAcknowledger(Byzantine):
    """Acknowledges batches that it throws away, and some that it never got."""

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Answer batches in the core's place, which gets nothing of them."""
        match input_:
            case PeerMessage(peer, BatchMessage(encoded)):
                id_ = batch_id(encoded)
                kind = self.pick(f"false ack {id_.hex()[:8]}", 2)
                if kind and self._origin(encoded) == peer:
                    self._acknowledge(peer, id_)
                    if kind == 2:
                        self._acknowledge(peer, BatchId(bytes(id_[::-1])))
                    return
            case PeerMessage(_, ProposalMessage(proposal)):
                if self.pick(f"false acks {proposal.block.round}", 1):
                    for id_ in proposal.block.payload:
                        for peer in self.peers:
                            self._acknowledge(peer, id_)
            case _:
                pass
        yield input_

    def _origin(self, encoded: bytes) -> NodeIndex | None:
        try:
            return decode_batch(encoded).origin
        except DecodeError:
            return None

    def _acknowledge(self, peer: NodeIndex, id_: BatchId) -> None:
        ack = Ack.make(self.domain, id_, self.machine.signer)
        self.machine.world.network.send(self.machine, peer, AckMessage(ack))

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Serve nothing to those who want to reclaim what was acknowledged."""
        match effect:
            case Send(_, BatchMessage()) if self.pick("serve", 1):
                return
            case _:
                yield effect
