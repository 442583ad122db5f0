"""A million entries and batches, good, nearly good and bad, get the codec's verdicts and fields."""

import random

import pytest

from tests.native.scan_cases import batch_case, entry_case
from tests.native.test_scan import SCANNERS, require_equal, require_equal_batches

CASES = 1_000_000
LIST_CASES = 500  # of one call
BATCH_SHARE = 8  # one call in so many is of batches


@pytest.mark.slow
def test_a_million_cases() -> None:
    """Every kernel agrees with the codec, case by case, and enough of the cases are good."""
    generator = random.Random(11)
    scanners = list(SCANNERS.values())
    good = batches_good = 0
    for done in range(0, CASES, LIST_CASES):
        scanner = scanners[done // LIST_CASES % len(scanners)]
        entries = [entry_case(generator) for _ in range(LIST_CASES)]
        good += require_equal(entries, scanner.scan_entries(entries))
        if generator.randrange(BATCH_SHARE) == 0:
            cuts = sorted(generator.sample(range(LIST_CASES + 1), 60))
            pieces = zip([0, *cuts], [*cuts, LIST_CASES], strict=True)
            batches = [batch_case(generator, entries[start:end]) for start, end in pieces]
            batches_good += require_equal_batches(batches, scanner.scan_batches(batches))
    assert good > CASES // 10
    assert batches_good > CASES // LIST_CASES // BATCH_SHARE
