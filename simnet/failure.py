"""What a person needs to work on a failing run: where it is, how to repeat it, and its trace."""

import platform
import subprocess
from pathlib import Path
from typing import Final

from simnet.recording import record
from simnet.scenario import Plan, write_plan
from simnet.shrink import RUNS_MAX, Progress, shrink
from simnet.trace import render_trace

__all__ = ["code_version", "keep_failure"]

_RUNS_MAX: Final = {"core": RUNS_MAX, "full": 150}
_TRACE_ROWS_MAX: Final = 120


def code_version() -> str:
    """Name the commit that runs, and say when files of the simulated code differ from it."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - fixed

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    changed = git("status", "--porcelain", "--", "consensus", "ledger", "pubsub", "simnet")
    return f"{commit} with changes" if changed else commit


def keep_failure(
    plan: Plan, directory: Path, on_progress: Progress = lambda _runs, _left: None
) -> str:
    """Write a failing plan and its shrunk form to files, and describe them."""
    scenario = plan.scenario
    directory.mkdir(parents=True, exist_ok=True)
    name = "-".join(part for part in (scenario.tier, scenario.mutant, str(scenario.seed)) if part)
    whole, small = directory / f"{name}.json", directory / f"{name}-shrunk.json"
    write_plan(whole, plan)
    shrunk = shrink(plan, runs_max=_RUNS_MAX[scenario.tier], on_progress=on_progress)
    write_plan(small, shrunk.plan)
    rows = (
        ("broken", plan.failure),
        ("seed", f"{scenario.seed} ({scenario.tier} tier)"),
        ("commit", code_version()),
        ("python", platform.python_version()),
        ("plan", f"{whole} ({len(plan.faults)} faults)"),
        ("shrunk", f"{small} ({len(shrunk.plan.faults)} faults, after {shrunk.runs} runs)"),
        ("replay", f"concordat sim replay {small}"),
        ("picture", f"concordat sim picture {small} --output {name}.html"),
    )
    table = "\n".join(f"{label:>8}  {text}" for label, text in rows)
    trace = render_trace(record(shrunk.plan), rows_max=_TRACE_ROWS_MAX)
    return f"{table}\n\n{trace}\n"
