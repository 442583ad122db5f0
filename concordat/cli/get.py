"""``concordat get``: one event, or its proof."""

from pathlib import Path
from typing import BinaryIO

import click

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.cli.kept_event import kept_event_option, read_kept
from concordat.cli.options import Target, target_options
from concordat.cli.output import json_option
from concordat.cli.rest import token_option
from concordat.cli.subscribe import event_json, event_line
from ledger.core.ids import EventId
from ledger.core.proof import bundle_json
from pubsub.client.sync_client import Client

__all__ = ["get"]


@click.command()
@target_options
@token_option
@click.argument("event_id")
@click.option("--proof", is_flag=True, help="Its proof instead, as a file for `concordat verify`.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the proof to this file. Default: standard output.",
)
@kept_event_option
@json_option
def get(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    token: str | None,
    event_id: str,
    proof: bool,
    output: Path | None,
    kept: BinaryIO | None,
    as_json: bool,
) -> None:
    """Print the event with EVENT_ID, or its proof. Exit code 1 when there is none."""
    target = Target.find(home, url, genesis_file)
    id_ = _event_id(event_id)
    genesis = target.genesis() if proof else None
    with Client(target.url, genesis, token=token) as client:
        if not proof:
            event = client.get(id_)
            if event is not None:
                click.echo(event_json(event) if as_json else event_line(event))
                return
        else:
            bundle = client.proof(id_, read_kept(kept))
            if bundle is not None:
                _write(bundle_json(bundle), output)
                return
    raise CommandFailed(
        f"the ledger of {target.url} holds no event {event_id}",
        hint="It may not be final yet, or may have been refused: ask again with --json.",
    )


def _event_id(text: str) -> EventId:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:  # noqa: PLR2004 - a digest
        raise CommandFailed(f"not an event id: {text!r}", ExitCode.USAGE, "64 hexadecimal digits.")
    return EventId(value)


def _write(document: bytes, output: Path | None) -> None:
    if output is None:
        click.echo(document, nl=False)
        return
    output.write_bytes(document)
    click.echo(f"{output}: the proof, checked against genesis")
