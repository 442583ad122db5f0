"""What the records of a block sum up to: per buyer, product, metric and unit.

Owns the arithmetic that the seller and an auditor both do. A correction counts as what it says now
less what the corrected record said, so that the sum over all blocks is that of the newest
versions. Every record counts in at least one total: of a buyer's totals none can be left out
unnoticed.
"""

from typing import NamedTuple

from adapters.tmf.usage.amounts import ZERO, format_amount
from adapters.tmf.usage.block import Total
from adapters.tmf.usage.leaves import TotalKey, opening_of, reference_of
from adapters.tmf.usage.record import UsageRecord

__all__ = ["Sum", "Totals"]


class Sum(NamedTuple):
    """One total before it is hidden; ``amount`` is in the smallest parts."""

    amount: int
    records: int


class Totals:
    """The sums of the records that were added so far."""

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums: dict[TotalKey, Sum] = {}

    def add(self, record: UsageRecord, corrected: UsageRecord | None = None) -> None:
        """Count one record, which may correct another."""
        counted: set[TotalKey] = set()
        for key, amount in _counts(record):
            self._change(key, amount, 0 if key in counted else 1)
            counted.add(key)
        if corrected is not None:
            for key, amount in _counts(corrected):
                self._change(key, -amount, 0)

    def hidden(self, secret: bytes) -> tuple[Total, ...]:
        """Give the totals as they stand in the block of this secret."""
        totals = [
            Total(
                reference_of(opening_of(secret, key)),
                key.unit,
                format_amount(sum_.amount),
                sum_.records,
            )
            for key, sum_ in self.sums.items()
        ]
        return tuple(sorted(totals, key=lambda total: total.reference))

    def _change(self, key: TotalKey, amount: int, records: int) -> None:
        before = self.sums.get(key)
        if before is None:
            self.sums[key] = Sum(amount, records)
        else:
            self.sums[key] = Sum(before.amount + amount, before.records + records)


def _counts(record: UsageRecord) -> list[tuple[TotalKey, int]]:
    buyer, product = record.buyer, record.product
    if not record.measures:
        return [(TotalKey(buyer, product, "", ""), ZERO)]
    return [
        (TotalKey(buyer, product, metric, unit), amount) for metric, unit, amount in record.measures
    ]
