"""``concordat backup`` and ``restore``: a member's ledger and settings, without its keys."""

from pathlib import Path

import click
import msgspec

from concordat.backup import make_backup, restore_backup
from concordat.cli.options import home_option
from concordat.cli.output import emit, json_option
from concordat.home import Home
from concordat.preflight import require_own_packages
from concordat.progress import BytesBar

__all__ = ["backup", "restore"]

_directory = click.Path(file_okay=False, path_type=Path)


@click.command()
@home_option
@click.option("--to", "target", type=_directory, required=True, help="A new directory.")
@json_option
def backup(*, home: Path, target: Path, as_json: bool) -> None:
    """Copy a member's ledger and settings to a new directory, while it runs or not.

    Private keys and the safety record are not in it: keep the keys elsewhere; the safety record
    must never come out of a backup.
    """
    require_own_packages()
    opened = Home.open(home)
    with BytesBar("copying") as bar:
        manifest = make_backup(opened, target, bar.show)
    human = (
        f"{target} holds the ledger of {manifest.chain_id} up to block {manifest.height}: "
        f"{manifest.events} events.\nIt holds no private key: keep {opened.path / 'keys'}, and the "
        f"password, in another place."
    )
    emit(msgspec.structs.asdict(manifest), human, as_json=as_json)


@click.command()
@click.argument("home", type=_directory)
@click.option("--from", "source", type=_directory, required=True, help="The backup's directory.")
@click.option("--keys", type=_directory, help="Directory of the key files that were kept apart.")
@json_option
def restore(*, home: Path, source: Path, keys: Path | None, as_json: bool) -> None:
    """Put a backup back in HOME. What is there already is kept; a ledger that is there is refused.

    The validator signs nothing before its peers have proven that this is safe. Never restore a
    member that may still run elsewhere.
    """
    require_own_packages()
    with BytesBar("checking and copying") as bar:
        opened = restore_backup(home, source, keys, bar.show)
    config = opened.config
    has_record = opened.resolve(config.node.safety_dir).exists()
    start = f"concordat run --home {opened.path}"
    if not has_record:
        start = f"put the keys into {opened.path / 'keys'}, then {start} --recover"
    document = {"home": str(opened.path), "has_safety_record": has_record}
    emit(document, f"Restored {opened.path}.\nNext: {start}", as_json=as_json)
