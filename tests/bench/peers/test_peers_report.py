"""Medians, ratios, skipped peers and the report, from rounds that nobody measured."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.network.sustained import LoadShape
from bench.peers.__main__ import Contender, all_ratios, run_rounds
from bench.peers.cluster import Unavailable, find_program
from bench.peers.measure import LostMessagesError, Plan, Step
from bench.peers.plot import write_plots
from bench.peers.report import to_json, to_markdown, to_table
from bench.peers.results import CPU, LATENCY, Level, PeersRun, Round, System, best_of, medians
from bench.report.results import Quantiles

_BULK = [LoadShape(1, 1, wait=True, warm_up_s=0.0, window_s=0.0)]
_PLAN = Plan(3, 0.0, 0.0, _BULK, [Step(1, 1)], [], [bytes(500)])


def _level(in_flight: int, rate: float, p50_ms: float, messages: int = 1) -> Level:
    times = Quantiles(p50_ms, 2 * p50_ms, 3 * p50_ms, 4 * p50_ms, 10)
    cpu_us = 25.0 if messages > 1 else 50.0
    return Level(in_flight, messages, rate, times, 0.1, 0.2, cpu_us, 1 << 20, 2000.0)


def _round(*levels: Level) -> Round:
    return Round([*levels], 10, 10, 1500.0, 0.5)


def _contender(
    name: str, rates: list[float], missing: str = "", messages: int = 1
) -> tuple[Contender, list[str]]:
    """Make a system that does 100 in flight with these rates, a tenth of it one at a time."""
    turns: list[str] = []
    left = iter(rates)

    def measure(directory: Path, plan: Plan) -> Round:
        assert plan is _PLAN
        turns.append(directory.name)
        rate = next(left)
        return _round(
            _level(1, rate / 10, 1000 / rate),
            _level(100, rate, 5.0),
            _level(400 * messages, 2 * rate, 9.0, messages),
        )

    def version() -> str:
        if missing:
            raise Unavailable(missing)
        return "1.2"

    return Contender(name, "crashes", version, lambda: {"fsync": "always"}, measure), turns


def _run(directory: Path) -> PeersRun:
    ours, _ = _contender("Concordat", [1000.0, 2000.0, 1500.0], messages=500)
    peer, _ = _contender("quick", [2000.0, 1000.0, 1000.0])
    absent, _ = _contender("absent", [], "no absent on this machine")
    systems = run_rounds([ours, peer, absent], directory, _PLAN)
    found = all_ratios(systems)
    return PeersRun("2026-01-01", "abc", "cmd", {"cpu": "x"}, 500, {"window": 3.0}, systems, found)


def test_medians_stand_for_the_rounds() -> None:
    """Each level's median is taken by itself, in the order of the levels; none is made up."""
    rounds = [
        _round(_level(1, 10.0, 3.0), _level(100, 90.0, 1.0)),
        _round(_level(1, 30.0, 1.0), _level(100, 80.0, 1.0)),
        _round(_level(1, 20.0, 7.0)),
    ]
    found = medians(rounds)
    assert [(level.in_flight, level.messages_per_s) for level in found] == [(1, 20.0), (100, 85.0)]
    assert found[0].times.p50_ms == 3.0
    assert found[0].times.count == 30


def test_the_best_level_is_of_its_kind() -> None:
    """Requests of many messages do not pass for single ones."""
    levels = [_level(1, 10.0, 1.0), _level(100, 90.0, 1.0), _level(1600, 500.0, 1.0, 100)]
    single, batched, best = (
        best_of(levels, is_batched=False), best_of(levels, is_batched=True), best_of(levels),
    )  # fmt: skip
    assert single is levels[1]
    assert batched is best is levels[2]
    assert best_of([], is_batched=True) is None


def test_ratios_are_of_the_same_round(tmp_path: Path) -> None:
    """Rounds are compared pairwise before the median is taken, ours over the peer's."""
    found = _run(tmp_path).ratios
    assert set(found) == {"quick"}
    best, latency = found["quick"]["best"], found["quick"][LATENCY]
    assert (best.low, best.median, best.high) == (0.5, 1.5, 2.0)
    assert (latency.low, latency.median, latency.high) == (0.5, 0.67, 2.0)
    assert "best, batched" not in found["quick"]
    assert found["quick"][CPU].median == 0.5


def test_rounds_interleave(tmp_path: Path) -> None:
    """Each round gives each system its turn, and begins with another; its files are gone after."""
    turns: list[str] = []

    def measure(directory: Path, plan: Plan) -> Round:
        turns.append(directory.name)
        return _round(*[_level(step.requests, 1.0, 1.0) for step in plan.steps])

    both = [Contender(name, "", lambda: "1", dict, measure) for name in ("first", "second")]
    results = run_rounds(both, tmp_path, _PLAN)
    assert turns == ["0-first", "0-second", "1-second", "1-first", "2-first", "2-second"]
    assert [result.name for result in results] == ["first", "second"]
    assert not list(tmp_path.iterdir())


def test_a_missing_peer_is_skipped_and_said(tmp_path: Path) -> None:
    """A peer that is not there costs no round and no error, and the report says why."""
    absent, turns = _contender("absent", [], "no absent on this machine")
    (system,) = run_rounds([absent], tmp_path, _PLAN)
    assert not turns
    assert (system.skipped, system.levels) == ("no absent on this machine", [])
    assert "skipped: no absent on this machine" in to_table(_run(tmp_path))


def test_a_peer_that_cannot_start_is_skipped(tmp_path: Path) -> None:
    """A peer whose processes end in the second round is left out as a whole."""

    def measure(directory: Path, plan: Plan) -> Round:
        if directory.name.startswith("1"):
            raise Unavailable("node0 ended with 1")
        return _round(*[_level(step.requests, 1.0, 1.0) for step in plan.steps])

    peer = Contender("peer", "", lambda: "1", dict, measure)
    (system,) = run_rounds([peer], tmp_path, _PLAN)
    assert system == System("peer", "", {}, "", "node0 ended with 1", [], [])


def test_a_round_that_fails_costs_only_itself(tmp_path: Path) -> None:
    """The other rounds stand, compared with those beside them, and the page tells of the fault."""
    ours, _ = _contender("Concordat", [1000.0, 2000.0, 1500.0])

    def measure(directory: Path, plan: Plan) -> Round:
        if directory.name.startswith("0"):
            raise RuntimeError("out of events")
        return _round(
            *[_level(step.requests, 1.0, 1.0) for step in plan.steps], _level(100, 100.0, 1)
        )

    peer = Contender("peer", "", lambda: "1", dict, measure)
    systems = run_rounds([ours, peer], tmp_path, _PLAN)
    found = all_ratios(systems)
    ratio = found["peer"]["100 in flight"]
    assert (ratio.low, ratio.high) == (15.0, 20.0)
    run = PeersRun("d", "c", "c", {}, 500, {}, systems, found)
    assert "- noted: a round failed: out of events" in to_markdown(run, [])


def test_lost_messages_end_the_run(tmp_path: Path) -> None:
    """What a peer acknowledged and does not hold is no matter of one round."""

    def measure(directory: Path, plan: Plan) -> Round:
        raise LostMessagesError(f"{directory.name}, {plan.rounds}")

    with pytest.raises(LostMessagesError):
        run_rounds([Contender("peer", "", lambda: "1", dict, measure)], tmp_path, _PLAN)


def test_a_program_that_is_not_there_is_unavailable() -> None:
    """The reason names the program."""
    with pytest.raises(Unavailable, match="no program-that-nobody-has on this machine"):
        find_program("/nowhere/program-that-nobody-has", "program-that-nobody-has")


def test_the_report_holds_the_numbers(tmp_path: Path) -> None:
    """Tables, page and JSON show what was measured, with the settings and the limits."""
    run = _run(tmp_path)
    page = to_markdown(run, ["plot.svg"])
    row = next(line for line in page.splitlines() if line.startswith("| Concordat"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:4] == ["1", "1", "150"]
    assert "1.50 (0.50 to 2.00)" in page
    assert "fsync: always" in page
    assert "![plot.svg](plot.svg)" in page
    assert "Skipped: no absent on this machine" in page
    assert json.loads(to_json(run))["ratios"]["quick"]["best"]["median"] == 1.5


def _widths(path: Path) -> list[float]:
    bars = ET.parse(path).findall(".//{*}rect")[1:]  # noqa: S314 - we wrote it
    return [float(bar.attrib["width"]) for bar in bars]


def test_bars_are_as_long_as_their_numbers(tmp_path: Path) -> None:
    """The plots are well formed, and bars start at zero on a linear scale."""
    rates, times = write_plots(_run(tmp_path), tmp_path)
    # Ours best and at 100 in flight, the peer's best and at 100 in flight.
    widths = _widths(tmp_path / rates)
    assert [round(width / widths[1], 2) for width in widths] == [2.0, 1.0, 1.33, 0.67]
    assert len(_widths(tmp_path / times)) == 4


def test_nothing_measured_draws_nothing(tmp_path: Path) -> None:
    """Without a system that ran there is no plot, and no error."""
    absent = _run(tmp_path).systems[2:]
    assert write_plots(PeersRun("d", "c", "c", {}, 500, {}, absent, {}), tmp_path) == []
