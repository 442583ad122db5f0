"""A gateway with consumers as a process of its own, to be killed; run as a program."""

import subprocess
import sys
from pathlib import Path

from pubsub.core.rights import Scope
from pubsub.io.gateway import GatewaySettings, serve_gateway
from pubsub.io.rights import RightsSettings
from tests.pubsub.live_server import await_port


def start(directory: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start a gateway over ``directory/chain``, and wait until it listens."""
    command = [sys.executable, "-m", "tests.pubsub.consumers.kill_gateway"]
    with (directory / "gateway.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(directory), str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[3],
        )
    await_port(process, port)
    return process


def main(directory: Path, port: int) -> None:
    """Serve until killed."""
    settings = GatewaySettings(
        directory / "chain",
        directory / "control.sock",
        "member-one",
        rights=RightsSettings(anonymous=frozenset(Scope)),
        delivery_dir=directory / "delivery",
    )
    serve_gateway(settings, "127.0.0.1", port)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
