"""``concordat trust``: the trusted lists."""

from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
from rich.table import Table
from rich.text import Text

from concordat.cli.failure import CommandFailed
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option
from concordat.cli.trust_output import entries_table, entry_view, reading_line
from concordat.cli.writing import Signing, signing_options
from ledger.core.ids import Height
from ledger.core.limits import EVENT_DATA_BYTES_MAX, INT_MAX
from ledger.core.state_proof import state_bundle_json
from ledger.core.trust.operations import ChangeList, PutEntry, RevokeEntry
from pubsub.client.sync_client import Client
from pubsub.core.trust_documents import entry_document

__all__ = ["trust"]

_file = click.Path(dir_okay=False, path_type=Path)
_list = click.argument("list_name", metavar="LIST")
_id = click.argument("entry_id", metavar="ID")
_number = click.IntRange(1, INT_MAX)
_unverified = click.option(
    "--unverified", is_flag=True, help="Believe the gateway; needs no genesis file."
)


@click.group()
def trust() -> None:
    """Read, write and prove the trusted lists."""


@trust.command("list")
@target_options
@click.argument("list_name", metavar="[LIST]", required=False)
@click.option("--prefix", default="", help="Only ids that begin so, such as ID/.")
@click.option("--all", "also_revoked", is_flag=True, help="Revoked entries too.")
@json_option
def list_(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    list_name: str | None,
    prefix: str,
    also_revoked: bool,
    as_json: bool,
) -> None:
    """Show the lists, or the entries of LIST, as the gateway says. JSON: one object a line."""
    with Client(Target.find(home, url, genesis_file).url) as client:
        if list_name is None:
            _show_lists(client, as_json=as_json)
            return
        found = client.trust.entries(list_name, prefix=prefix, also_revoked=also_revoked)
        if as_json:
            for row in found:
                emit(entry_document(list_name, row.id, row.entry), "", as_json=True)
        else:
            emit(None, entries_table([(row.id, row.entry) for row in found]), as_json=False)


def _show_lists(client: Client, *, as_json: bool) -> None:
    lists = client.trust.lists()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("list", "entries", "children", "right to write it"):
        table.add_column(title)
    for row in lists:
        table.add_row(row.name, str(row.entries), str(row.children), Text(row.topic))
    emit(lists, table, as_json=as_json)


@trust.command()
@target_options
@_list
@_id
@click.option("--revision", type=_number, help="This revision instead of the newest.")
@_unverified
@json_option
def show(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    list_name: str,
    entry_id: str,
    revision: int | None,
    unverified: bool,
    as_json: bool,
) -> None:
    """Show an entry of LIST, proven against genesis. Exit code 1 when there is none."""
    target = Target.find(home, url, genesis_file)
    with Client(target.url, None if unverified else target.genesis()) as client:
        reading = client.trust.entry(
            list_name, entry_id, revision=revision, verified=not unverified
        )
    if reading.value is None:
        raise CommandFailed(
            f"{list_name} holds no {entry_id}", hint=f"{reading_line(reading).capitalize()}."
        )
    document = {
        "entry": entry_document(list_name, entry_id, reading.value),
        "verified": reading.is_verified,
        "height": reading.height,
        "time_ms": reading.time_ms,
    }
    view = entry_view(list_name, entry_id, reading.value, reading_line(reading))
    emit(document, view, as_json=as_json)


@trust.command()
@target_options
@_list
@_id
@_unverified
@json_option
def history(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    list_name: str,
    entry_id: str,
    unverified: bool,
    as_json: bool,
) -> None:
    """Show all revisions of an entry, each proven. Exit code 1 when there never was one."""
    target = Target.find(home, url, genesis_file)
    with Client(target.url, None if unverified else target.genesis()) as client:
        readings = client.trust.history(list_name, entry_id, verified=not unverified)
    found = [reading.value for reading in readings if reading.value is not None]
    if not found:
        raise CommandFailed(f"{list_name} never held {entry_id}")
    if as_json:
        for entry in found:
            emit(entry_document(list_name, entry_id, entry), "", as_json=True)
        return
    emit(
        None, entries_table([(f"{entry.event_id.hex()}", entry) for entry in found]), as_json=False
    )


@trust.command()
@target_options
@_list
@_id
@click.option("--revision", type=_number, help="Of this revision instead of the newest.")
@click.option(
    "--height", type=click.IntRange(0, INT_MAX), help="Of the state at this height or the next."
)
@click.option("--output", type=_file, help="Write it to this file. Default: standard output.")
def proof(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    list_name: str,
    entry_id: str,
    revision: int | None,
    height: int | None,
    output: Path | None,
) -> None:
    """Write the proof of an entry, or that there is none, for `concordat verify`."""
    target = Target.find(home, url, genesis_file)
    with Client(target.url, target.genesis()) as client:
        reading = client.trust.entry(
            list_name,
            entry_id,
            revision=revision,
            at_least=None if height is None else Height(height),
        )
    document = state_bundle_json(reading.bundle)
    if output is None:
        click.echo(document, nl=False)
        return
    output.write_bytes(document)
    click.echo(f"{output}: the proof, checked against genesis")


@trust.command()
@target_options
@signing_options
@_list
@_id
@click.option("--kind", required=True, help="What the body is; each list knows its kinds.")
@click.option("--body", help="The content, as text.")
@click.option("--body-file", type=click.File("rb"), help="The content, from a file; - reads.")
@click.option("--valid-from", type=click.DateTime(), help="Not valid before, UTC.")
@click.option("--valid-to", type=click.DateTime(), help="Not valid from then on, UTC.")
@click.option(
    "--expected-revision",
    type=click.IntRange(0, INT_MAX),
    help="Refuse if the newest revision is another one; 0: if there is any.",
)
@json_option
def put(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    list_name: str,
    entry_id: str,
    kind: str,
    body: str | None,
    body_file: BinaryIO | None,
    valid_from: datetime | None,
    valid_to: datetime | None,
    expected_revision: int | None,
    as_json: bool,
) -> None:
    """Make an entry of LIST, or give it a new revision. Exit code 1 when that is refused."""
    if body is not None and body_file is not None:
        raise click.UsageError("give --body or --body-file, not both")
    text = (body or "").encode()
    content = text if body_file is None else body_file.read(EVENT_DATA_BYTES_MAX + 1)
    times = [_ms(valid_from), _ms(valid_to)]
    change = PutEntry(entry_id, kind, content, times[0], times[1], expected_revision)
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(ChangeList(list_name, (change,)), as_json=as_json)


@trust.command()
@target_options
@signing_options
@_list
@_id
@click.option(
    "--expected-revision", type=_number, help="Refuse if the newest revision is another one."
)
@json_option
def revoke(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    list_name: str,
    entry_id: str,
    expected_revision: int | None,
    as_json: bool,
) -> None:
    """End an entry of LIST; its history stays. Exit code 1 when that is refused."""
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    change = RevokeEntry(entry_id, expected_revision)
    signing.carry_out(ChangeList(list_name, (change,)), as_json=as_json)


def _ms(time: datetime | None) -> int:
    return 0 if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1000)
