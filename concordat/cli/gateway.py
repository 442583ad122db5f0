"""``concordat gateway``: a member's gateway alone."""

from pathlib import Path

import click

from concordat.cli.options import home_option
from concordat.cli.passwords import open_member_key
from concordat.compose.gateway import run_gateway, wants_facades
from concordat.home import Home
from concordat.logs import configure_logs
from concordat.preflight import require_own_packages
from pubsub.io.facade import Facade

__all__ = ["gateway"]


@click.command()
@home_option
def gateway(*, home: Path) -> None:
    """Run a member's gateway: the HTTP API. Stops on SIGINT or SIGTERM."""
    require_own_packages()
    opened = Home.open(home)
    configure_logs(opened.config.log, "gateway")
    run_gateway(opened, _facades(opened))


def _facades(home: Home) -> list[Facade]:
    """Make the facades that the configuration asks for."""
    if not wants_facades(home.config):
        return []
    # A gateway without facades loads none of what they need.
    from concordat.compose.facades import build_facades  # noqa: PLC0415

    return build_facades(home, lambda: open_member_key(home))
