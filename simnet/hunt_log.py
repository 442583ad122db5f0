"""The log of a recorded hunt: a Markdown page that says what ran, where, and what was seen."""

import os
import platform
from datetime import UTC, datetime

from simnet.failure import code_version
from simnet.hunt import Order, Tally

__all__ = ["write_log"]


def write_log(order: Order, tally: Tally) -> str:
    """Write a hunt down."""
    last = order.first + tally.seeds - 1
    an_hour = round(3_600 * tally.seeds / max(tally.seconds, 1e-9))
    rows = {
        "ended": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": code_version(),
        "Python": f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores",
        "seeds": f"{order.first} to {last} ({tally.seeds:,}), all of the {order.tier} tier",
        "failures": ", ".join(str(plan.scenario.seed) for plan in tally.failures) or "none",
        "real time": f"{tally.seconds:,.0f} s in {order.jobs} processes: {an_hour:,} seeds an hour",
        "virtual time": f"{tally.virtual_us / 3.6e9:,.1f} h",
        "final blocks": f"{tally.blocks:,}",
    }
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
    marks = "\n".join(f"| {name} | {count:,} |" for name, count in sorted(tally.marks.items()))
    missed = ", ".join(tally.never_hit(order.tier)) or "none"
    return (
        f"# Recorded hunt, {order.tier} tier\n\nWritten by `concordat sim hunt --log`.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"States that the runs reached, and how often (marks; never hit: {missed}):\n\n"
        f"| mark | hits |\n|---|---:|\n{marks}\n"
    )
