"""Whether memory is bounded: a leak is found, noise and a warm-up are none."""

import os
import random

import pytest

from bench.machine.sampling import Sample, Sampler, memory_trends


def _samples(levels: list[float]) -> list[Sample]:
    return [Sample(2.0 * n, {"node": mib}, {}, {}, {}) for n, mib in enumerate(levels)]


def test_a_leak_is_found() -> None:
    """Two MiB a minute for ten minutes on top of 100 MiB: a line that anybody would see."""
    dice = random.Random(1)
    leak = [100 + 2.0 * n / 30 + dice.gauss(0, 3) for n in range(300)]
    (trend,) = memory_trends(_samples(leak), 60)
    assert trend.mib_per_minute == pytest.approx(2.0, rel=0.1)
    assert not trend.is_bounded


def test_noise_and_warming_up_are_no_leak() -> None:
    """Memory that doubles in the first minute and then goes up and down stays bounded."""
    dice = random.Random(2)
    levels = [50 + min(n, 30) * 50 / 30 + dice.gauss(0, 5) for n in range(300)]
    (trend,) = memory_trends(_samples(levels), 60)
    assert trend.is_bounded
    assert trend.median_mib == pytest.approx(100, abs=2)
    assert trend.peak_mib == max(levels[30:])
    (whole,) = memory_trends(_samples(levels[:60]), 0)
    assert not whole.is_bounded, "with the warm-up it looks like a leak"


def test_a_sampler_sees_memory_grow() -> None:
    """This process, before and after it takes 64 MiB."""
    sampler = Sampler({"me": os.getpid()}, 0.02, lambda: {"answer": 42.0})
    sampler.start()
    while len(sampler.samples) < 2:
        pass
    taken = bytearray(os.urandom(64 << 20))
    count = len(sampler.samples)
    while len(sampler.samples) < count + 2:
        pass
    samples = sampler.finish()
    assert samples[-1].own_mib["me"] - samples[0].own_mib["me"] > 60
    assert samples[0].extra == {"answer": 42.0}
    assert samples[-1].cpu_s["me"] >= samples[0].cpu_s["me"] > 0
    del taken
