"""``concordat prune``: forget the contents of old events, and keep all that proves them."""

import time
from math import isfinite
from pathlib import Path
from typing import Final

import click

from concordat.cli.options import home_option
from concordat.cli.output import emit, json_option
from concordat.home import Home
from concordat.preflight import require_own_packages
from concordat.progress import RowsCount
from concordat.retention import Keep, Pruned, prune_ledger

__all__ = ["prune"]

_DAY_MS: Final = 86_400_000
_DAYS_MAX: Final = 36_500.0


@click.command()
@home_option
@click.option("--keep-events", type=click.IntRange(1), metavar="N", help="Keep the newest N.")
@click.option(
    "--keep-days",
    type=click.FloatRange(0, _DAYS_MAX),
    metavar="DAYS",
    help="Keep those of so many days before the last block. With --keep-events: what either names.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="VALIDATOR",
    help="Do not wait for this validator, which was away. May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@json_option
def prune(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    keep_events: int | None,
    keep_days: float | None,
    without: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Forget the contents of old events. The member must be stopped.

    Proofs of all events are kept. Nothing is forgotten that a consumer, a webhook, a facade, the
    access node, or a validator that was away still needs. There is no way back: contents come only
    from members that keep them. Interrupted, the same command goes on.
    """
    if keep_events is None and keep_days is None:
        raise click.UsageError("say what to keep: --keep-events or --keep-days")
    if keep_days is not None and not isfinite(keep_days):
        raise click.UsageError("--keep-days wants a number of days")
    require_own_packages()
    age_ms = None if keep_days is None else int(keep_days * _DAY_MS)
    keep = Keep(keep_events, age_ms, time.time_ns() // 1_000_000, frozenset(without))
    with RowsCount("forgetting") as count:
        pruned = prune_ledger(Home.open(home), keep, count.add, is_rehearsal=dry_run)
    emit(_document(pruned), _in_words(pruned, is_rehearsal=dry_run), as_json=as_json)


def _document(pruned: Pruned) -> dict[str, object]:
    held_back = [{"position": hold.position, "who": hold.who} for hold in pruned.held_back_by]
    return {**pruned._asdict(), "held_back_by": held_back}


def _in_words(pruned: Pruned, *, is_rehearsal: bool) -> str:
    verb = "would be" if is_rehearsal else "are"
    count = pruned.first_held - pruned.first_before
    span = f"from sequence {pruned.first_held} on, of {pruned.log_size} events"
    lines = [f"{count} events {verb} forgotten; contents {verb} held {span}."]
    if pruned.held_back_by:
        lines.append(f"Wanted was {pruned.wanted}. It is held back by those who need contents:")
        lines += [f"  {hold.who} needs {hold.position} and later" for hold in pruned.held_back_by]
    elif count and not is_rehearsal:
        lines.append("Next: `concordat compact` gives the space back to the disk.")
    return "\n".join(lines)
