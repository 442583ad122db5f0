"""The benchmark itself: a run of seconds gives every number and leaves no process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the quick benchmark once; give its output directory and what it printed."""
    out = tmp_path_factory.mktemp("bench")
    finished = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return out, finished.stdout


def _commands() -> list[str]:
    """Give the command line of every process."""
    texts = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            texts.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, UnicodeDecodeError):
            continue
    return texts


@pytest.mark.process
def test_every_number_is_measured(run: tuple[Path, str]) -> None:
    """Latencies, throughput with all and with one dead, and what each process used."""
    (written,) = run[0].glob("*.json")
    report = json.loads(written.read_text())
    for load in (report["closed_loop"], report["paced"]):
        final, delivered = load["median"]["final"], load["median"]["delivered"]
        assert 0 < final["p50_ms"] <= final["p99_ms"] <= final["max_ms"]
        assert final["count"] == delivered["count"] > 0
        assert delivered["p50_ms"] > 0
    assert report["in_flight"]["final"]["count"] > 0
    for (point,) in (report["offered"], report["offered_bulk"]):
        assert point["is_kept"]
        assert point["unanswered"] == point["refused"] == 0
        assert point["final"]["count"] == point["delivered"]["count"] > 0
        assert 0 < point["final"]["p50_ms"] <= point["final"]["p99_ms"] <= point["final"]["p999_ms"]
    sustained, one_dead = report["sustained"], report["one_dead"]
    assert (sustained["alive"], one_dead["alive"]) == (4, 3)
    for part in (sustained, one_dead):
        assert part["events"] > 0
        assert len(part["processes"]) == 2 * part["alive"]
        assert all(use["rss_bytes"] > 0 for use in part["processes"])
    assert report["one_dead_ratio"] == pytest.approx(
        one_dead["events_per_s"] / sustained["events_per_s"], abs=0.001
    )
    assert all(number > 0 for number in report["baseline"].values())
    for part in (report["fan_out"]["server_sent_events"], report["fan_out"]["websocket"]):
        assert part["complete"] == part["streams"] == 50
        assert 0 < part["received"]["p50_ms"] <= part["last"]["max_ms"]
        assert part["bytes_per_stream"] > 0
    interests = report["fan_out"]["interests"]
    assert interests["index_us"] * 10 < interests["naive_us"]
    usage = report["usage"]
    assert all(number > 0 for number in usage.values())
    assert usage["ledger_bytes"] * 100 < usage["plain_bytes"]


@pytest.mark.process
def test_the_table_shows_the_headlines(run: tuple[Path, str]) -> None:
    """People see the same numbers without opening the JSON."""
    (written,) = run[0].glob("*.json")
    report = json.loads(written.read_text())
    assert f"{report['sustained']['events_per_s']:,.0f}" in run[1]
    assert str(report["closed_loop"]["median"]["final"]["p50_ms"]) in run[1]
    assert str(report["fan_out"]["websocket"]["received"]["p99_ms"]) in run[1]


@pytest.mark.process
def test_nothing_is_left(run: tuple[Path, str]) -> None:
    """No process of the network and none of its files remain."""
    assert not [command for command in _commands() if str(run[0]) in command]
    assert sorted(path.suffix for path in run[0].iterdir()) == [".json", ".md", ".svg", ".svg"]
