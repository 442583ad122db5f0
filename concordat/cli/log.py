"""``concordat log``: the ledger as a transparency log. What it prints was verified from genesis."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option, moment
from ledger.core.errors import DecodeError, ProofError
from ledger.core.limits import NOTE_BYTES_MAX
from ledger.core.tlog.checkpoint import Checkpoint, parse_checkpoint_text
from ledger.core.tlog.note import parse_note
from ledger.core.tlog.policy import policy_of, write_policy
from pubsub.client.calls import event_id_of
from pubsub.client.exchange import Gateways, Timing
from pubsub.client.sync_client import Client
from pubsub.client.tlog import CheckedLog, LogCalls, verify_extension

__all__ = ["log"]

_file = click.Path(dir_okay=False, path_type=Path)
_output = click.option(
    "--output", type=_file, help="Write it to this file. Default: standard output."
)


@click.group()
def log() -> None:
    """Read the ledger as a transparency log: checkpoints that a quorum of validators cosigned."""


@log.command()
@target_options
@_output
def checkpoint(
    *, home: Path, url: str | None, genesis_file: Path | None, output: Path | None
) -> None:
    """Print the newest checkpoint, a signed note, verified from the genesis file."""
    target = Target.find(home, url, genesis_file)
    with _reading(target) as (client, calls):
        found = client.run(calls.checkpoint())
    _write(found.note, output)


@log.command()
@target_options
@_output
def policy(*, home: Path, url: str | None, genesis_file: Path | None, output: Path | None) -> None:
    """Print the policy that checkpoints must meet, for `concordat verify` and other tools.

    The gateway shows how every epoch ended; the validators follow from the genesis file alone. They
    may have changed since: ask again now and then.
    """
    target = Target.find(home, url, genesis_file)
    genesis = target.genesis()
    with _reading(target) as (client, calls):
        start = client.run(calls.epochs())[-1]
    validators = start.validator_set()
    text = write_policy(
        policy_of(genesis.chain_id, validators),
        f"{genesis.chain_id}, epoch {start.number}, which began at {moment(start.time_ms)}",
        f"any {validators.quorum} of {len(validators)} validators",
    )
    _write(text, output)


@log.command()
@target_options
@click.option(
    "--since",
    type=click.File("rb"),
    help="A checkpoint that was kept: verify that the log extends it.",
)
@json_option
def verify(
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    since: BinaryIO | None,
    as_json: bool,
) -> None:
    """Verify the newest checkpoint, and that the log extends an earlier one of `log checkpoint`."""
    target = Target.find(home, url, genesis_file)
    old = None if since is None else _kept(since.read(NOTE_BYTES_MAX + 1))
    with _reading(target) as (client, calls):
        found = client.run(calls.checkpoint())
        if old is not None:
            size = found.checkpoint.size
            verify_extension(
                old, found.checkpoint, lambda level, at: client.run(calls.tile(size, level, at))
            )
    document, human = _describe(found, old)
    emit(document, human, as_json=as_json)


@log.command()
@target_options
@_output
@click.argument("event_id")
def proof(
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    output: Path | None,
    event_id: str,
) -> None:
    """Print the proof that the log holds the event with EVENT_ID, for `concordat verify`.

    It is ready within seconds of the event; the command waits for it.
    """
    target = Target.find(home, url, genesis_file)
    try:
        id_ = event_id_of(event_id)
    except ValueError as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from None
    with _reading(target) as (client, calls):
        found = client.run(calls.proof(id_))
    if found is None:
        raise CommandFailed(f"the ledger of {target.url} holds no event {event_id}")
    _write(found, output)


@contextmanager
def _reading(target: Target) -> Iterator[tuple[Client, LogCalls]]:
    genesis = target.genesis()
    try:
        with Client(target.url, genesis) as client:
            yield client, LogCalls(Gateways([target.url], Timing()), genesis)
    except ProofError as error:
        raise CommandFailed(
            f"THE LOG OF {target.url} DOES NOT HOLD: {error}",
            hint="Keep what it answered; more than f validators may be signing two histories.",
        ) from None


def _kept(data: bytes) -> Checkpoint:
    try:
        return parse_checkpoint_text(parse_note(data).text)
    except DecodeError as error:
        raise CommandFailed(f"--since is no checkpoint: {error}", ExitCode.USAGE) from None


def _describe(found: CheckedLog, old: Checkpoint | None) -> tuple[dict[str, object], str]:
    newest, epoch = found.checkpoint, found.start.number
    document: dict[str, object] = {
        "verified": True,
        "origin": newest.origin,
        "size": newest.size,
        "root": newest.root.hex(),
        "time_s": found.time_s,
        "epoch": epoch,
        "cosigners": sorted(found.cosigned.times_s),
        "extends": None if old is None else old.size,
    }
    count = f"{len(found.cosigned.times_s)} of {len(found.start.members)}"
    when = moment(found.time_s * 1_000)
    lines = [
        f"The log {newest.origin} holds {newest.size} events, as of {when}.",
        f"  root       {newest.root.hex()}",
        f"  cosigned   by {count} validators of epoch {epoch}",
    ]
    if not found.is_newest:
        lines.append("  NOTE       a later epoch has begun; its validators have not cosigned yet")
    if old is not None:
        lines.append(f"  extends    the log of {old.size} events that you kept")
    return document, "\n".join(lines)


def _write(content: bytes, output: Path | None) -> None:
    if output is None:
        click.echo(content, nl=False)
    else:
        output.write_bytes(content)
        click.echo(f"{output}: verified from the genesis file")
