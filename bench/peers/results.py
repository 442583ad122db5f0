"""What a run side by side gives, and the ratios between the systems of one round."""

import statistics
from collections.abc import Callable, Sequence

import msgspec

from bench.report.results import Quantiles

__all__ = [
    "CPU",
    "IN_FLIGHT",
    "LATENCY",
    "LOW_LOAD",
    "Level",
    "PeersRun",
    "Ratio",
    "Round",
    "System",
    "best_of",
    "level_of",
    "medians",
    "ratios",
]

LOW_LOAD, IN_FLIGHT = 1, 100
LATENCY, CPU = "p50 of one at a time", "CPU a message at best"


class Level(msgspec.Struct, frozen=True):
    """A number of messages under way, held for a window.

    Attributes:
        messages_per_request: 1, or how many one request carried.
        times: from a request until it was answered as durable; of Concordat, as final.
        generator_cpu_share: cores that the load generator took.
        others_cpu_share: cores that were busy with neither: other programs, kernel threads.
        cpu_us_per_message: of all processes of the system together; None where it was not taken.
        rss_bytes: of all processes together, at the end.
        written_bytes_per_message: that all processes together handed to the disk.
    """

    in_flight: int
    messages_per_request: int
    messages_per_s: float
    times: Quantiles
    generator_cpu_share: float
    others_cpu_share: float
    cpu_us_per_message: float | None
    rss_bytes: int
    written_bytes_per_message: float


class Round(msgspec.Struct, frozen=True):
    """One start of one system, with fresh data.

    Attributes:
        stored, acknowledged: messages at the end; the system must hold what it acknowledged.
        disk_bytes_per_message: the growth of all replicas' files together, over the whole round.
        notes: what was not as planned.
    """

    levels: list[Level]
    stored: int
    acknowledged: int
    disk_bytes_per_message: float
    load_average: float
    notes: list[str] = []


class System(msgspec.Struct, frozen=True):
    """A system with all its rounds.

    Attributes:
        settings: how it was set up.
        tolerates: what may fail, and what it does not do that others do.
        skipped: why there are no rounds; empty when there are.
        levels: medians over the rounds.
    """

    name: str
    version: str
    settings: dict[str, str]
    tolerates: str
    skipped: str
    levels: list[Level]
    rounds: list[Round]


class Ratio(msgspec.Struct, frozen=True):
    """Concordat's number over a peer's in the same round: the median over the rounds, the range."""

    median: float
    low: float
    high: float


class PeersRun(msgspec.Struct, frozen=True):
    """One whole run.

    Attributes:
        ratios: by peer, then by what is compared: messages a second, of CPU
            microseconds, of LATENCY milliseconds.
    """

    date: str
    commit: str
    command: str
    machine: dict[str, str]
    payload_bytes: int
    seconds: dict[str, float]
    systems: list[System]
    ratios: dict[str, dict[str, Ratio]]


def medians(rounds: Sequence[Round]) -> list[Level]:
    """Give each level's medians over the rounds that have it, in the order of the first round."""
    found: dict[tuple[int, int], list[Level]] = {}
    for each in rounds:
        for level in each.levels:
            found.setdefault(_shape(level), []).append(level)
    return [_median(levels) for levels in found.values()]


def level_of(levels: Sequence[Level], in_flight: int) -> Level | None:
    """Give the level with ``in_flight`` single messages under way."""
    return next((each for each in levels if _shape(each) == (in_flight, 1)), None)


def best_of(levels: Sequence[Level], *, is_batched: bool | None = None) -> Level | None:
    """Give the level with most messages a second; of batched ones alone, of single ones, or all."""
    of_kind = [
        each
        for each in levels
        if is_batched is None or (each.messages_per_request > 1) == is_batched
    ]
    return max(of_kind, key=lambda each: each.messages_per_s, default=None)


def ratios(ours: System, peer: System) -> dict[str, Ratio]:
    """Compare round by round, at the levels whose medians are best; leave out what is missing."""
    best = best_of(ours.levels)
    found = {
        "best": _compare(ours, peer, (best, best_of(peer.levels, is_batched=False)), _rate),
        "best, batched": _compare(ours, peer, (best, best_of(peer.levels, is_batched=True)), _rate),
        f"{IN_FLIGHT} in flight": _compare(ours, peer, _both(ours, peer, IN_FLIGHT), _rate),
        CPU: _compare(ours, peer, (best, best_of(peer.levels, is_batched=False)), _cpu),
        LATENCY: _compare(ours, peer, _both(ours, peer, LOW_LOAD), _p50),
    }
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def _both(ours: System, peer: System, in_flight: int) -> tuple[Level | None, Level | None]:
    return level_of(ours.levels, in_flight), level_of(peer.levels, in_flight)


def _compare(
    ours: System,
    peer: System,
    levels: tuple[Level | None, Level | None],
    number: Callable[[Level], float],
) -> Ratio | None:
    if levels[0] is None or levels[1] is None:
        return None
    each = []
    for mine, theirs in zip(ours.rounds, peer.rounds, strict=False):
        above, below = _same(mine.levels, levels[0]), _same(theirs.levels, levels[1])
        if above is not None and below is not None:
            each.append(number(above) / number(below))
    if not each:
        return None
    return Ratio(round(statistics.median(each), 2), round(min(each), 2), round(max(each), 2))


def _rate(level: Level) -> float:
    return level.messages_per_s


def _cpu(level: Level) -> float:
    assert level.cpu_us_per_message is not None, "it is taken of every best level"
    return level.cpu_us_per_message


def _p50(level: Level) -> float:
    return level.times.p50_ms


def _same(levels: Sequence[Level], like: Level) -> Level | None:
    return next((each for each in levels if _shape(each) == _shape(like)), None)


def _shape(level: Level) -> tuple[int, int]:
    return level.in_flight, level.messages_per_request


def _median(levels: Sequence[Level]) -> Level:
    first = levels[0]
    used = [each.cpu_us_per_message for each in levels if each.cpu_us_per_message is not None]
    times = [each.times for each in levels]
    return Level(
        in_flight=first.in_flight,
        messages_per_request=first.messages_per_request,
        messages_per_s=_middle([each.messages_per_s for each in levels]),
        times=Quantiles(
            p50_ms=_middle([each.p50_ms for each in times]),
            p99_ms=_middle([each.p99_ms for each in times]),
            p999_ms=_middle([each.p999_ms for each in times]),
            max_ms=_middle([each.max_ms for each in times]),
            count=sum(each.count for each in times),
        ),
        generator_cpu_share=_middle([each.generator_cpu_share for each in levels]),
        others_cpu_share=_middle([each.others_cpu_share for each in levels]),
        cpu_us_per_message=_middle(used) if used else None,
        rss_bytes=round(_middle([each.rss_bytes for each in levels])),
        written_bytes_per_message=_middle([each.written_bytes_per_message for each in levels]),
    )


def _middle(numbers: Sequence[float]) -> float:
    return round(statistics.median(numbers), 2)
