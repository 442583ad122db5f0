"""``concordat publish``: sign events and hand them in."""

from pathlib import Path
from typing import BinaryIO, Literal

import click
import msgspec

from concordat.cli.drafts import Draft, read_drafts, sign_draft
from concordat.cli.failure import CommandFailed
from concordat.cli.options import Target, target_options
from concordat.cli.output import json_option
from concordat.cli.passwords import open_key_with_password
from concordat.cli.receipts import show_receipt
from concordat.cli.rest import token_option
from concordat.home import Home
from ledger.io.keystore import KeyPurpose
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client

__all__ = ["publish"]

_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@target_options
@token_option
@click.option("--key", "key_file", type=_file, help="Publisher key. Default: that of the home.")
@click.option("--password-file", type=_file, help="Password of the key. Default: ask.")
@click.option("--file", "source", type=click.File("rb"), help="Events as JSON, one a line; - reads")
@click.option("--topic", help="Topic to publish to.")
@click.option("--type", "type_", help="What happened, such as ProductOffering.create.")
@click.option("--subject", default="", help="Id of the entity that it happened to.")
@click.option("--entity-hash", default="", help="Digest of its content, 64 hexadecimal digits.")
@click.option("--previous-hash", default="", help="Digest of its content before.")
@click.option("--location", default="", help="URL of its content.")
@click.option("--content-type", default="", help="Media type of its content.")
@click.option("--data", help="Small inline content, as text.")
@click.option("--tag", "tags", multiple=True, help="Label for filters; may be repeated.")
@click.option(
    "--wait",
    type=click.Choice(["accepted", "final", "proof"]),
    default="final",
    show_default=True,
    help="Return when a node took it over, when it is in the ledger for ever, or proven.",
)
@json_option
def publish(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    token: str | None,
    key_file: Path | None,
    password_file: Path | None,
    source: BinaryIO | None,
    wait: Literal["accepted", "final", "proof"],
    as_json: bool,
    **parts: object,
) -> None:
    """Sign and publish one event from options, or those of a file. Prints one receipt each.

    Exit code 1 when any was refused. Publishing the same file again makes new events.
    """
    drafts = [_draft(parts)] if source is None else list(read_drafts(source.read()))
    target = Target.find(home, url, genesis_file)
    genesis = target.genesis()
    path = key_file or Home.open(home).publisher_key_path
    key = open_key_with_password(path, KeyPurpose.PUBLISHER, password_file)
    publisher = Publisher(key.info.owner, key.signer, genesis.chain_id)
    entries = [sign_draft(publisher, draft) for draft in drafts]
    with Client(target.url, genesis, token=token) as client:
        receipts = client.publish_many(entries, wait)
    for receipt in receipts:
        show_receipt(receipt, as_json=as_json)
    refused = sum(receipt.status == "refused" for receipt in receipts)
    if refused:
        raise CommandFailed(f"{refused} of {len(receipts)} events were refused")


def _draft(parts: dict[str, object]) -> Draft:
    if not parts["topic"] or not parts["type_"]:
        raise click.UsageError("give --topic and --type for one event, or --file for several")
    data = parts["data"]
    return Draft(
        topic=str(parts["topic"]),
        type=str(parts["type_"]),
        subject=str(parts["subject"]),
        entityhash=str(parts["entity_hash"]),
        previoushash=str(parts["previous_hash"]),
        dataref=str(parts["location"]),
        datacontenttype=str(parts["content_type"]),
        data=msgspec.Raw(b"" if data is None else msgspec.json.encode(data)),
        tags=msgspec.convert(parts["tags"], tuple[str, ...]),
    )
