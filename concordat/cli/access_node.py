"""``concordat access-node``: a member's TM Forum access node."""

from pathlib import Path

import click

from concordat.cli.options import home_option
from concordat.cli.passwords import open_member_key
from concordat.compose.access_node import run_access_node
from concordat.home import Home
from concordat.logs import configure_logs
from concordat.preflight import require_own_packages

__all__ = ["access_node"]


@click.command("access-node")
@home_option
def access_node(*, home: Path) -> None:
    """Run a member's TM Forum access node. Stops on SIGINT or SIGTERM.

    It needs the member's publisher key, the genesis file and a gateway, but no validator here.
    """
    require_own_packages()
    opened = Home.open(home)
    configure_logs(opened.config.log, "access-node")
    run_access_node(opened, lambda: open_member_key(opened))
