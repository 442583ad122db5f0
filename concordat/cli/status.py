"""``concordat status``: how a member is doing, and why when it is not."""

from pathlib import Path
from typing import Annotated

import click
import msgspec
from msgspec import Meta
from rich.table import Table

from concordat.cli.failure import ExitCode
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option
from pubsub.client.sync_client import Client
from pubsub.core.documents import Status

__all__ = ["status"]

_GIVE_UP_MS = 3_000


class _NodeView(msgspec.Struct, frozen=True):
    """The parts of the node's own status document that people look at first."""

    round: int = 0
    leader: str = ""
    connected: int = 0
    validators: int = 0
    missing: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    mempool_entries: int = 0


@click.command()
@target_options
@json_option
def status(*, home: Path, url: str | None, genesis_file: Path | None, as_json: bool) -> None:
    """Show how a member is doing. Exit code 0 when it makes progress, 3 when it does not."""
    target = Target.find(home, url, genesis_file)
    with Client(target.url, give_up_ms=_GIVE_UP_MS) as client:
        found = client.status()
    emit(found, _table(found), as_json=as_json)
    if found.progress.state not in ("ok", "behind"):
        raise SystemExit(ExitCode.UNAVAILABLE)


def _table(found: Status) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_row("network", found.chain_id or "unknown: the store cannot be read")
    table.add_row("member", f"{found.gateway.name} (gateway {found.gateway.version})")
    table.add_row("progress", f"{found.progress.state}: {found.progress.explanation}")
    if found.chain is not None:
        age_s = found.chain.age_ms / 1000
        table.add_row("chain", f"block {found.chain.height}, made {age_s:.1f} s ago")
        table.add_row("events", str(found.chain.log_size))
    table.add_row("node", _node(found))
    table.add_row("streams", str(found.gateway.streams))
    return table


def _node(found: Status) -> str:
    if not found.gateway.node_connected:
        return f"not reached: {found.gateway.node_error or 'no answer'}"
    view = msgspec.json.decode(found.node, type=_NodeView | None)
    if view is None:
        return "connected"
    missing = f", missing {', '.join(view.missing)}" if view.missing else ""
    return (
        f"round {view.round}, led by {view.leader}; {view.connected} of {view.validators} "
        f"validators connected{missing}; {view.mempool_entries} events wait"
    )
