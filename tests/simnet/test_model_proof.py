"""The proof of agreement closes, and needs each of its premises."""

import pytest

from ledger.core.limits import VALIDATORS_COUNT_MAX
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator, ValidatorSet
from simnet.model.proof import RULES, Obligation, obligations, prove, quorum_obligations
from simnet.model.theory import Members

PROOF_MS, REFUTATION_MS = 20_000, 300


def _unproved(wanted: list[Obligation], ms_max: int) -> list[str]:
    verdicts = [prove(obligation, ms_max) for obligation in wanted]
    return [f"{verdict.name}: {verdict.answer}" for verdict in verdicts if not verdict.is_proved]


@pytest.mark.parametrize("members", [None, Members(4, 1, 3), Members(7, 2, 5), Members(5, 1, 4)])
def test_agreement_is_proved(members: Members | None) -> None:
    """Agreement holds in every round, for any n with honest overlaps, and for fixed members."""
    assert not _unproved(list(obligations(members)), PROOF_MS)


def test_the_arithmetic_of_quorums_is_proved() -> None:
    """Two quorums share an honest validator and the honest ones are a quorum, for every n."""
    assert not _unproved(list(quorum_obligations()), PROOF_MS)


def test_validator_sets_compute_what_the_proof_assumes() -> None:
    """The f and Q of every possible validator set are those of the proved arithmetic."""
    keys = [SeedSigner(i.to_bytes(32, "big")).public_key for i in range(2 * VALIDATORS_COUNT_MAX)]
    for n in range(1, VALIDATORS_COUNT_MAX + 1):
        members = tuple(
            Validator(f"v{i}", f"did:elsi:V{i}", keys[2 * i], keys[2 * i + 1], "h:1")
            for i in range(n)
        )
        validators = ValidatorSet(members)
        f = (n - 1) // 3
        assert (validators.faulty_max, validators.quorum) == (f, (n + f + 2) // 2)


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_can_be_left_out(rule: str) -> None:
    """Without any single rule some obligation is not valid."""
    assert _unproved(list(obligations(without=rule)), REFUTATION_MS)


@pytest.mark.parametrize("members", [Members(4, 2, 3), Members(4, 1, 2), Members(7, 3, 5)])
def test_too_many_faulty_or_too_small_a_quorum_are_not_proved(members: Members) -> None:
    """With more than f faulty, or a smaller quorum, two blocks of a round may be certified."""
    failed = _unproved(list(obligations(members)), REFUTATION_MS)
    assert any(name.startswith("one certified block a round") for name in failed)


def test_a_forgotten_record_is_refuted() -> None:
    """The solver finds a state that a restart without the record leads out of the invariant."""
    wanted = obligations(Members(4, 1, 3), without="R-PERSIST")
    verdicts = [prove(o, PROOF_MS) for o in wanted if o.name.endswith("who gave up acted")]
    assert [verdict.answer for verdict in verdicts] == ["unsat", "unsat", "unsat", "sat"]
