"""Collecting votes and timeouts into certificates. Bounded: one slot per author and round."""

import msgspec

from consensus.core.verification import RememberingDomain
from ledger.core.certificate import (
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    TimeoutEntry,
    Vote,
)
from ledger.core.ids import NodeIndex, Round
from ledger.core.limits import VOTES_BEHIND_ROUNDS
from ledger.core.signing import SignatureCheck

__all__ = ["Collected", "TimeoutCollector", "VoteCollector"]


class Collected(msgspec.Struct, frozen=True):
    """What adding one vote brought.

    Attributes:
        certificate: formed by this vote, or None.
        forgers: authors whose signature turned out to be invalid.
        contradicted: an earlier vote of the same author in the same round for something else.
    """

    certificate: QuorumCertificate | None = None
    forgers: tuple[NodeIndex, ...] = ()
    contradicted: Vote | None = None


class _RoundVotes:
    __slots__ = ("certified", "slots")

    def __init__(self) -> None:
        self.slots: dict[NodeIndex, Vote] = {}
        self.certified = False


_NOTHING = Collected()


def _are_alike(one: Vote, other: Vote) -> bool:
    """Say whether two votes of a round are for the same."""
    return one.block_id == other.block_id and one.commit == other.commit


class VoteCollector:
    """Votes of the last few rounds and the next one.

    Late votes may still form the certificate of a round that timed out, and show contradictions.
    A vote counts for its author's first choice in the round only. Signatures are verified when a
    quorum is there, in one call; a forged one loses its slot.
    """

    def __init__(self, domain: RememberingDomain) -> None:
        self._domain = domain
        self._quorum = domain.validators.quorum
        self._rounds: dict[Round, _RoundVotes] = {}

    def add(self, vote: Vote) -> Collected:
        """Add a vote that came from its signer's own connection (or is this node's own)."""
        votes = self._rounds.get(vote.round)
        if votes is None:
            votes = self._rounds[vote.round] = _RoundVotes()
        first = votes.slots.get(vote.signer)
        if first is not None:
            return _NOTHING if _are_alike(first, vote) else Collected(contradicted=first)
        votes.slots[vote.signer] = vote
        if votes.certified or len(votes.slots) < self._quorum:
            return _NOTHING
        return self._certify(votes, vote)

    def _certify(self, votes: _RoundVotes, vote: Vote) -> Collected:
        """Make the certificate of what ``vote`` is for, if a quorum of valid votes is for it."""
        slots = votes.slots
        supporters = [v for v in slots.values() if _are_alike(v, vote)]
        if len(supporters) < self._quorum:
            return _NOTHING
        verdicts = self._domain.verdicts(self._checks(supporters))
        forgers = tuple([v.signer for v, ok in zip(supporters, verdicts, strict=True) if not ok])
        for forger in forgers:
            del slots[forger]
        valid = [v for v in supporters if v.signer in slots] if forgers else supporters
        if len(valid) < self._quorum:
            return Collected(forgers=forgers)
        votes.certified = True
        rows = tuple(sorted([(v.signer, v.signature) for v in valid]))
        certificate = QuorumCertificate(vote.epoch, vote.round, vote.block_id, vote.commit, rows)
        self._domain.note_verified(certificate)
        return Collected(certificate=certificate, forgers=forgers)

    def _checks(self, votes: list[Vote]) -> list[SignatureCheck]:
        """Give the signature checks of votes for the same: what they sign is made only once."""
        _, message, _ = votes[0].check(self._domain)
        checks: list[SignatureCheck] = []
        for vote in votes:
            key = self._domain.validators.key(vote.signer)
            assert key is not None, "a vote is taken from a validator's own connection only"
            checks.append((key, message, vote.signature))
        return checks

    @staticmethod
    def is_open(round_: Round, current: Round) -> bool:
        """Say whether votes of ``round_`` are collected while ``current`` is the round."""
        return current - VOTES_BEHIND_ROUNDS <= round_ <= current + 1

    def enter(self, current: Round) -> None:
        """Forget the rounds that are too old."""
        for round_ in [r for r in self._rounds if not self.is_open(r, current)]:
            del self._rounds[round_]


class TimeoutCollector:
    """Timeouts of the current round. Each was verified, certificates included, when it came."""

    def __init__(self, domain: RememberingDomain) -> None:
        self._domain = domain
        self._round = Round(0)
        self._slots: dict[NodeIndex, Timeout] = {}

    def enter(self, round_: Round) -> None:
        """Forget everything before ``round_``."""
        self._round = round_
        self._slots = {}

    @property
    def count(self) -> int:
        """Number of validators that gave up the current round."""
        return len(self._slots)

    def add(self, timeout: Timeout) -> TimeoutCertificate | None:
        """Add a verified timeout of the current round; give the certificate when it is formed.

        The certificate is given once, and carries the highest of all certificates reported.
        """
        if timeout.round != self._round or timeout.signer in self._slots:
            return None
        self._slots[timeout.signer] = timeout
        if len(self._slots) != self._domain.validators.quorum:
            return None
        timeouts = [self._slots[signer] for signer in sorted(self._slots)]
        entries = tuple(TimeoutEntry(t.signer, t.high_qc.round, t.signature) for t in timeouts)
        high_qc = max((t.high_qc for t in timeouts), key=lambda qc: qc.round)
        return TimeoutCertificate(timeout.epoch, timeout.round, entries, high_qc)
