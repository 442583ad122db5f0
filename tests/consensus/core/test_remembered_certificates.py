"""What is remembered about certificates: exactly those that were found valid, in one domain."""

import msgspec
import pytest

from consensus.core.verification import RememberingDomain
from ledger.core.certificate import QuorumCertificate, TimeoutCertificate
from ledger.core.errors import PeerFault
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.limits import VERIFIED_CERTIFICATES_MAX
from tests.consensus.core.bench import Bench
from tests.ledger.sample_network import GENESIS, certificate_of

GOOD = certificate_of(BlockId(bytes(32)), Height(3))
assert GOOD.commit is not None
OTHERS: dict[str, dict[str, object]] = {
    "epoch": {"epoch": Epoch(1)},
    "round": {"round": Round(9)},
    "block": {"block_id": BlockId(bytes([8]) * 32)},
    "commit": {"commit": None},
    "next set": {"commit": msgspec.structs.replace(GOOD.commit, next_set_hash=bytes(32))},
    "fewer": {"signatures": GOOD.signatures[:2]},
    "signature": {"signatures": ((NodeIndex(0), bytes(64)), *GOOD.signatures[1:])},
}


def domain(genesis_hash: bytes = GENESIS.hash, epoch: int = 0) -> RememberingDomain:
    """Give a domain that remembers nothing yet."""
    return RememberingDomain(genesis_hash, Epoch(epoch), GENESIS.validator_set())


def certificate(name: str) -> QuorumCertificate:
    """Give a certificate that differs from a good one in one thing."""
    return msgspec.structs.replace(GOOD, **OTHERS[name])


@pytest.mark.parametrize("name", OTHERS)
def test_a_remembered_certificate_vouches_for_no_other(name: str) -> None:
    """Whatever differs from it is verified, refused, and not remembered."""
    here = domain()
    GOOD.verify(here)
    assert here.has_verified(GOOD)
    for _ in range(2):
        with pytest.raises(PeerFault):
            certificate(name).verify(here)
    assert not here.has_verified(certificate(name))


def test_another_network_or_epoch_remembers_nothing() -> None:
    """What one domain found valid is refused by another one."""
    GOOD.verify(domain())
    for other in (domain(bytes(32)), domain(epoch=1)):
        with pytest.raises(PeerFault):
            GOOD.verify(other)


def test_the_oldest_certificates_are_forgotten() -> None:
    """No more are kept than the limit says, and the newest ones stay."""
    here = domain()
    made = [
        msgspec.structs.replace(GOOD, round=Round(n)) for n in range(VERIFIED_CERTIFICATES_MAX + 2)
    ]
    for item in made:
        here.note_verified(item)
    assert [here.has_verified(item) for item in made] == [
        False,
        False,
        *[True] * VERIFIED_CERTIFICATES_MAX,
    ]


def _require(bench: Bench, here: RememberingDomain, tc: TimeoutCertificate) -> int:
    """Require a timeout certificate; give how many certificates inside were looked at."""
    seen: list[QuorumCertificate] = []
    here.require_timeout_certificate(tc, seen.append)
    assert seen in ([], [bench.genesis_qc])
    return len(seen)


def test_a_timeout_certificate_is_verified_once() -> None:
    """The same one again is known to be valid, and so is what is inside it."""
    bench, here = Bench(), domain()
    here.genesis_hash, here.validators = bench.domain.genesis_hash, bench.domain.validators
    assert [_require(bench, here, bench.tc(7)) for _ in range(3)] == [1, 0, 0]


def test_a_remembered_timeout_certificate_vouches_for_no_other() -> None:
    """Whatever differs from it is verified, refused, and not remembered."""
    bench, here = Bench(), domain()
    here.genesis_hash, here.validators = bench.domain.genesis_hash, bench.domain.validators
    good = bench.tc(7)
    _require(bench, here, good)
    forged = msgspec.structs.replace(good.entries[0], signature=bytes(64))
    changes: tuple[dict[str, object], ...] = (
        {"epoch": Epoch(1)},
        {"round": Round(8)},
        {"entries": good.entries[1:]},
        {"entries": (forged, *good.entries[1:])},
        {"high_qc": GOOD},
    )
    for change in changes * 2:
        with pytest.raises(PeerFault):
            _require(bench, here, msgspec.structs.replace(good, **change))


def test_the_oldest_timeout_certificates_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more are kept than the limit says, and the newest ones stay."""
    looked: list[Round] = []
    monkeypatch.setattr(
        TimeoutCertificate, "verify", lambda self, *_rest: looked.append(self.round)
    )
    bench, here = Bench(), domain()
    made = [
        msgspec.structs.replace(bench.tc(7), round=Round(n))
        for n in range(VERIFIED_CERTIFICATES_MAX + 1)
    ]
    for item in (*made, *made[1:], made[0]):
        here.require_timeout_certificate(item, lambda _qc: None)
    assert looked == [*range(VERIFIED_CERTIFICATES_MAX + 1), 0]
