"""``concordat gateway``: a member's gateway alone."""

from pathlib import Path

import click

from concordat.cli.options import home_option
from concordat.cli.passwords import open_key_with_password
from concordat.compose.dlt_adapter import dlt_adapter
from concordat.compose.gateway import run_gateway
from concordat.compose.node import require_permitted_key
from concordat.home import Home
from concordat.logs import configure_logs
from concordat.preflight import require_own_packages
from ledger.io.keystore import KeyPurpose
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
    config = home.config
    if not config.dlt_adapter.enabled:
        return []
    password = home.resolve(config.keys.password_file) if config.keys.password_file else None
    path = home.resolve(config.dlt_adapter.key)
    publisher = open_key_with_password(path, KeyPurpose.PUBLISHER, password)
    require_permitted_key(config, publisher.info)
    return [dlt_adapter(home, publisher)]
