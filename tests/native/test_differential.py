"""A million signatures, good, bent and foreign, get the oracle's verdicts on every path."""

import random

import pytest

from ledger.native import ed25519
from tests.native.signatures import bent, honest, oracle

CASES = 1_000_000
LISTS_CASES = 2_000  # of each generated list
SIZES = (1, 5, 8, 16, 17, 64, 150, 400, 2_000)
ORACLE_SHARE = 20  # one in so many cases is bent, and asked of the oracle


@pytest.mark.slow
def test_a_million_cases() -> None:
    """Lists of all sizes, with few or many bad signatures, agree case by case."""
    generator = random.Random(3)
    pool = honest(2_000, 50)
    assert all(map(oracle, pool))
    paths = ed25519.implementations()
    for done in range(0, CASES, LISTS_CASES):
        checks = [generator.choice(pool) for _ in range(LISTS_CASES)]
        expected = [True] * LISTS_CASES
        share = generator.choice([1, 2, ORACLE_SHARE, ORACLE_SHARE, ORACLE_SHARE, 10**4])
        for i in range(LISTS_CASES):
            if generator.randrange(share) == 0:
                checks[i] = bent(checks[i], generator)
                expected[i] = oracle(checks[i])
        path = paths[done // LISTS_CASES % len(paths)]
        size = generator.choice(SIZES)
        for start in range(0, LISTS_CASES, size):
            part = slice(start, start + size)
            verdicts = ed25519.verify_many(checks[part], implementation=path)
            assert verdicts == expected[part], (done, start)
            if generator.randrange(4) == 0:
                each = ed25519.verify_each(checks[part], implementation=path)
                assert each == expected[part], (done, start)
