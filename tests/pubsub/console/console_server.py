"""A gateway with its console as a real process, over a chain store that the test writes.

The process is this file run as a program. Whoever has no token may do everything, unless a file
``tokens.json`` is beside the store.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from concordat.free_ports import free_ports
from pubsub.core.rights import Scope
from pubsub.io.console.console import Console
from pubsub.io.gateway import GatewaySettings, serve_gateway
from pubsub.io.rights import RightsSettings
from tests.pubsub.live_server import Live, await_port

ALL = frozenset(Scope) - {Scope.PUBLIC}


@contextmanager
def console_server(directory: Path) -> Iterator[Live]:
    """Run a gateway with a console over ``directory/chain``."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.pubsub.console.console_server", str(directory)]
    with (directory / "console.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(port)], stdout=log, stderr=log, cwd=Path(__file__).parents[3]
        )
    try:
        await_port(process, port)
        yield Live(process, port)
    finally:
        process.kill()
        process.wait()


def main(directory: str, port: str) -> None:
    """Run the gateway until it is killed."""
    home = Path(directory)
    tokens = home / "tokens.json"
    rights = RightsSettings(anonymous=frozenset() if tokens.exists() else ALL, tokens_path=tokens)
    settings = GatewaySettings(
        home / "chain",
        home / "control.sock",
        "member-one",
        rights=rights,
        delivery_dir=home / "delivery",
    )
    serve_gateway(settings, "127.0.0.1", int(port), [Console()])


if __name__ == "__main__":
    main(*sys.argv[1:])
