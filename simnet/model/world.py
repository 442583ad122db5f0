"""The real objects of one network: keys, blocks, votes, timeouts and their certificates.

Everything here is made and verified by the code that nodes run: real Ed25519 keys and signatures,
real block ids, certificates formed by the real ``VoteCollector`` and ``TimeoutCollector`` and
verified by the real ``RememberingDomain``. The Byzantine validators' statements are made here too:
they sign whatever helps a certificate.
"""

from collections.abc import Iterable, Sequence

from consensus.core.safety import SafetyRules
from consensus.core.safety_record import SafetyRecord, first_record
from consensus.core.verification import RememberingDomain
from consensus.core.votes import TimeoutCollector, VoteCollector
from ledger.core.block import Block, block_id
from ledger.core.certificate import (
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    Vote,
    genesis_certificate,
)
from ledger.core.epoch import EpochStart
from ledger.core.genesis import Genesis, Governors
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator
from simnet.model.scope import Scope

__all__ = ["World"]

_NO_ROOT = bytes(32)  # the rules never look at it


class World:
    """A network of ``scope.validators``, of whom the last ``scope.faulty`` are Byzantine."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.signers = [SeedSigner(bytes([7, i]) * 16) for i in range(scope.validators)]
        self._genesis = _make_genesis(self.signers)
        validators = self._genesis.validator_set()
        if scope.quorum is not None:
            validators.quorum = scope.quorum
        self.domain = RememberingDomain(self._genesis.hash, Epoch(0), validators)
        self.quorum = validators.quorum
        self.genesis_qc = genesis_certificate(BlockId(self._genesis.block_id))
        self.genesis_block = self.block(Round(0), self.genesis_qc, None, Height(0), 0)

    def first_record(self, index: int) -> SafetyRecord:
        """Give the record of a validator that has signed nothing."""
        return first_record(EpochStart.of_genesis(self._genesis), self.signers[index].public_key)

    def rules(self, index: int, record: SafetyRecord) -> SafetyRules:
        """Give the rules of honest validator ``index`` as they are after a (re)start."""
        return self.scope.rules(record, self.domain, self.signers[index])

    def block(
        self,
        round_: Round,
        qc: QuorumCertificate,
        tc: TimeoutCertificate | None,
        height: Height,
        variant: int,
    ) -> Block:
        """Make a block on the one that ``qc`` certifies; siblings differ in their time."""
        return Block(
            epoch=Epoch(0),
            round=round_,
            height=height,
            parent_id=qc.block_id,
            executed_height=Height(0),
            ledger_root=_NO_ROOT,
            next_set_hash=None,
            qc=qc,
            tc=tc,
            payload=(),
            time_ms=variant,
            author=NodeIndex(round_ % self.scope.validators),
        )

    def certify(self, votes: Sequence[Vote]) -> QuorumCertificate:
        """Form the certificate of equal honest ``votes``, with the help of the Byzantine."""
        first, collector = votes[0], VoteCollector(self.domain)
        helpers = (
            Vote.make(self.domain, first.round, first.block_id, first.commit, signer)
            for signer in self._byzantine()
        )
        for vote in (*helpers, *votes):
            collected = collector.add(vote)
            assert not collected.forgers
            if collected.certificate is not None:
                collected.certificate.verify(self.domain)
                return collected.certificate
        raise AssertionError("no quorum voted")

    def give_up(self, timeouts: Iterable[Timeout], round_: Round) -> TimeoutCertificate | None:
        """Form the certificate that demands least of the next block, if a quorum gave up.

        The Byzantine report the genesis certificate; of the honest those count that report the
        oldest. A certificate that demands more justifies fewer blocks.
        """
        collector = TimeoutCollector(self.domain)
        collector.enter(round_)
        oldest_first = sorted(timeouts, key=lambda timeout: timeout.high_qc.round)
        helpers = (
            Timeout.make(self.domain, round_, self.genesis_qc, None, signer)
            for signer in self._byzantine()
        )
        for timeout in (*helpers, *oldest_first):
            tc = collector.add(timeout)
            if tc is not None:
                tc.verify(self.domain, self._verify_qc)
                return tc
        return None

    def _verify_qc(self, qc: QuorumCertificate) -> None:
        if qc != self.genesis_qc:
            qc.verify(self.domain)

    def _byzantine(self) -> list[SeedSigner]:
        return self.signers[len(self.scope.honest) :]


def id_of(block: Block, world: World) -> BlockId:
    """Give the id by which certificates name ``block``."""
    return world.genesis_qc.block_id if block.round == 0 else block_id(block)


def _make_genesis(signers: Sequence[SeedSigner]) -> Genesis:
    peers = [SeedSigner(bytes([9, i]) * 16) for i in range(len(signers))]
    members = tuple(
        Validator(f"val-{i}", f"did:elsi:V{i}", own.public_key, peer.public_key, "h:1")
        for i, (own, peer) in enumerate(zip(signers, peers, strict=True))
    )
    return Genesis("model", 0, members, (), Governors(1, ("did:elsi:V0",)))
