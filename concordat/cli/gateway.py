"""``concordat gateway``: a member's gateway alone."""

from pathlib import Path

import click

from concordat.cli.options import home_option
from concordat.compose.gateway import run_gateway
from concordat.home import Home
from concordat.logs import configure_logs
from concordat.preflight import require_own_packages

__all__ = ["gateway"]


@click.command()
@home_option
def gateway(*, home: Path) -> None:
    """Run a member's gateway: the HTTP API. Stops on SIGINT or SIGTERM."""
    require_own_packages()
    opened = Home.open(home)
    configure_logs(opened.config.log, "gateway")
    run_gateway(opened)
