"""Options and endings that several ``sim`` commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from simnet.mutants import CANARY, MUTANTS
from simnet.picture import choose_window, draw_page
from simnet.recording import record
from simnet.run import Outcome
from simnet.scenario import Plan, read_plan

__all__ = [
    "load_plan",
    "mutant_option",
    "plan_argument",
    "say_outcome",
    "tier_option",
    "write_picture",
]

F = TypeVar("F", bound=Callable[..., Any])

_TIERS: Final = ("core", "full", "change")


def tier_option(command: F) -> F:
    """Add ``--tier``."""
    return click.option(
        "--tier",
        type=click.Choice(_TIERS),
        default="core",
        show_default=True,
        help="core: real consensus over a stand-in ledger. full: whole nodes, everything real. "
        "change: as core, with changes of members.",
    )(command)


def mutant_option(command: F) -> F:
    """Add ``--mutant``."""
    return click.option(
        "--mutant",
        type=click.Choice(sorted([*MUTANTS, CANARY.name])),
        help="Break this rule on purpose.",
    )(command)


def plan_argument(command: F) -> F:
    """Add the argument PLAN: the path of a plan file."""
    return click.argument(
        "plan_file", metavar="PLAN", type=click.Path(exists=True, dir_okay=False, path_type=Path)
    )(command)


def load_plan(path: Path) -> Plan:
    """Read a plan file; what is wrong with it is the user's business."""
    try:
        return read_plan(path)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def say_outcome(outcome: Outcome) -> None:
    """Print what a run came to; exit with 1 when it broke a promise."""
    scenario = outcome.plan.scenario
    click.echo(
        f"seed {scenario.seed} ({scenario.tier} tier, {scenario.validators} members): "
        f"{outcome.virtual_us / 1e6:.3f} virtual seconds, height {outcome.height}, "
        f"{len(outcome.plan.faults)} faults"
    )
    if outcome.promise:
        click.secho(f"BROKEN {outcome.plan.failure}", fg="red", bold=True)
        raise SystemExit(1)
    click.secho("every promise was kept", fg="green")


def write_picture(plan: Plan, output: Path, from_ms: float | None, until_ms: float | None) -> None:
    """Replay a plan and write its picture."""
    seen = record(plan)
    window = choose_window(seen, _us(from_ms), _us(until_ms))
    output.write_text(draw_page(seen, window), encoding="utf-8")
    click.echo(f"{output}: {window.from_us / 1e3:.1f} to {window.until_us / 1e3:.1f} ms")


def _us(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds * 1_000)
