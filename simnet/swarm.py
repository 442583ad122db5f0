"""Swarm: what kind of run a seed stands for.

Every kind of trouble is left out of most seeds, so that those which are there meet undisturbed:
a run with a little of everything reaches the same few states again and again. Where a trouble is
present its strength is drawn heavy-tailed. At most f members are faulty, lost records included.
"""

from typing import Final

import msgspec

from simnet.catalogue import ACTORS, TWIN
from simnet.choices import Draw
from simnet.scenario import Scenario, Weather

__all__ = ["core_scenario", "full_scenario"]

_SIZES: Final = (4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 7)
_TWIN: Final = 350_000  # of seeds: twins raised the yield of deep bugs 28 times
_OTHER_ACTOR: Final = 350_000  # of the seeds without a twin
_SECOND_ACTOR: Final = 400_000  # of the seeds with one, where f allows two


def core_scenario(seed: int) -> Scenario:
    """Give the core-only run of a seed."""
    draw = Draw(seed, "swarm core")
    validators = _SIZES[draw.below(len(_SIZES))]
    actors = _actors(seed, validators)
    weather = _core_weather(seed, spare=len(actors) < (validators - 1) // 3)
    return Scenario(
        seed=seed,
        validators=validators,
        calm_ms=_calm_ms(weather),
        chaos_ms=(400, 700, 1_000, 1_600)[draw.below(4)],
        submissions=(2, 5, 5, 10, 10, 20, 20, 100)[draw.below(8)],
        entry_bytes=(100, 100, 20_000, 60_000)[draw.below(4)],
        weather=weather,
        actors=actors,
    )


def full_scenario(seed: int) -> Scenario:
    """Give the run of whole nodes of a seed: 30 virtual seconds between distant members."""
    draw = Draw(seed, "swarm full")
    actors = _actors(seed, 4)
    weather = _core_weather(seed, spare=not actors)
    latency_us = (20_000, 40_000, 80_000)[draw.below(3)]
    # Rare troubles become as frequent a run as in the short one: there are as many messages.
    weather = msgspec.structs.replace(
        weather,
        latency_us=latency_us,
        jitter_us=latency_us // (1 + draw.below(4)),
        drop=weather.drop // 2,
        hold=weather.hold // 2,
        hold_us=4 * weather.hold_us,
        commit_us=(700, 700, 5_000)[draw.below(3)],
        crash_emits=5 * weather.crash_emits,
        down_us=4 * weather.down_us,
        partition_us=10 * weather.partition_us,
        clog_us=10 * weather.clog_us,
        reset_us=10 * weather.reset_us,
        write_fail=weather.write_fail // 4,
    )
    return Scenario(
        seed=seed,
        tier="full",
        chaos_ms=25_000,
        calm_ms=_calm_ms(weather),
        lasts_ms=30_000,
        submissions=(10, 30, 90)[draw.below(3)],
        entry_bytes=(200, 2_000, 30_000)[draw.below(3)],
        weather=weather,
        actors=actors,
    )


def _calm_ms(weather: Weather) -> int:
    """Give the time within which all must be final after healing: tens of rounds given up.

    What was held back before still arrives, and work that piled up is still done. Measured: two
    seconds at most in 400 seeds, where this gives 16 and more.
    """
    round_ms = max(100, 8 * (weather.latency_us + weather.jitter_us) // 1_000)
    held_ms = weather.hold_us // 1_000
    work_ms = (weather.execute_us + weather.slow_disk_us) // 1_000
    return 10_000 + 60 * round_ms + 2 * held_ms + 20 * work_ms


def _actors(seed: int, validators: int) -> tuple[tuple[int, str], ...]:
    """Choose the Byzantine members."""
    draw = Draw(seed, "swarm actors")
    faulty_max = (validators - 1) // 3
    others = sorted(name for name in ACTORS if name != TWIN)
    if draw.hits(_TWIN):
        kinds = [TWIN]
    elif others and draw.hits(_OTHER_ACTOR):
        kinds = [others[draw.below(len(others))]]
    else:
        return ()
    if faulty_max > 1 and draw.hits(_SECOND_ACTOR):
        kinds.append((TWIN, *others)[draw.below(1 + len(others))])
    first = draw.below(validators)
    return tuple(((first + i) % validators, kind) for i, kind in enumerate(kinds))


def _core_weather(seed: int, *, spare: bool) -> Weather:
    """Draw what is wrong with the world; ``spare`` allows one member to lose its record."""
    draw = Draw(seed, "swarm weather")

    def sometimes(share: int, *values: int) -> int:
        """Choose one of the values in so many of a million seeds, else give 0."""
        return values[draw.below(len(values))] if draw.hits(share) else 0

    latency_us = (500, 1_000, 5_000, 20_000)[draw.below(4)]
    return Weather(
        latency_us=latency_us,
        jitter_us=latency_us * draw.below(4) // 2,
        drop=sometimes(250_000, 10_000, 50_000, 150_000),
        copy=sometimes(250_000, 20_000, 100_000),
        hold=sometimes(650_000, 20_000, 100_000, 250_000, 500_000),
        hold_us=(50_000, 500_000, 3_000_000)[draw.below(3)],
        execute_us=(200, 200, 20_000, 400_000)[draw.below(4)],
        crash=sometimes(450_000, 200_000, 600_000, 900_000),
        crash_emits=(15, 60, 250)[draw.below(3)],
        down_us=(20_000, 400_000, 2_000_000)[draw.below(3)],
        partition_us=sometimes(400_000, 150_000, 400_000, 1_000_000),
        partition_hold=(0, 500_000, 1_000_000)[draw.below(3)],
        clock_us=sometimes(200_000, 200_000, 3_000_000, 20_000_000),
        safety_loss=sometimes(150_000, 500_000, 1_000_000) if spare else 0,
        bytes_per_ms=sometimes(100_000, 200, 2_000),
        clog_us=sometimes(150_000, 200_000, 1_000_000),
        reset_us=sometimes(150_000, 200_000, 1_000_000),
        silent_crash=sometimes(300_000, 500_000, 1_000_000),
        slow_disk=sometimes(150_000, 10_000, 200_000),
        slow_disk_us=(10_000, 100_000, 1_000_000)[draw.below(3)],
        write_fail=sometimes(100_000, 5_000, 50_000),
        disk_full=sometimes(80_000, 300_000),
        drift_ppm=sometimes(200_000, 200, 20_000),
        subscriber_crash=sometimes(400_000, 50_000, 500_000),
    )
