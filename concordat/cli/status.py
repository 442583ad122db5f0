"""``concordat status``: how a member is doing, and why when it is not."""

import time
from pathlib import Path

import click
from rich.table import Table

from concordat.cli.failure import ExitCode
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option
from concordat.cli.rest import token_option
from concordat.cli.watch import watch
from concordat.cli.watch_view import read_node
from ledger.core.errors import Unavailable
from pubsub.client.sync_client import Client
from pubsub.core.documents import Status

__all__ = ["status"]

_GIVE_UP_MS = 3_000
_POLL_S = 0.1


@click.command()
@target_options
@token_option
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 3600),
    default=0,
    metavar="SECONDS",
    help="Ask again until the member makes progress, for at most so long.",
)
@click.option("--watch", "watches", is_flag=True, help="Go on showing it, until Ctrl-C.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: time between two looks.",
)
@click.option(
    "--count", type=click.IntRange(1), help="With --watch: end after so many looks.", metavar="N"
)
@click.option(
    "--also",
    multiple=True,
    metavar="URL",
    help="With --watch: show another member's gateway beside. May be repeated.",
)
@json_option
def status(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    token: str | None,
    wait_s: int,
    watches: bool,
    interval_s: float,
    count: int | None,
    also: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show how a member is doing. Exit code 0 when it makes progress, 3 when it does not."""
    target = Target.find(home, url, genesis_file)
    if watches:
        urls = [one.rstrip("/") for one in (target.url, *also)]
        if not watch(urls, token, (interval_s, count), as_json=as_json):
            raise SystemExit(ExitCode.UNAVAILABLE)
        return
    deadline = time.monotonic() + wait_s
    with Client(target.url, token=token, give_up_ms=_GIVE_UP_MS) as client:
        while (found := _ask(client, deadline)) is None:
            time.sleep(_POLL_S)
    emit(found, _table(found), as_json=as_json)
    if not _is_well(found):
        raise SystemExit(ExitCode.UNAVAILABLE)


def _ask(client: Client, deadline: float) -> Status | None:
    """Give the status, or None while it is not good and there is time left."""
    is_last = time.monotonic() >= deadline
    try:
        found = client.status()
    except Unavailable:
        if is_last:
            raise
        return None
    return found if is_last or _is_well(found) else None


def _is_well(found: Status) -> bool:
    return found.progress.state in ("ok", "behind")


def _table(found: Status) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_row("network", found.chain_id or "unknown: the store cannot be read")
    table.add_row("member", f"{found.gateway.name} (gateway {found.gateway.version})")
    table.add_row("progress", f"{found.progress.state}: {found.progress.explanation}")
    if found.chain is not None:
        age_s = found.chain.age_ms / 1000
        table.add_row("chain", f"block {found.chain.height}, made {age_s:.1f} s ago")
        first = found.chain.first_sequence
        held = f" (contents from sequence {first} on)" if first else ""
        table.add_row("events", f"{found.chain.log_size}{held}")
    table.add_row("node", _node(found))
    table.add_row("streams", str(found.gateway.streams))
    return table


def _node(found: Status) -> str:
    if not found.gateway.node_connected:
        return f"not reached: {found.gateway.node_error or 'no answer'}"
    view = read_node(bytes(found.node))
    if view is None:
        return "connected"
    missing = f", missing {', '.join(view.missing)}" if view.missing else ""
    return (
        f"round {view.round}, led by {view.leader}; {view.connected} of {view.validators} "
        f"validators connected{missing}; {view.mempool_entries} events wait"
    )
