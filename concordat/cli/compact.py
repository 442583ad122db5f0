"""``concordat compact``: give the disk the space back that a member's ledger does not use."""

from pathlib import Path

import click

from concordat.cli.options import home_option
from concordat.cli.output import emit, json_option
from concordat.home import Home
from concordat.preflight import require_own_packages
from concordat.progress import BytesBar
from ledger.io.chain_compaction import compact_chain
from ledger.io.store_copy import store_bytes

__all__ = ["compact"]


@click.command()
@home_option
@json_option
def compact(*, home: Path, as_json: bool) -> None:
    """Rewrite the ledger without its free pages. The member must be stopped.

    The old ledger stays until the new one is checked and on the disk; so there must be room for
    both. Interrupted, it changes nothing.
    """
    require_own_packages()
    opened = Home.open(home)
    genesis = opened.genesis()
    chain_dir = opened.resolve(opened.config.node.chain_dir)
    with BytesBar("compacting") as bar:
        won = compact_chain(chain_dir, genesis, bar.show)
    present = store_bytes(chain_dir)
    document = {"bytes": present, "bytes_won": won}
    human = (
        f"{chain_dir} takes {present / 2**20:,.1f} MiB, {won / 2**20:,.1f} MiB less than before."
    )
    emit(document, human, as_json=as_json)
