"""Members that sign wrongly, or put together certificates that are none.

What they forge is made of true parts as far as they have any: other members' votes and timeouts as
they were seen, and their own signature.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from consensus.core.effects import Broadcast, Effect, Send
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import (
    AckMessage,
    CertificateMessage,
    Message,
    ProposalMessage,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from ledger.core.certificate import (
    Ack,
    BatchCertificate,
    Commit,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    TimeoutEntry,
    Vote,
)
from ledger.core.ids import BatchId, NodeIndex, Round
from simnet.actors.byzantine import Byzantine
from simnet.network import label_of

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Forger", "SignatureForger", "forge_certificate", "forge_timeouts"]

_VOTES_REMEMBERED: Final = 24
_QC_FORGERIES: Final = 8
_TC_FORGERIES: Final = 5

Rows = tuple[tuple[NodeIndex, bytes], ...]


def forge_certificate(
    kind: int, true: QuorumCertificate, own: tuple[NodeIndex, bytes], stray: Rows
) -> QuorumCertificate:
    """Make a certificate that must not be taken, out of a true one (kinds 1 to 8).

    Args:
        own: the forger's index and a true signature of it under what the forgery says.
        stray: rows of other votes: of other rounds, or for other commits.
    """
    rows = true.signatures
    signer, signature = own
    match kind:
        case 1:  # one signer, counted several times
            rows = tuple(own for _ in range(max(3, len(rows))))
        case 2:  # too few
            rows = rows[:-1]
        case 3:  # votes of other rounds, or for another commit
            by_signer = {**dict(rows), **dict(stray)}
            rows = tuple(sorted(by_signer.items()))
        case 4:  # everybody, by one hand
            rows = tuple((NodeIndex(i), signature) for i in range(max(4, len(rows))))
        case 5:  # the next round, by the votes of this one
            return msgspec.structs.replace(true, round=Round(true.round + 1))
        case 6:  # another commit under the same votes
            commit = true.commit or Commit(true.block_id, 1, None)  # type: ignore[arg-type]
            commit = msgspec.structs.replace(commit, height=commit.height + 1)
            return msgspec.structs.replace(true, commit=commit)
        case 7:  # a stranger among the signers, or a doubled last one
            rows = (*rows[:-1], (NodeIndex(31), signature)) if signer % 2 else (*rows, rows[-1])
        case _:  # a genesis certificate that is not this network's
            return msgspec.structs.replace(true, round=Round(0), signatures=())
    return msgspec.structs.replace(true, signatures=rows)


def forge_timeouts(
    kind: int, true: TimeoutCertificate, own: TimeoutEntry, low: QuorumCertificate
) -> TimeoutCertificate:
    """Make a timeout certificate that must not be taken, out of a true one (kinds 1 to 5)."""
    entries = true.entries
    match kind:
        case 1:  # one signer, counted several times
            entries = tuple(own for _ in entries)
        case 2:  # too few
            entries = entries[:-1]
        case 3:  # says less than its signers reported
            entries = tuple(msgspec.structs.replace(e, qc_round=low.round) for e in entries)
            return msgspec.structs.replace(true, entries=entries, high_qc=low)
        case 4:  # demands less than its signers reported
            return msgspec.structs.replace(true, high_qc=low)
        case _:  # for the next round
            return msgspec.structs.replace(true, round=Round(true.round + 1))
    return msgspec.structs.replace(true, entries=entries)


class SignatureForger(Byzantine):
    """Signs nothing validly: votes, acknowledgements, timeouts and proposals."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Break signatures."""
        match effect:
            case Broadcast(message) | Send(_, message):
                broken = self._break(message)
                if broken is not None and self.pick(f"forge {label_of(message)}", 1):
                    yield msgspec.structs.replace(effect, message=broken)
                    return
            case _:
                pass
        yield effect

    def _break(self, message: Message) -> Message | None:
        replace = msgspec.structs.replace
        match message:
            case VoteMessage(vote):
                return VoteMessage(replace(vote, signature=_broken(vote.signature)))
            case AckMessage(ack):
                return AckMessage(replace(ack, signature=_broken(ack.signature)))
            case TimeoutMessage(timeout):
                return TimeoutMessage(replace(timeout, signature=_broken(timeout.signature)))
            case ProposalMessage(proposal):
                signature = _broken(proposal.signature)
                return ProposalMessage(replace(proposal, signature=signature))
            case _:
                return None


def _broken(signature: bytes) -> bytes:
    return signature[:-1] + bytes([signature[-1] ^ 1])


class Forger(Byzantine):
    """Says forged certificates of every kind, alone and inside proposals, timeouts and proofs."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._votes: OrderedDict[tuple[Round, NodeIndex], Vote] = OrderedDict()
        self._qc: QuorumCertificate | None = None
        self._tc: TimeoutCertificate | None = None

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Collect true votes and certificates."""
        match input_:
            case PeerMessage(_, VoteMessage(vote)):
                self._votes[vote.round, vote.signer] = vote
                while len(self._votes) > _VOTES_REMEMBERED:
                    self._votes.popitem(last=False)
            case PeerMessage(_, ProposalMessage(proposal)) if proposal.block.qc.round:
                self._qc = proposal.block.qc
            case PeerMessage(_, TimeoutCertificateMessage(tc)):
                self._tc = tc
            case _:
                pass
        yield input_

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Forge what goes out, and more."""
        match effect:
            case Broadcast(VoteMessage(vote)) if self._qc is not None:
                yield effect
                kind = self.pick(f"forge qc {vote.round}", _QC_FORGERIES)
                if kind:
                    yield from self.say_to_all(SyncInfo(self._forge(kind, self._qc), None))
            case Broadcast(TimeoutMessage(timeout)):
                yield from self._forge_timeout(timeout, effect)
            case Broadcast(ProposalMessage(proposal)) if proposal.block.qc.round:
                kind = self.pick(f"forge block {proposal.block.round}", _QC_FORGERIES)
                if not kind:
                    yield effect
                    return
                qc = self._forge(kind, proposal.block.qc)
                block = msgspec.structs.replace(proposal.block, qc=qc, parent_id=qc.block_id)
                yield from self.say_to_all(ProposalMessage(self.sign(block, proposal)))
            case Send(_, AckMessage(ack)):
                yield effect
                yield from self._forge_batch(ack)
            case _:
                yield effect

    def _forge(self, kind: int, true: QuorumCertificate) -> QuorumCertificate:
        own = Vote.make(self.domain, true.round, true.block_id, true.commit, self.machine.signer)
        stray = tuple(
            (vote.signer, vote.signature)
            for vote in self._votes.values()
            if (vote.round, vote.block_id, vote.commit) != (true.round, true.block_id, true.commit)
        )
        return forge_certificate(kind, true, (own.signer, own.signature), stray)

    def _forge_timeout(self, timeout: Timeout, effect: Effect) -> Iterable[Effect]:
        kind = self.pick(f"forge tc {timeout.round}", _TC_FORGERIES)
        true = self._tc or timeout.last_tc
        if not kind or true is None:
            yield effect
            return
        own = TimeoutEntry(timeout.signer, timeout.high_qc.round, timeout.signature)
        low = self._qc or timeout.high_qc
        forged = forge_timeouts(kind, true, own, low)
        yield from self.say_to_all(TimeoutCertificateMessage(forged))
        yield from self.say_to_all(SyncInfo(low, forged))
        lie = Timeout.make(self.domain, Round(forged.round + 1), low, forged, self.machine.signer)
        yield from self.say_to_all(TimeoutMessage(lie))
        yield effect

    def _forge_batch(self, ack: Ack) -> Iterable[Effect]:
        kind = self.pick(f"forge batch {ack.batch_id.hex()[:8]}", 3)
        if not kind:
            return
        id_ = BatchId(bytes(32)) if kind == 3 else ack.batch_id
        mine = Ack.make(self.domain, id_, self.machine.signer).signature
        count = self.domain.validators.quorum
        signers = [ack.signer] * count if kind == 1 else [NodeIndex(i) for i in range(count)]
        rows = tuple((signer, mine) for signer in signers)
        yield from self.say_to_all(CertificateMessage(BatchCertificate(ack.epoch, id_, rows)))
