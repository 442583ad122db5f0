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

from ledger.core.certificate import (
    BatchCertificate,
    Commit,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    Vote,
)
from simnet.checkers.checker import require
from simnet.checkers.table import (
    QUORUM,
    ack_message,
    timeout_message,
    vote_message,
)
from simnet.signatures import is_signed

if TYPE_CHECKING:
    from simnet.world import World

__all__ = ["Certificates"]

_Statement = tuple[object, ...]
_BAD: Final = "certificate"


class Certificates:
    """What was said in a run, and the certificates that were found good.

    Attributes:
        committed: height -> block id, as good certificates commit them.
        height: the highest of these.
    """

    def __init__(self, world: "World") -> None:
        genesis = world.genesis
        self._world = world
        self._genesis = genesis
        self._quorum = QUORUM[len(genesis.validators)]
        self._keys = [validator.key for validator in genesis.validators]
        self._said: dict[_Statement, bytes] = {}
        self._choices: dict[tuple[int, int], tuple[bytes, Commit | None]] = {}
        self._good: set[object] = set()
        self._certified: dict[int, tuple[bytes, Commit | None]] = {}
        self.committed: dict[int, bytes] = {0: genesis.block_id}
        self.height = 0

    # --- statements -------------------------------------------------------------------------

    def say_vote(self, vote: Vote) -> None:
        """Note an honest member's vote."""
        self._choose(vote.signer, vote.round, vote.block_id, vote.commit)
        message = self._vote_message(vote)
        statement = ("vote", vote.signer, vote.round, vote.block_id, vote.commit)
        self._say(statement, vote.signer, message, vote.signature)

    def say_timeout(self, timeout: Timeout) -> None:
        """Note an honest member's timeout."""
        message = self._timeout_message(timeout.round, timeout.high_qc.round)
        statement = ("timeout", timeout.signer, timeout.round, timeout.high_qc.round)
        self._say(statement, timeout.signer, message, timeout.signature)

    def say_ack(self, signer: int, batch: bytes, signature: bytes) -> None:
        """Note an honest member's acknowledgement."""
        statement = ("ack", signer, batch)
        if self._said.get(statement) != signature:
            self._say(statement, signer, ack_message(self._genesis.hash, 0, batch), signature)

    def require_signed(self, signer: int, message: bytes, signature: bytes) -> None:
        """Require that an honest member's signature is of this message."""
        valid = is_signed(self._keys[signer], message, signature)
        require(valid, "signature", f"{signer} signed something else than it says")

    def _choose(self, signer: int, round_: int, block: bytes, commit: Commit | None) -> None:
        first = self._choices.setdefault((signer, round_), (block, commit))
        require(first == (block, commit), "double vote", f"{signer} in round {round_}")

    def _say(self, statement: _Statement, signer: int, message: bytes, signature: bytes) -> None:
        self.require_signed(signer, message, signature)
        self._said[statement] = signature

    def _vote_message(self, vote: Vote | QuorumCertificate) -> bytes:
        hash_ = self._genesis.hash
        return vote_message(hash_, vote.epoch, vote.round, vote.block_id, vote.commit)

    def _timeout_message(self, round_: int, qc_round: int) -> bytes:
        return timeout_message(self._genesis.hash, 0, round_, qc_round)

    # --- certificates -----------------------------------------------------------------------

    def check_qc(self, qc: QuorumCertificate, holder: int) -> None:
        """Judge a quorum certificate that an honest member holds, sends or stores."""
        if qc in self._good:
            return
        if qc.round == 0:
            is_first = qc.block_id == self._genesis.block_id and qc.commit is None
            require(is_first and not qc.signatures, _BAD, "a false genesis certificate")
            self._good.add(qc)
            return
        require(qc.epoch == 0, _BAD, "of another epoch")
        self._check_signers([signer for signer, _ in qc.signatures])
        for signer, signature in qc.signatures:
            statement = ("vote", signer, qc.round, qc.block_id, qc.commit)
            if self._is_unknown(statement, signature, holder):
                self._verify(signer, self._vote_message(qc), signature)
                if signer == holder:
                    self._choose(signer, qc.round, qc.block_id, qc.commit)
                    self._said[statement] = signature
        self._note_certified(qc)
        self._good.add(qc)

    def check_tc(self, tc: TimeoutCertificate | None, holder: int) -> None:
        """Judge a timeout certificate."""
        if tc is None or tc in self._good:
            return
        self._check_signers([entry.signer for entry in tc.entries])
        highest = max(entry.qc_round for entry in tc.entries)
        consistent = tc.high_qc.round == highest < tc.round and tc.epoch == 0
        require(consistent, _BAD, f"timeout certificate {tc.round} holds another than the highest")
        for entry in tc.entries:
            statement = ("timeout", entry.signer, tc.round, entry.qc_round)
            if self._is_unknown(statement, entry.signature, holder):
                message = self._timeout_message(tc.round, entry.qc_round)
                self._verify(entry.signer, message, entry.signature)
        self.check_qc(tc.high_qc, holder)
        self._good.add(tc)

    def check_batches(self, certificates: Iterable[BatchCertificate], holder: int) -> None:
        """Judge batch certificates."""
        for certificate in certificates:
            if certificate in self._good:
                continue
            id_ = certificate.batch_id
            self._check_signers([signer for signer, _ in certificate.signatures])
            for signer, signature in certificate.signatures:
                if self._is_unknown(("ack", signer, id_), signature, holder):
                    self._verify(signer, ack_message(self._genesis.hash, 0, id_), signature)
            self._good.add(certificate)

    def _check_signers(self, signers: list[int]) -> None:
        rising = all(a < b for a, b in pairwise(signers))
        known = not signers or 0 <= signers[0] <= signers[-1] < len(self._keys)
        require(rising and known, _BAD, f"signers {signers}")
        require(len(signers) >= self._quorum, _BAD, f"{signers} are no quorum")

    def _is_unknown(self, statement: _Statement, signature: bytes, holder: int) -> bool:
        """Look a signer's statement up; say whether only its signature can tell.

        So it is with faulty signers, and with what the holder itself signs in the present step:
        it puts that into certificates before anything leaves.
        """
        signer = statement[1]
        if self._said.get(statement) == signature:
            return False
        what = f"{signer} never said {statement[0]} {statement[2]!r}"
        require(signer in self._world.faulty or signer == holder, _BAD, what)
        return True

    def _verify(self, signer: int, message: bytes, signature: bytes) -> None:
        valid = is_signed(self._keys[signer], message, signature)
        require(valid, _BAD, f"the signature of {signer} is false")

    def _note_certified(self, qc: QuorumCertificate) -> None:
        choice = (qc.block_id, qc.commit)
        first = self._certified.setdefault(qc.round, choice)
        require(first == choice, "agreement", f"two certificates in round {qc.round}")
        if qc.commit is not None:
            height, id_ = qc.commit.height, qc.commit.block_id
            final = self.committed.setdefault(height, id_)
            require(final == id_, "agreement", f"two final blocks at height {height}")
            self.height = max(self.height, height)
