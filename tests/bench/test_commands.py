"""Every command of the benchmark: a run of seconds gives its figures and leaves nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _result(out: Path, name: str, *options: str) -> dict[str, Any]:
    """Run a command quickly; give its result."""
    finished = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--quick", "--out", str(out), *options],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert {path.suffix for path in out.iterdir()} <= {".json", ".md", ".svg"}, "homes are left"
    (written,) = out.glob("*.json")
    document = json.loads(written.read_text())
    assert f"bench.{name}" in document["command"]
    assert document["machine"]
    result: dict[str, Any] = document["result"]
    return result


@pytest.mark.process
@pytest.mark.slow
def test_growth(tmp_path: Path) -> None:
    """Each size has its window, reads and disk; then a full and a small ledger take turns."""
    result = _result(tmp_path, "growth")
    sizes = result["sizes"]
    assert len(sizes) == 2
    assert 10_000 <= sizes[0]["events"] < sizes[1]["events"]
    for size in sizes:
        assert size["load"]["events"] > 0
        assert 500 < size["disk_bytes_per_event"] < 5_000
        assert all(size["reads"][kind]["p50_ms"] > 0 for kind in ("by_id", "proof", "page"))
    turns = result["turns"]
    assert len(turns) == 5
    for turn in turns:
        assert turn["small_events"] < turn["full_events"]
        ratio = turn["full_per_s"] / turn["small_per_s"]
        assert turn["rate_ratio"] == pytest.approx(ratio, abs=0.001)
    assert result["small_start_up_s"] > 0
    assert result["full_start_up_s"] > 0
    assert result["rate_ratio"] == sorted(turn["rate_ratio"] for turn in turns)[2]


@pytest.mark.process
def test_flood(tmp_path: Path) -> None:
    """All four kinds of requests are answered, honest events become final, memory is judged."""
    result = _result(tmp_path, "flood")
    kinds = {name.split()[0] for name in result["answers"]}
    assert kinds == {"valid", "repeated", "forged", "noise"}
    assert result["answers"]["noise 400"] > 0
    assert result["honest"]["count"] > 0
    assert {trend["process"] for trend in result["trends"]} == {
        f"{part}{member}" for part in ("node", "gateway") for member in range(4)
    }
    assert result["is_bounded"] == all(trend["is_bounded"] for trend in result["trends"])
    assert len(result["samples"]) > 3


@pytest.mark.process
@pytest.mark.slow
def test_scale(tmp_path: Path) -> None:
    """A healthy and a troubled network, two sizes of events, a ladder for each size."""
    result = _result(tmp_path, "scale", "--troubles", "one slow")
    cases = {(case["trouble"], case["entry_bytes"]): case for case in result["cases"]}
    assert set(cases) == {("none", 500), ("one slow", 500), ("none", 4_096)}
    assert all(case["published_per_s"] > 0 for case in cases.values())
    assert [ladder["entry_bytes"] for ladder in result["ladders"]] == [500, 4_096]
    assert result["cpu_ratios"] == {"4": 1.0}


@pytest.mark.process
@pytest.mark.slow
def test_recovery(tmp_path: Path) -> None:
    """The killed, the absent and the new member come back, and were behind."""
    result = _result(tmp_path, "recovery")
    (killed,), (away,) = result["killed"], result["away"]
    assert killed["behind_events"] > 0
    assert away["events"] >= 2_000
    assert killed["level_s"] > 0 < away["level_s"]
    assert result["joined"]["events"] == 5_000


@pytest.mark.process
@pytest.mark.slow
def test_wan(tmp_path: Path) -> None:
    """No event is final before a round trip is over; without namespaces the command says so."""
    finished = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True)
    if finished.returncode:
        out = subprocess.run(
            [sys.executable, "-m", "bench.wan", "--quick", "--out", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
        assert "skipped" in out.stdout
        return
    (case,) = _result(tmp_path, "wan", "--profiles", "europe")["cases"]
    assert case["low_load"]["final"]["p50_ms"] > case["profile"]["round_trip_ms"] == 20
    assert case["sustained"]["events"] > 0


@pytest.mark.process
@pytest.mark.slow
def test_profile(tmp_path: Path) -> None:
    """The parts add up to the CPU that the kernel counts for the node."""
    result = _result(tmp_path, "profile")
    (node,) = [use for use in result["load"]["processes"] if use["name"] == "node0"]
    total = sum(part["us_per_event"] for part in result["parts"] if part["process"] == "node")
    assert total == pytest.approx(node["cpu_us_per_event"], rel=0.15)
    assert {"signatures", "storage (LMDB)"} <= {part["part"] for part in result["parts"]}
