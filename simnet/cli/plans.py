"""The ``sim`` commands that take a plan file: replay, shrink, trace and picture."""

from pathlib import Path

import click
from rich.console import Console

from simnet.cli.shared import load_plan, plan_argument, say_outcome, write_picture
from simnet.recording import record
from simnet.run import replay
from simnet.scenario import write_plan
from simnet.shrink import RUNS_MAX, shrink
from simnet.trace import ROWS_MAX, render_trace

__all__ = ["picture_command", "replay_command", "shrink_command", "trace_command"]

_file = click.Path(dir_okay=False, path_type=Path)
_from_option = click.option("--from-ms", type=float, help="Virtual time of its beginning.")
_until_option = click.option("--until-ms", type=float, help="Virtual time of its end.")


@click.command("replay")
@plan_argument
@click.option("--trace", "with_trace", is_flag=True, help="Print what happened, too.")
def replay_command(*, plan_file: Path, with_trace: bool) -> None:
    """Run PLAN again. Exit code 1 when it breaks a promise."""
    plan = load_plan(plan_file)
    if with_trace:
        seen = record(plan)
        click.echo(render_trace(seen, width=Console().width))
        say_outcome(seen.outcome)
    else:
        say_outcome(replay(plan))


@click.command("shrink")
@plan_argument
@click.option("--output", type=_file, help="Where to write it. Default: PLAN-shrunk.json.")
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=RUNS_MAX,
    show_default=True,
    help="Replays to spend at most.",
)
def shrink_command(*, plan_file: Path, output: Path | None, runs: int) -> None:
    """Make PLAN, which fails, as small as possible while it breaks the same promise."""
    target = output or plan_file.with_name(f"{plan_file.stem}-shrunk.json")
    with Console(stderr=True).status("shrinking") as status:

        def tell(run: int, left: int) -> None:
            status.update(f"shrinking: {left} faults after {run} runs")

        try:
            shrunk = shrink(load_plan(plan_file), runs_max=runs, on_progress=tell)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    write_plan(target, shrunk.plan)
    click.echo(
        f"{target}: {shrunk.faults_before} faults became {len(shrunk.plan.faults)} "
        f"in {shrunk.runs} runs; broken: {shrunk.promise}"
    )


@click.command("trace")
@plan_argument
@_from_option
@_until_option
@click.option(
    "--rows",
    type=click.IntRange(min=10),
    default=ROWS_MAX,
    show_default=True,
    help="Lines at most; the middle is left out.",
)
@click.option(
    "--width",
    type=click.IntRange(min=60),
    help="Columns. Default: those of the terminal.",
)
def trace_command(
    *, plan_file: Path, from_ms: float | None, until_ms: float | None, rows: int, width: int | None
) -> None:
    """Replay PLAN and print what happened: a column for each machine, time downwards."""
    until_us = None if until_ms is None else round(until_ms * 1_000)
    click.echo(
        render_trace(
            record(load_plan(plan_file)),
            width=width or Console().width,
            from_us=round((from_ms or 0) * 1_000),
            until_us=until_us,
            rows_max=rows,
        )
    )


@click.command("picture")
@plan_argument
@click.option("--output", type=_file, required=True, help="The HTML file to write.")
@_from_option
@_until_option
def picture_command(
    *, plan_file: Path, output: Path, from_ms: float | None, until_ms: float | None
) -> None:
    """Replay PLAN and draw a part of it: machines as rows, time to the right."""
    write_picture(load_plan(plan_file), output, from_ms, until_ms)
