"""``concordat join``: copy the ledger from other members' gateways before the first start."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from concordat.cli.output import emit, json_option
from concordat.compose.joining import Joining, join_network
from concordat.home import Home
from concordat.preflight import require_own_packages
from concordat.progress import Shown
from ledger.io.snapshot_store import SnapshotStore

__all__ = ["join"]


@click.command()
@click.argument("home", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--from",
    "urls",
    multiple=True,
    required=True,
    metavar="URL",
    callback=lambda _context, _option, urls: _require_http(urls),
    help="Gateway of another member; give several, and the next is asked when one fails or lies.",
)
@click.option(
    "--accept-old", is_flag=True, help="Take the newest ledger that is shown, however old it is."
)
@json_option
def join(*, home: Path, urls: tuple[str, ...], accept_old: bool, as_json: bool) -> None:
    """Copy the ledger for the member in HOME, verified piece by piece. Then start `concordat run`.

    For a new member, and for one that lost its disk. Interrupted, it goes on where it was when it
    is started again. An existing safety record is kept; without one the validator signs nothing
    before that is known to be safe.
    """
    require_own_packages()
    opened = Home.open(home)
    genesis = opened.genesis()
    with _Bar() as bar:
        head = join_network(opened, genesis, Joining(urls, accept_old, bar.show))
    document = {"home": str(opened.path), "height": head.height, "events": head.log_size}
    human = (
        f"{opened.path} holds the ledger of {genesis.chain_id} up to block {head.height}: "
        f"{head.log_size} events.\nNext: concordat run --home {opened.path}"
    )
    emit(document, human, as_json=as_json)


def _require_http(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"not an HTTP URL: {url!r}")
    return urls


class _Bar(Shown):
    """Shows on a terminal how many events are here, how fast they come and how long it takes."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("events", total=None, rate="")

    def show(self, store: SnapshotStore) -> None:
        """Show how far the copy is."""
        assert store.manifest is not None
        speed = self._progress.tasks[self._task].speed
        self._progress.update(
            self._task,
            total=store.manifest.root.log_size,
            completed=store.log_size,
            rate="" if speed is None else f"{speed:,.0f} events/s",
        )
