"""Certificates: so many distinct, known signers in order, and every signature verified."""

from collections.abc import Callable

import msgspec
import pytest

from consensus.core.effects import Send
from consensus.core.messages import SyncInfo, TimeoutCertificateMessage, VoteMessage, decode_message
from consensus.core.safety import commit_of
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate, TimeoutCertificate, Vote
from ledger.core.codec import encode
from ledger.core.errors import DecodeError, Offence
from ledger.core.ids import Epoch, NodeIndex, Round
from tests.consensus.core.bench import Bench, faults_in

Change = Callable[[QuorumCertificate], QuorumCertificate]


def rows(**fields: object) -> Change:
    """Give a change of a certificate's fields."""
    return lambda qc: msgspec.structs.replace(qc, **fields)


BROKEN: dict[str, Change] = {
    "too few": lambda qc: rows(signatures=qc.signatures[:2])(qc),
    "one signer twice": lambda qc: rows(signatures=(qc.signatures[0],) * 3)(qc),
    "out of order": lambda qc: rows(signatures=qc.signatures[::-1])(qc),
    "an unknown signer": lambda qc: rows(
        signatures=(*qc.signatures[:2], (NodeIndex(7), qc.signatures[2][1]))
    )(qc),
    "a forged one beyond the quorum": lambda qc: rows(
        signatures=((NodeIndex(0), bytes(64)), *qc.signatures)
    )(qc),
    "another round": rows(round=Round(2)),
    "another commit": rows(commit=None),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_certificate_is_refused(kind: str) -> None:
    """A quorum certificate with one flaw is a fault and changes nothing."""
    bench = Bench()
    broken = BROKEN[kind](bench.qc(bench.block(1, None)))
    offences = {offence for _, offence in faults_in(bench.say(2, SyncInfo(broken, None)))}
    assert offences <= {Offence.BAD_CERTIFICATE, Offence.BAD_SIGNATURE}
    assert offences
    assert bench.round == 1


def test_a_certificate_of_another_epoch_counts_for_nothing() -> None:
    """A proof of a later epoch is passed over; inside one of this epoch it is a fault."""
    bench = Bench()
    foreign = rows(epoch=Epoch(1))(bench.qc(bench.block(1, None)))
    here = [Send(NodeIndex(2), SyncInfo(bench.genesis_qc, None))]
    assert bench.say(2, SyncInfo(foreign, None)) == here, "who spoke is told where this one is"
    assert bench.round == 1
    tc = msgspec.structs.replace(bench.tc(2, bench.qc(bench.block(1, None))), high_qc=foreign)
    effects = bench.say(2, TimeoutCertificateMessage(tc))
    assert faults_in(effects) == [(2, Offence.BAD_CERTIFICATE)]
    assert bench.round == 1


def broken_timeouts(bench: Bench) -> dict[str, TimeoutCertificate]:
    """Give timeout certificates with one flaw each."""
    first = bench.block(1, None)
    good = bench.tc(2, bench.qc(first))
    change = msgspec.structs.replace
    return {
        "too few": change(good, entries=good.entries[:2]),
        "nobody": change(good, entries=()),
        "one signer twice": change(good, entries=(good.entries[0],) * 3),
        "a lower certificate than reported": change(good, high_qc=bench.genesis_qc),
        "a certificate of its own round": bench.tc(1, bench.qc(first)),
        "a false report": change(
            good, entries=(change(good.entries[0], qc_round=Round(0)), *good.entries[1:])
        ),
        "another round": change(good, round=Round(3)),
        "a forged certificate inside": change(
            good, high_qc=change(good.high_qc, signatures=((NodeIndex(1), bytes(64)),) * 3)
        ),
    }


@pytest.mark.parametrize("kind", list(broken_timeouts(Bench())))
def test_a_broken_timeout_certificate_is_refused(kind: str) -> None:
    """The same for timeout certificates and the certificate that they carry."""
    bench = Bench()
    effects = bench.say(2, TimeoutCertificateMessage(broken_timeouts(bench)[kind]))
    assert [peer for peer, _ in faults_in(effects)] == [2]
    assert bench.round == 1


def test_missing_fields_are_refused() -> None:
    """A message that lacks a field, or has one more, is no message (nandatown#191)."""
    bench = Bench()
    vote = bench.vote(1, bench.block(1, None))
    fields = [getattr(vote, name) for name in Vote.__struct_fields__]
    assert decode_message(encode([2, fields])) == VoteMessage(vote)
    for wrong in ([2, fields[:-1]], [2, [*fields, 0]], [2], [2, fields, 0], [99, fields]):
        with pytest.raises(DecodeError):
            decode_message(encode(wrong))


def test_a_vote_commits_the_parent_of_the_round_before_only() -> None:
    """R-CONSECUTIVE as a table."""
    bench = Bench()
    first = bench.block(1, None)
    for round_, commits in ((2, True), (3, False), (4, False)):
        block: Block = bench.block(round_, first)
        commit = commit_of(block, first)
        assert (commit is not None) == commits
        assert commit is None or (commit.block_id, commit.height) == (block.parent_id, 1)
