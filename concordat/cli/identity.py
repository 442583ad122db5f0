"""``concordat identity``: participants and their keys."""

from pathlib import Path

import click

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option
from concordat.cli.participant_file import participant_of
from concordat.cli.passwords import open_key_with_password
from concordat.cli.trust_output import facts, reading_line
from concordat.cli.writing import Signing, signing_options
from concordat.home import Home
from ledger.core.trust.operations import RegisterParticipant, RevokeKey
from ledger.io.keystore import KeyPurpose, read_key_info
from pubsub.client.sync_client import Client
from pubsub.core.trust_documents import participant_document

__all__ = ["identity"]

_file = click.Path(dir_okay=False, path_type=Path)
_KEY_BYTES = 32


@click.group()
def identity() -> None:
    """See participants; add and revoke one's own keys; register others."""


@identity.command()
@target_options
@click.argument("did", required=False)
@click.option("--unverified", is_flag=True, help="Believe the gateway; needs no genesis file.")
@json_option
def show(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    did: str | None,
    unverified: bool,
    as_json: bool,
) -> None:
    """Show keys and rights of DID (default: the home's), proven. Exit code 1 when unknown."""
    target = Target.find(home, url, genesis_file)
    who = did or read_key_info(Home.open(home).publisher_key_path).owner
    with Client(target.url, None if unverified else target.genesis()) as client:
        reading = client.trust.participant(who, verified=not unverified)
    if reading.value is None:
        raise CommandFailed(
            f"{who} is no participant", hint=f"{reading_line(reading).capitalize()}."
        )
    document = participant_document(reading.value)
    rows = [("participant", document.did), ("name", document.name)]
    rows += [("key", item.key + (" REVOKED" if item.revoked else "")) for item in document.keys]
    rows += [("may publish to", topic) for topic in document.topics]
    rows.append(("", reading_line(reading)))
    emit(document, facts(rows), as_json=as_json)


@identity.command("add-key")
@target_options
@signing_options
@click.argument("new_key", type=_file)
@click.option("--new-password-file", type=_file, help="Password of the new key. Default: ask.")
@json_option
def add_key(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    new_key: Path,
    new_password_file: Path | None,
    as_json: bool,
) -> None:
    """Let the publisher key in the file NEW_KEY speak for the same participant, too."""
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    new = open_key_with_password(new_key, KeyPurpose.PUBLISHER, new_password_file)
    if new.info.owner != signing.publisher.did:
        raise CommandFailed(
            f"{new_key} is a key of {new.info.owner}, not of {signing.publisher.did}",
            ExitCode.USAGE,
        )
    signing.carry_out(signing.publisher.new_key(new.signer), as_json=as_json)


@identity.command("revoke-key")
@target_options
@signing_options
@click.argument("key")
@json_option
def revoke_key(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    key: str,
    as_json: bool,
) -> None:
    """Revoke KEY (64 hexadecimal digits) of the signing participant for ever; never the last."""
    try:
        value = bytes.fromhex(key)
    except ValueError:
        value = b""
    if len(value) != _KEY_BYTES:
        raise CommandFailed(f"not a public key: {key!r}", ExitCode.USAGE, "64 hexadecimal digits.")
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(RevokeKey(value), as_json=as_json)


@identity.command()
@target_options
@signing_options
@click.argument("entry", type=_file)
@json_option
def register(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    entry: Path,
    as_json: bool,
) -> None:
    """Register the participant in ENTRY, as a registrar: no reserved topics, no keys of others.

    ENTRY is what `concordat keys export-public` prints.
    """
    operation = RegisterParticipant(participant_of(entry))
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(operation, as_json=as_json)
