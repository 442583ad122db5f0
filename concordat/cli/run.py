"""``concordat run``: one node and one gateway, together."""

from pathlib import Path

import click
import structlog

from concordat.cli.options import home_option, recover_option
from concordat.home import Home
from concordat.logs import configure_logs
from concordat.preflight import require_own_packages
from concordat.supervisor import supervise

__all__ = ["run"]


@click.command()
@home_option
@recover_option
def run(*, home: Path, recover: bool) -> None:
    """Run a member: one node and one gateway. When one ends, so does the other.

    Nothing is restarted: leave that to whatever started this (systemd, a container).
    """
    require_own_packages()
    opened = Home.open(home)
    opened.genesis()
    configure_logs(opened.config.log, "run")
    log = structlog.get_logger("concordat")
    arguments = ["--home", str(opened.path)]
    code = supervise(
        {
            "node": ["node", *arguments, *(["--recover"] if recover else [])],
            "gateway": ["gateway", *arguments],
        },
        log.error,
    )
    if code:
        raise SystemExit(code)
