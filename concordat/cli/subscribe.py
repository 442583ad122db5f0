"""``concordat subscribe``: follow events as they become final."""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from concordat.cli.options import Target, target_options
from concordat.cli.output import json_option
from concordat.cli.rest import token_option
from ledger.core.event import open_entry
from pubsub.client.answers import LedgerEvent
from pubsub.client.following import Filters
from pubsub.client.sync_client import Client
from pubsub.core.cloudevents import cloudevent_json

__all__ = ["event_json", "event_line", "subscribe"]


@click.command()
@target_options
@token_option
@click.option("--topic", help="Pattern of topics: * is one token, a final > one or more.")
@click.option("--subject", help="Only events of this entity.")
@click.option("--publisher", help="Only events of this DID.")
@click.option("--type", "type_", help="Only events of this type.")
@click.option(
    "--after",
    default="-1",
    show_default=True,
    help="Begin behind this sequence number; `now` for what comes from now on.",
)
@click.option("--verify/--no-verify", default=True, help="Prove each event before printing it.")
@click.option(
    "--complete",
    is_flag=True,
    help="Prove also that no event of --topic was left out; governors must have made it complete.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@json_option
def subscribe(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    token: str | None,
    after: str,
    verify: bool,
    complete: bool,
    count: int | None,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Print every event of the ledger, then each new one as it becomes final.

    Goes on where it was after a lost connection; ends on Ctrl-C. With --json each event is a
    CloudEvent with its sequence number.
    """
    target = Target.find(home, url, genesis_file)
    given = {name.rstrip("_"): value for name, value in wanted.items() if value is not None}
    filters = msgspec.convert(given, Filters)
    genesis = target.genesis() if verify or complete else None
    with Client(target.url, genesis, token=token) as client:
        try:
            subscription = client.subscribe(
                after=_after(after), verify=verify, complete=complete, **filters
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        with subscription:
            for number, event in enumerate(subscription, start=1):
                click.echo(event_json(event) if as_json else event_line(event))
                if number == count:
                    return


def event_line(event: LedgerEvent) -> str:
    """Write an event as one line for people."""
    moment = datetime.fromtimestamp(event.event.time_ms / 1000, UTC)
    mark = "proven" if event.is_verified else "claimed"
    return (
        f"{event.sequence:>8}  {moment:%Y-%m-%d %H:%M:%S}Z  {mark}  {event.event.topic}  "
        f"{event.event.type}  {event.event.subject}".rstrip()
    )


def event_json(event: LedgerEvent) -> bytes:
    """Write an event as a CloudEvent, on one line."""
    return cloudevent_json(open_entry(event.entry), event.sequence)


def _after(text: str) -> int | None:
    if text == "now":
        return None
    try:
        return int(text)
    except ValueError:
        raise click.UsageError(f"--after is a sequence number or `now`, not {text!r}") from None
