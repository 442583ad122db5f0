"""Votes, timeouts, acknowledgements and certificates: who signed what, and nothing else.

Certificates are accepted exactly when a quorum of distinct members, in rising order, signed the
same statement for this network and epoch, every one of the signatures being valid.
"""

from collections.abc import Callable
from hashlib import sha256
from itertools import combinations

import msgspec
import pytest

from ledger.core.certificate import (
    Ack,
    BatchCertificate,
    Commit,
    Domain,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    TimeoutEntry,
    Vote,
    genesis_certificate,
)
from ledger.core.codec import encode
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.signing import SignatureCheck, verify_many
from ledger.core.validators import ValidatorSet
from tests.ledger.sample_network import DOMAIN, GENESIS, STRANGER, VALIDATORS, network

BLOCK = BlockId(bytes([5]) * 32)
BATCH = BatchId(bytes([5]) * 32)
COMMIT = Commit(BlockId(bytes([6]) * 32), Height(7), None)
OTHER_NETWORK = Domain(network("other").hash, Epoch(0), GENESIS.validator_set())
OTHER_EPOCH = Domain(GENESIS.hash, Epoch(1), GENESIS.validator_set())

Rows = tuple[tuple[NodeIndex, bytes], ...]
Statement = Vote | Timeout | Ack


def votes(signers: tuple[int, ...], domain: Domain = DOMAIN) -> Rows:
    """Give the signature rows of these validators' votes."""
    made = [Vote.make(domain, Round(8), BLOCK, COMMIT, VALIDATORS[i]) for i in signers]
    return tuple((vote.signer, vote.signature) for vote in made)


def acks(signers: tuple[int, ...], domain: Domain = DOMAIN) -> Rows:
    """Give the signature rows of these validators' acknowledgements."""
    made = [Ack.make(domain, BATCH, VALIDATORS[i]) for i in signers]
    return tuple((ack.signer, ack.signature) for ack in made)


def quorum_certificate(rows: Rows) -> QuorumCertificate:
    """Give a quorum certificate with these rows."""
    return QuorumCertificate(Epoch(0), Round(8), BLOCK, COMMIT, rows)


def batch_certificate(rows: Rows) -> BatchCertificate:
    """Give a batch certificate with these rows."""
    return BatchCertificate(Epoch(0), BATCH, rows)


HIGH = quorum_certificate(votes((0, 1, 2)))


def timeout_certificate(
    signers: tuple[int, ...],
    *,
    domain: Domain = DOMAIN,
    reported: tuple[int, ...] = (8, 8, 8, 8),
    high: QuorumCertificate = HIGH,
) -> TimeoutCertificate:
    """Give a certificate of round 9 by these validators, who report these rounds."""
    entries = []
    for signer, qc_round in zip(signers, reported, strict=False):
        qc = msgspec.structs.replace(HIGH, round=Round(qc_round))
        made = Timeout.make(domain, Round(9), qc, None, VALIDATORS[signer])
        entries.append(TimeoutEntry(made.signer, Round(qc_round), made.signature))
    return TimeoutCertificate(Epoch(0), Round(9), tuple(entries), high)


def verify_timeouts(certificate: TimeoutCertificate, domain: Domain = DOMAIN) -> None:
    """Verify a timeout certificate and the certificate inside."""
    certificate.verify(domain, lambda qc: qc.verify(domain))


CERTIFICATES: list[tuple[Callable[[Rows], QuorumCertificate | BatchCertificate], object]] = [
    (quorum_certificate, votes),
    (batch_certificate, acks),
]
both = pytest.mark.parametrize(("make", "sign"), CERTIFICATES, ids=["quorum", "batch"])
Make = Callable[[Rows], QuorumCertificate | BatchCertificate]
Sign = Callable[..., Rows]


@both
def test_quorums_are_accepted(make: Make, sign: Sign) -> None:
    """Any three of four signatures make a certificate, and so do all four."""
    for signers in [*combinations(range(4), 3), (0, 1, 2, 3)]:
        make(sign(signers)).verify(DOMAIN)


@both
def test_fewer_than_a_quorum_are_refused(make: Make, sign: Sign) -> None:
    """No two, one or zero signatures are enough."""
    for size in (0, 1, 2):
        for signers in combinations(range(4), size):
            with pytest.raises(PeerFault, match="no quorum"):
                make(sign(signers)).verify(DOMAIN)


@both
@pytest.mark.parametrize(
    "signers", [(0, 0, 1), (0, 1, 1), (1, 0, 2), (0, 2, 1), (3, 2, 1), (0,) * 4]
)
def test_signers_are_distinct_and_rising(make: Make, sign: Sign, signers: tuple[int, ...]) -> None:
    """A repeated signer, or signers out of order, are refused although each signature is valid."""
    with pytest.raises(PeerFault, match="known and in order"):
        make(sign(signers)).verify(DOMAIN)


@both
def test_unknown_signer_is_refused(make: Make, sign: Sign) -> None:
    """A signer that the set does not have makes the certificate invalid, beyond a quorum too."""
    rows = sign((0, 1, 2))
    with pytest.raises(PeerFault, match="known and in order"):
        make((*rows, (NodeIndex(4), rows[0][1]))).verify(DOMAIN)


@both
@pytest.mark.parametrize("place", range(4))
def test_every_signature_is_verified(make: Make, sign: Sign, place: int) -> None:
    """One wrong signature spoils a certificate, also when a quorum of right ones is left."""
    rows = list(sign((0, 1, 2, 3)))
    rows[place] = (rows[place][0], rows[place][1][:-1] + bytes([rows[place][1][-1] ^ 1]))
    with pytest.raises(PeerFault) as caught:
        make(tuple(rows)).verify(DOMAIN)
    assert caught.value.offence is Offence.BAD_SIGNATURE


@both
def test_signature_under_another_index_is_refused(make: Make, sign: Sign) -> None:
    """A right signature counts for its own signer only."""
    rows = sign((0, 1, 2))
    moved = (rows[0], rows[1], (NodeIndex(3), rows[2][1]))
    with pytest.raises(PeerFault, match="bad_signature"):
        make(moved).verify(DOMAIN)


@both
@pytest.mark.parametrize("domain", [OTHER_NETWORK, OTHER_EPOCH], ids=["network", "epoch"])
def test_signatures_of_another_domain_are_refused(make: Make, sign: Sign, domain: Domain) -> None:
    """Signatures of another network or epoch prove nothing here, whatever epoch is claimed."""
    with pytest.raises(PeerFault, match="bad_signature"):
        make(sign((0, 1, 2), domain)).verify(DOMAIN)
    with pytest.raises(PeerFault):
        make(sign((0, 1, 2))).verify(domain)


@both
def test_claimed_epoch_must_be_the_domains(make: Make, sign: Sign) -> None:
    """A certificate that names another epoch is refused before its signatures are looked at."""
    certificate = msgspec.structs.replace(make(sign((0, 1, 2))), epoch=Epoch(1))
    with pytest.raises(PeerFault, match="epoch 1, expected 0"):
        certificate.verify(DOMAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"round": Round(9)},
        {"block_id": BlockId(bytes(32))},
        {"commit": None},
        {"commit": Commit(COMMIT.block_id, Height(8), None)},
        {"commit": Commit(BlockId(bytes(32)), Height(7), None)},
        {"commit": Commit(COMMIT.block_id, Height(7), bytes(32))},
    ],
)
def test_quorum_certificate_proves_what_was_signed(change: dict[str, object]) -> None:
    """Each field of a quorum certificate is under the signatures."""
    changed = msgspec.structs.replace(HIGH, **change)
    with pytest.raises(PeerFault, match="bad_signature"):
        changed.verify(DOMAIN)


def test_batch_certificate_proves_its_batch() -> None:
    """Acknowledgements of one batch prove nothing about another."""
    changed = BatchCertificate(Epoch(0), BatchId(bytes(32)), acks((0, 1, 2)))
    with pytest.raises(PeerFault, match="bad_signature"):
        changed.verify(DOMAIN)


def test_genesis_certificate_has_no_signature() -> None:
    """The certificate of genesis is valid by definition only, never by verification."""
    certificate = genesis_certificate(GENESIS.block_id)
    assert (certificate.epoch, certificate.round, certificate.signatures) == (0, 0, ())
    with pytest.raises(PeerFault, match="no quorum"):
        certificate.verify(DOMAIN)


def test_timeout_certificate_is_accepted() -> None:
    """A quorum of timeouts with the highest certificate that they report is valid."""
    verify_timeouts(timeout_certificate((0, 1, 2)))
    mixed = timeout_certificate((0, 2, 3), reported=(3, 8, 0))
    assert mixed.qc_round_max == 8
    verify_timeouts(mixed)


def test_timeout_certificate_carries_the_highest_reported() -> None:
    """A certificate inside that is lower or higher than the highest reported is refused."""
    with pytest.raises(PeerFault, match="not the highest"):
        verify_timeouts(timeout_certificate((0, 1, 2), reported=(7, 7, 7)))
    low = msgspec.structs.replace(HIGH, round=Round(7))
    with pytest.raises(PeerFault, match="not the highest"):
        verify_timeouts(timeout_certificate((0, 1, 2), reported=(7, 8, 7), high=low))


def test_timeout_certificate_is_of_a_later_round() -> None:
    """The certificate inside is of a round before the one that was given up."""
    high = msgspec.structs.replace(HIGH, round=Round(9))
    with pytest.raises(PeerFault, match="not the highest"):
        verify_timeouts(timeout_certificate((0, 1, 2), reported=(9, 9, 9), high=high))


def test_reported_round_is_signed() -> None:
    """A signer's report cannot be changed to make another certificate the highest."""
    certificate = timeout_certificate((0, 1, 2), reported=(8, 8, 3))
    entries = (
        *certificate.entries[:2],
        msgspec.structs.replace(certificate.entries[2], qc_round=4),
    )
    with pytest.raises(PeerFault, match="bad_signature"):
        verify_timeouts(msgspec.structs.replace(certificate, entries=entries))


@pytest.mark.parametrize("signers", [(), (0,), (0, 1), (0, 0, 1), (2, 1, 0)])
def test_timeout_certificate_needs_a_rising_quorum(signers: tuple[int, ...]) -> None:
    """Too few, repeated or unordered signers are refused."""
    with pytest.raises(PeerFault) as caught:
        verify_timeouts(timeout_certificate(signers))
    assert caught.value.offence is Offence.BAD_CERTIFICATE


def test_timeout_certificate_of_another_domain_is_refused() -> None:
    """Timeouts of another network or epoch are none here."""
    for domain in (OTHER_NETWORK, OTHER_EPOCH):
        with pytest.raises(PeerFault, match="bad_signature"):
            verify_timeouts(timeout_certificate((0, 1, 2), domain=domain))


def test_certificate_inside_is_verified() -> None:
    """A timeout certificate with an invalid certificate inside is refused."""
    forged = msgspec.structs.replace(HIGH, block_id=BlockId(bytes(32)))
    with pytest.raises(PeerFault, match="bad_signature"):
        verify_timeouts(timeout_certificate((0, 1, 2), high=forged))


STATEMENTS: list[Statement] = [
    Vote.make(DOMAIN, Round(8), BLOCK, COMMIT, VALIDATORS[1]),
    Timeout.make(DOMAIN, Round(9), HIGH, None, VALIDATORS[1]),
    Ack.make(DOMAIN, BATCH, VALIDATORS[1]),
]
every_statement = pytest.mark.parametrize(
    "statement", STATEMENTS, ids=lambda item: type(item).__name__
)


def is_signed(check: SignatureCheck) -> bool:
    """Verify one signature."""
    return verify_many([check]) == [True]


@every_statement
def test_statement_is_signed_by_its_signer(statement: Statement) -> None:
    """What a validator made carries its index and a signature that verifies with its key."""
    assert statement.signer == 1
    key, _, signature = statement.check(DOMAIN)
    assert key == VALIDATORS[1].public_key
    assert signature == statement.signature
    assert is_signed(statement.check(DOMAIN))


@every_statement
def test_statement_of_another_signer_does_not_verify(statement: Statement) -> None:
    """The claim that somebody else signed is refuted by the key."""
    claimed = msgspec.structs.replace(statement, signer=NodeIndex(2))
    assert not is_signed(claimed.check(DOMAIN))


@every_statement
def test_statement_belongs_to_its_domain(statement: Statement) -> None:
    """A statement of another epoch is refused, one of another network does not verify."""
    with pytest.raises(PeerFault, match="epoch 0, expected 1"):
        statement.check(OTHER_EPOCH)
    assert not is_signed(msgspec.structs.replace(statement, epoch=Epoch(1)).check(OTHER_EPOCH))
    assert not is_signed(statement.check(OTHER_NETWORK))


@every_statement
def test_statement_of_no_validator_is_refused(statement: Statement) -> None:
    """An index that the set does not have is refused."""
    with pytest.raises(PeerFault, match="no validator has index 4"):
        msgspec.structs.replace(statement, signer=NodeIndex(4)).check(DOMAIN)


def test_stranger_cannot_make_a_statement() -> None:
    """Who is no validator of the domain cannot sign in it."""
    for make in (
        lambda: Vote.make(DOMAIN, Round(1), BLOCK, None, STRANGER),
        lambda: Timeout.make(DOMAIN, Round(9), HIGH, None, STRANGER),
        lambda: Ack.make(DOMAIN, BATCH, STRANGER),
    ):
        with pytest.raises(ValueError, match="no validator"):
            make()


def test_no_signature_serves_for_another_statement() -> None:
    """A signature of one kind never verifies as one of another, even over the same digest."""
    checks = [statement.check(DOMAIN) for statement in STATEMENTS]
    for place, (key, message, _) in enumerate(checks):
        for other, (_, _, signature) in enumerate(checks):
            assert is_signed((key, message, signature)) == (place == other)
    prefixes = {message.split(b"\0")[0] for _, message, _ in checks}
    assert prefixes == {b"concordat/v1/vote", b"concordat/v1/timeout", b"concordat/v1/ack"}


@pytest.mark.parametrize(
    ("statement", "change"),
    [
        (STATEMENTS[0], {"round": Round(9)}),
        (STATEMENTS[0], {"block_id": BlockId(bytes(32))}),
        (STATEMENTS[0], {"commit": None}),
        (STATEMENTS[1], {"round": Round(10)}),
        (STATEMENTS[1], {"high_qc": msgspec.structs.replace(HIGH, round=Round(7))}),
        (STATEMENTS[2], {"batch_id": BatchId(bytes(32))}),
    ],
)
def test_every_claim_is_signed(statement: Statement, change: dict[str, object]) -> None:
    """What a statement claims cannot be changed under its signature."""
    assert not is_signed(msgspec.structs.replace(statement, **change).check(DOMAIN))


@pytest.mark.parametrize("count", range(1, 101))
def test_quorum_arithmetic(count: int) -> None:
    """Two quorums share more than f members, and the n - f honest ones alone are a quorum."""
    member = GENESIS.validators[0]
    members = tuple(
        msgspec.structs.replace(
            member, name=f"n{i}", key=i.to_bytes(32, "big"), peer_key=(i + 500).to_bytes(32, "big")
        )
        for i in range(count)
    )
    validators = ValidatorSet(members)
    faulty = validators.faulty_max
    assert faulty == (count - 1) // 3
    assert 2 * validators.quorum - count > faulty
    assert 2 * (validators.quorum - 1) - count <= faulty
    assert count - faulty >= validators.quorum


def test_version_1_is_pinned() -> None:
    """Known statements have the messages and the bytes that version 1 fixed."""
    found = []
    for statement in STATEMENTS:
        message = statement.check(DOMAIN)[1]
        kind, digest = message[:-33], message[-32:]
        found.append((kind, digest.hex(), sha256(encode(statement)).hexdigest()))
    assert found == [
        (
            b"concordat/v1/vote",
            "8c9b357016706d82072ab4773a1bb877a54dd67c264d4161caaa49513e0a7b6f",
            "e5455913c01e046b71fa2d23b1c067c60551ce1abcdd9eca67ca657fa3a5ca3d",
        ),
        (
            b"concordat/v1/timeout",
            "1a2d91a6b60b69f332230fa0fcba76290c681c0c13d89aa48e15bc309b9dc2a0",
            "f14071db9ee5ac2ed59b10f9ae364077c9b92f0c389ec919d368615727bfc578",
        ),
        (
            b"concordat/v1/ack",
            "ad4e048a0023df5a036f95b3cf38428bf3f0d2d3d18b75df14b4c9fa7748e5f2",
            "d56b2c9d89e56d40ff1ee8eccd6d7845c83e844923de757e1071be6109c6d8dc",
        ),
    ]
