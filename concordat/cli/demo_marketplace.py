"""``concordat demo-marketplace``: a product's journey through three marketplaces."""

from pathlib import Path

import click

from concordat.cli.demo import in_directory, until_signalled
from concordat.cli.failure import CommandFailed, ExitCode
from concordat.demo.journey import VALIDATORS, travel
from concordat.demo.screen import Screen
from concordat.preflight import require_own_packages

__all__ = ["demo_marketplace"]


@click.command("demo-marketplace")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the network's files and logs in this new directory. Default: a temporary one.",
)
def demo_marketplace(*, home: Path | None) -> None:
    """Show a product described, certified, sold and used across three marketplaces.

    Real processes on this machine, one marketplace killed and one validator silent meanwhile. Exit
    code 1 when anything that is promised did not hold. Ctrl-C at any time leaves nothing running.
    """
    require_own_packages()
    with in_directory(home) as directory, Screen(len(VALIDATORS), 0) as screen:
        checks = until_signalled(lambda: travel(directory, screen))
        if checks is None:
            screen.say("interrupted: every process of the demonstration has ended")
            raise SystemExit(ExitCode.INTERRUPTED)
        screen.show(checks)
        if not all(check.held for check in checks):
            raise CommandFailed("the demonstration did not show what it promises")
    click.echo("\nNext: docs/adapters/access-node.md.")
