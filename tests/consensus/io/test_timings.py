"""The histogram behind the metrics of slow things."""

from consensus.io.timings import Timings


def test_what_is_at_a_step_belongs_to_it() -> None:
    """Buckets are cumulative and include their upper bound; the rest is in the last one."""
    timings = Timings((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        timings.observe(seconds)
    assert timings.buckets() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert (timings.count, round(timings.total_s, 6)) == (4, 7.65)


def test_nothing_observed() -> None:
    """Without an observation all buckets are there and empty."""
    timings = Timings((0.5,))
    assert timings.buckets() == [("0.5", 0.0), ("+Inf", 0.0)]
    assert timings.count == 0
