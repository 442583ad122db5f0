"""``concordat node``: a member's node alone."""

from pathlib import Path

import click

from concordat.cli.options import home_option, recover_option
from concordat.cli.passwords import open_key_with_password
from concordat.compose.node import node_settings, recover_stores, run_node
from concordat.compose.permitted import require_permitted_key
from concordat.home import Home
from concordat.logs import configure_logs
from concordat.names import validator_name
from concordat.preflight import require_own_packages
from ledger.io.keystore import KeyPurpose

__all__ = ["node"]


@click.command()
@home_option
@recover_option
def node(*, home: Path, recover: bool) -> None:
    """Run a member's node: consensus and the store. Stops on SIGINT or SIGTERM.

    A member that is no validator yet follows the ledger until governors make it one. A validator
    that governors removed ends with exit code 0 when the network goes on without it.
    """
    require_own_packages()
    opened = Home.open(home)
    config = opened.config
    configure_logs(config.log, "node")
    genesis = opened.genesis()
    password = opened.resolve(config.keys.password_file) if config.keys.password_file else None
    keys = [
        open_key_with_password(opened.resolve(name), purpose, password)
        for name, purpose in (
            (config.keys.validator, KeyPurpose.VALIDATOR),
            (config.keys.peer, KeyPurpose.PEER),
        )
    ]
    for key in keys:
        require_permitted_key(config, key.info)
    if recover:
        recover_stores(opened, genesis)
    settings = node_settings(opened, genesis, *keys)
    run_node(settings, validator_name(opened, genesis, keys[0].info.public_key))
