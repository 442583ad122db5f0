"""``concordat keys``: make and show key files."""

from pathlib import Path

import click
import msgspec

from concordat.cli.output import emit, json_option
from concordat.cli.passwords import key_password, new_password, read_password_file
from concordat.membership import participant_entry
from ledger.io.keystore import KeyInfo, KeyPurpose, create_key, read_key_info, reseal_key

__all__ = ["keys"]

_path = click.Path(dir_okay=False, path_type=Path)
_password_file = click.option(
    "--password-file", type=_path, help="File whose first line is the password. Default: ask."
)


@click.group()
def keys() -> None:
    """Make and show key files."""


@keys.command()
@click.argument("file", type=_path)
@click.option(
    "--purpose",
    type=click.Choice([purpose.value for purpose in KeyPurpose]),
    default=KeyPurpose.PUBLISHER.value,
    show_default=True,
    help="What the key is for; it serves for nothing else.",
)
@click.option("--did", required=True, help="DID of the organisation whose key it is.")
@_password_file
@click.option("--unencrypted", is_flag=True, help="No password. For development networks only.")
@json_option
def new(  # noqa: PLR0913 - one argument for each option
    *,
    file: Path,
    purpose: str,
    did: str,
    password_file: Path | None,
    unencrypted: bool,
    as_json: bool,
) -> None:
    """Make a new key in FILE, which must not exist."""
    password = None if unencrypted else new_password(password_file)
    _show(create_key(file, KeyPurpose(purpose), did, password=password), as_json=as_json)


@keys.command()
@click.argument("file", type=_path)
@json_option
def show(*, file: Path, as_json: bool) -> None:
    """Show whose key is in FILE and what for. Needs no password."""
    _show(read_key_info(file), as_json=as_json)


@keys.command()
@click.argument("file", type=_path)
@click.option("--password-file", type=_path, help="The present password. Default: ask.")
@click.option("--new-password-file", type=_path, required=True, help="File with the new one.")
@json_option
def reseal(
    *, file: Path, password_file: Path | None, new_password_file: Path, as_json: bool
) -> None:
    """Seal the key in FILE with another password. The key stays what it is."""
    password = key_password(file, password_file)
    new_password = read_password_file(new_password_file)
    _show(reseal_key(file, password=password, new_password=new_password), as_json=as_json)


@keys.command("export-public")
@click.argument("file", type=_path)
@click.option("--name", required=True, help="Name of the participant, for people.")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    required=True,
    help="Pattern of topics to publish to, such as shop.>; may be repeated.",
)
def export_public(*, file: Path, name: str, topics: tuple[str, ...]) -> None:
    """Print the participant entry of the publisher key in FILE, for the genesis file."""
    info = read_key_info(file)
    if info.purpose != KeyPurpose.PUBLISHER:
        raise click.UsageError(f"{file} holds a {info.purpose} key; only publishers participate")
    entry = participant_entry(info.owner, info.public_key, name, topics)
    click.echo(msgspec.json.format(msgspec.json.encode(entry), indent=2))


def _show(info: KeyInfo, *, as_json: bool) -> None:
    document = {
        "file": str(info.path),
        "purpose": info.purpose.value,
        "did": info.owner,
        "public_key": info.public_key.hex(),
        "is_sealed": info.is_sealed,
    }
    protection = "a password" if info.is_sealed else "nothing: FOR DEVELOPMENT ONLY"
    human = (
        f"{info.path}\n"
        f"  {info.purpose} key of {info.owner}\n"
        f"  public key    {info.public_key.hex()}\n"
        f"  protected by  {protection}"
    )
    emit(document, human, as_json=as_json)
