"""Certificates: who said what, and whether a certificate adds nothing to it.

Holds every statement that an honest member is known to have signed. A certificate is good when
its signers are distinct, rise, and are a quorum by the checkers' own table; when each honest one
among them said exactly that with exactly that signature; and when the signature of each faulty one
verifies. Two good certificates of one round for different blocks, or two good commits of one
height, mean that safety is lost, whether or not a machine has noticed.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ledger.core.block import Block
from ledger.core.certificate import (
    BatchCertificate,
    Commit,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    Vote,
)
from ledger.core.validators import Validator
from simnet.checkers.checker import broken, require
from simnet.checkers.table import (
    QUORUM,
    ack_message,
    set_hash,
    timeout_message,
    vote_message,
)
from simnet.signatures import is_signed

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Certificates"]

_Statement = tuple[object, ...]
_BAD: Final = "certificate"


class _Epoch:
    """What a validator set said and certified."""

    def __init__(self, members: tuple[Validator, ...], opening: bytes) -> None:
        self.opening = opening
        self.keys = [validator.key for validator in members]
        self.seats = {key: seat for seat, key in enumerate(self.keys)}
        self.quorum = QUORUM[len(members)]
        self.said: dict[_Statement, bytes] = {}
        self.choices: dict[tuple[int, int], tuple[bytes, Commit | None]] = {}
        self.certified: dict[int, tuple[bytes, Commit | None]] = {}
        self.last: Commit | None = None  # what ended it


class Certificates:
    """What was said in a run, and the certificates that were found good.

    A good certificate with a commit that names a next set ends its epoch: it names the only last
    block that the epoch may have, and the set by which those of the next epoch are judged.

    Attributes:
        committed: height -> block id, as good certificates commit them.
        height: the highest of these.
    """

    def __init__(self, world: "World") -> None:
        genesis = world.genesis
        self._world = world
        self._genesis_hash = genesis.hash
        self._sets = {set_hash(members): members for members in world.federation.sets}
        self._epochs = [_Epoch(genesis.validators, genesis.block_id)]
        self._good: set[object] = set()
        self.committed: dict[int, bytes] = {0: genesis.block_id}
        self.height = 0

    def _epoch(self, number: int) -> _Epoch:
        if not 0 <= number < len(self._epochs):
            broken(_BAD, f"of epoch {number}, which nothing has begun")
        return self._epochs[number]

    def seat(self, machine: "Machine", epoch: int) -> int:
        """Give a machine's index in an epoch's set, or -1."""
        return self._epoch(epoch).seats.get(machine.signer.public_key, -1)

    def _is_faulty(self, epoch: _Epoch, seat: int) -> bool:
        key = epoch.keys[seat]
        return any(
            m.signer.public_key == key and m.index in self._world.faulty
            for m in self._world.machines
        )

    # --- statements -------------------------------------------------------------------------

    def say_vote(self, vote: Vote) -> None:
        """Note an honest member's vote."""
        epoch = self._epoch(vote.epoch)
        self._choose(epoch, vote.signer, vote.round, vote.block_id, vote.commit)
        message = self._vote_message(vote)
        statement = ("vote", vote.signer, vote.round, vote.block_id, vote.commit)
        self._say(epoch, statement, message, vote.signature)

    def say_timeout(self, timeout: Timeout) -> None:
        """Note an honest member's timeout."""
        message = self._timeout_message(timeout.epoch, timeout.round, timeout.high_qc.round)
        statement = ("timeout", timeout.signer, timeout.round, timeout.high_qc.round)
        self._say(self._epoch(timeout.epoch), statement, message, timeout.signature)

    def say_ack(self, number: int, signer: int, batch: bytes, signature: bytes) -> None:
        """Note an honest member's acknowledgement."""
        epoch, statement = self._epoch(number), ("ack", signer, batch)
        if epoch.said.get(statement) != signature:
            message = ack_message(self._genesis_hash, number, batch)
            self._say(epoch, statement, message, signature)

    def require_signed(self, number: int, signer: int, message: bytes, signature: bytes) -> None:
        """Require that an honest member's signature is of this message."""
        self._require_signed(self._epoch(number), signer, message, signature)

    def _require_signed(self, epoch: _Epoch, signer: int, message: bytes, signature: bytes) -> None:
        if not is_signed(epoch.keys[signer], message, signature):
            broken("signature", f"{signer} signed something else than it says")

    def _choose(
        self, epoch: _Epoch, signer: int, round_: int, block: bytes, commit: Commit | None
    ) -> None:
        first = epoch.choices.setdefault((signer, round_), (block, commit))
        if first != (block, commit):
            broken("double vote", f"{signer} in round {round_}")

    def _say(self, epoch: _Epoch, statement: _Statement, message: bytes, signature: bytes) -> None:
        signer = statement[1]
        assert isinstance(signer, int)
        self._require_signed(epoch, signer, message, signature)
        epoch.said[statement] = signature

    def _vote_message(self, vote: Vote | QuorumCertificate) -> bytes:
        hash_ = self._genesis_hash
        return vote_message(hash_, vote.epoch, vote.round, vote.block_id, vote.commit)

    def _timeout_message(self, epoch: int, round_: int, qc_round: int) -> bytes:
        return timeout_message(self._genesis_hash, epoch, round_, qc_round)

    # --- certificates -----------------------------------------------------------------------

    def check_qc(self, qc: QuorumCertificate, holder: "Machine") -> None:
        """Judge a quorum certificate that an honest member holds, sends or stores."""
        if qc in self._good:
            return
        epoch = self._epoch(qc.epoch)
        if qc.round == 0:
            is_first = qc.block_id == epoch.opening and qc.commit is None
            require(is_first and not qc.signatures, _BAD, "a false opening certificate")
            self._good.add(qc)
            return
        self._check_signers(epoch, [signer for signer, _ in qc.signatures])
        own = self.seat(holder, qc.epoch)
        for signer, signature in qc.signatures:
            statement = ("vote", signer, qc.round, qc.block_id, qc.commit)
            if self._is_unknown(epoch, statement, signature, own):
                self._verify(epoch, signer, self._vote_message(qc), signature)
                if signer == own:
                    self._choose(epoch, signer, qc.round, qc.block_id, qc.commit)
                    epoch.said[statement] = signature
        self._note_certified(epoch, qc)
        self._good.add(qc)

    def check_tc(self, tc: TimeoutCertificate | None, holder: "Machine") -> None:
        """Judge a timeout certificate."""
        if tc is None or tc in self._good:
            return
        epoch, own = self._epoch(tc.epoch), self.seat(holder, tc.epoch)
        self._check_signers(epoch, [entry.signer for entry in tc.entries])
        highest = max(entry.qc_round for entry in tc.entries)
        consistent = tc.high_qc.round == highest < tc.round and tc.epoch == tc.high_qc.epoch
        require(consistent, _BAD, f"timeout certificate {tc.round} holds another than the highest")
        for entry in tc.entries:
            statement = ("timeout", entry.signer, tc.round, entry.qc_round)
            if self._is_unknown(epoch, statement, entry.signature, own):
                message = self._timeout_message(tc.epoch, tc.round, entry.qc_round)
                self._verify(epoch, entry.signer, message, entry.signature)
        self.check_qc(tc.high_qc, holder)
        self._good.add(tc)

    def require_said(self, block: Block, holder: "Machine") -> None:
        """Require that what ``holder`` itself says in a block's certificates was kept before."""
        epoch, own = self._epoch(block.epoch), self.seat(holder, block.epoch)
        qc, tc = block.qc, block.tc
        voted = ("vote", own, qc.round, qc.block_id, qc.commit)
        is_said = voted in epoch.said or all(signer != own for signer, _ in qc.signatures)
        for entry in () if tc is None else tc.entries:
            said = ("timeout", own, block.round - 1, entry.qc_round) in epoch.said
            is_said = is_said and (entry.signer != own or said)
        require(is_said, "unpersisted", f"{holder.name} says more in {block.round} than it kept")

    def check_batches(self, certificates: Iterable[BatchCertificate], holder: "Machine") -> None:
        """Judge batch certificates."""
        for certificate in certificates:
            if certificate in self._good:
                continue
            id_, number = certificate.batch_id, certificate.epoch
            epoch, own = self._epoch(number), self.seat(holder, number)
            self._check_signers(epoch, [signer for signer, _ in certificate.signatures])
            for signer, signature in certificate.signatures:
                if self._is_unknown(epoch, ("ack", signer, id_), signature, own):
                    message = ack_message(self._genesis_hash, number, id_)
                    self._verify(epoch, signer, message, signature)
            self._good.add(certificate)

    def _check_signers(self, epoch: _Epoch, signers: list[int]) -> None:
        rising = all(a < b for a, b in pairwise(signers))
        known = not signers or 0 <= signers[0] <= signers[-1] < len(epoch.keys)
        require(rising and known, _BAD, "signers", signers)
        require(len(signers) >= epoch.quorum, _BAD, signers, "are no quorum")

    def _is_unknown(self, epoch: _Epoch, statement: _Statement, signature: bytes, own: int) -> bool:
        """Look a signer's statement up; say whether only its signature can tell.

        So it is with faulty signers, and with what the holder itself signs in the present step:
        it puts that into certificates before anything leaves.
        """
        signer = statement[1]
        if epoch.said.get(statement) == signature:
            return False
        assert isinstance(signer, int)
        what = f"{signer} never said {statement[0]} {statement[2]!r}"
        require(signer == own or self._is_faulty(epoch, signer), _BAD, what)
        return True

    def _verify(self, epoch: _Epoch, signer: int, message: bytes, signature: bytes) -> None:
        valid = is_signed(epoch.keys[signer], message, signature)
        require(valid, _BAD, f"the signature of {signer} is false")

    def _note_certified(self, epoch: _Epoch, qc: QuorumCertificate) -> None:
        choice = (qc.block_id, qc.commit)
        first = epoch.certified.setdefault(qc.round, choice)
        require(first == choice, "agreement", "two certificates in round", qc.round)
        if qc.commit is not None:
            height, id_ = qc.commit.height, qc.commit.block_id
            final = self.committed.setdefault(height, id_)
            require(final == id_, "agreement", "two final blocks at height", height)
            self.height = max(self.height, height)
            beyond = epoch.last is not None and height > epoch.last.height
            require(not beyond, "epoch", "block", height, "after the last one of epoch", qc.epoch)
            if qc.commit.next_set_hash is not None:
                self._end(epoch, qc.commit)

    def _end(self, epoch: _Epoch, commit: Commit) -> None:
        if epoch.last is None:
            epoch.last = commit
            members = self._sets.get(commit.next_set_hash or b"")
            require(members is not None, "epoch", "an epoch ends with a set that nobody asked for")
            assert members is not None
            self._epochs.append(_Epoch(members, commit.block_id))
        require(epoch.last == commit, "epoch", f"two ends of an epoch: {epoch.last} and {commit}")
