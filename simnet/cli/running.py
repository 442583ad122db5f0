"""``concordat sim run``: one seed."""

from pathlib import Path

import click

from simnet.cli.shared import mutant_option, say_outcome, tier_option, write_picture
from simnet.hunt import scenario_of
from simnet.run import simulate
from simnet.scenario import write_plan

__all__ = ["run_command"]


@click.command("run")
@click.option("--seed", type=click.IntRange(min=0), required=True, help="What is drawn from.")
@tier_option
@mutant_option
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan that repeats the run to this file.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the run into this HTML file.",
)
def run_command(
    *, seed: int, tier: str, mutant: str | None, plan_file: Path | None, picture: Path | None
) -> None:
    """Run one seed. Exit code 1 when it breaks a promise."""
    outcome = simulate(scenario_of(tier, seed, mutant or ""))
    if plan_file is not None:
        write_plan(plan_file, outcome.plan)
        click.echo(f"{plan_file}: the plan of the run")
    if picture is not None:
        write_picture(outcome.plan, picture, None, None)
    say_outcome(outcome)
