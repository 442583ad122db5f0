"""``concordat sim hunt``: many seeds, in several processes, with a line of progress."""

import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from simnet.cli.shared import mutant_option, tier_option
from simnet.failure import keep_failure
from simnet.hunt import Order, Tally, hunt
from simnet.hunt_log import write_log

__all__ = ["LONG_SEEDS", "hunt_command"]

LONG_SEEDS = {"core": 20_000, "full": 2_000, "change": 20_000}
"""From so many seeds on a mark that was never hit fails a hunt."""


@click.command("hunt")
@tier_option
@mutant_option
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="Seed.")
@click.option("--seeds", type=click.IntRange(min=1), default=1_000, show_default=True)
@click.option("--budget", type=float, default=0.0, help="Stop after so many seconds.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=os.cpu_count(), show_default="all cores"
)
@click.option(
    "--failures", type=click.IntRange(min=1), default=1, show_default=True, help="Then stop."
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("sim-out"),
    show_default=True,
    help="Where plans of failures go.",
)
@click.option(
    "--log",
    "log_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a log of the hunt, in Markdown.",
)
def hunt_command(*, directory: Path, log_file: Path | None, **options: Any) -> None:  # noqa: ANN401 - passed on
    """Run many seeds and stop at the first that breaks a promise.

    Prints for each failure the seed, the commit, its plan file, how to replay it, and the trace of
    its shrunk form. Exit code 1 after a failure, and after a long hunt that never reached some
    state that it should have reached.
    """
    order = Order(
        tier=options["tier"],
        first=options["first"],
        seeds=options["seeds"],
        jobs=options["jobs"],
        seconds=options["budget"],
        failures_max=options["failures"],
        mutant=options["mutant"] or "",
    )
    tally = _hunt_visibly(order)
    click.echo(_summary(tally))
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log_file.write_text(write_log(order, tally), encoding="utf-8")
        click.echo(f"{log_file}: the log")
    console = Console(stderr=True)
    for plan in tally.failures[: order.failures_max]:
        with console.status("shrinking") as status:
            kept = keep_failure(
                plan,
                directory,
                lambda runs, left: status.update(f"shrinking: {left} faults after {runs} runs"),
            )
        click.echo(f"\n{kept}")
    is_long = tally.seeds >= LONG_SEEDS[order.tier] and not order.mutant
    missed = tally.never_hit(order.tier) if is_long else []
    if missed:
        click.secho(f"never reached: {', '.join(missed)}", fg="red", bold=True)
    if tally.failures or missed:
        raise SystemExit(1)
    if tally.seeds < order.seeds and not order.seconds:
        raise SystemExit(130)


def _hunt_visibly(order: Order) -> Tally:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failures]} failures"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{order.tier} seeds", total=order.seeds, failures=0)

        def tell(tally: Tally) -> None:
            progress.update(task, completed=tally.seeds, failures=len(tally.failures))

        return hunt(order, tell)


def _summary(tally: Tally) -> str:
    seconds = max(tally.seconds, 1e-9)
    return (
        f"{tally.seeds:,} seeds in {tally.seconds:.1f} s ({tally.seeds / seconds * 3_600:,.0f} "
        f"an hour), {tally.virtual_us / 3.6e9:.2f} virtual hours, {tally.blocks:,} final blocks, "
        f"{len(tally.failures)} failures"
    )
