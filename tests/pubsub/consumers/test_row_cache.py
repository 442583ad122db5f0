"""Rows that consumers share: bounded in number and bytes."""

import pytest

from ledger.core.ids import Height, Sequence
from pubsub.io.consumers import row_cache
from pubsub.io.consumers.row_cache import RowCache
from pubsub.io.feed import FeedRow
from tests.pubsub.gateway_world import sample


def rows(first: int, count: int) -> list[FeedRow]:
    """Give rows of equal size."""
    numbers = range(first, first + count)
    return [FeedRow(sample(1), Sequence(number), Height(1)) for number in numbers]


@pytest.mark.parametrize(("limit", "kept"), [(9, 9), (10, 10), (11, 10)])
def test_number_of_rows(monkeypatch: pytest.MonkeyPatch, limit: int, kept: int) -> None:
    """The oldest rows give way beyond the limit; the same row again changes nothing."""
    monkeypatch.setattr(row_cache, "CONSUMER_CACHE_EVENTS_MAX", limit)
    cache = RowCache()
    first, second = rows(0, 5), rows(5, 5)
    for _ in range(2):
        cache.add(first)
    cache.add(second)
    assert len(cache._rows) == kept
    assert cache.get(Sequence(9)) is second[4]
    assert cache.get(Sequence(4)) is first[4]
    assert (cache.get(Sequence(0)) is None) == (limit < 10)


def test_bytes_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows give way when their entries are too large together."""
    size = len(sample(1).entry)
    monkeypatch.setattr(row_cache, "CONSUMER_CACHE_BYTES_MAX", 3 * size)
    cache = RowCache()
    cache.add(rows(0, 4))
    assert sorted(cache._rows) == [1, 2, 3]
    assert cache._bytes == 3 * size
