"""A gateway as a real process on a loopback port, for tests that need real HTTP.

The process is this file run as a program; the test keeps the chain store's writer and may play
the node.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from concordat.free_ports import free_ports
from ledger.core.errors import InvariantError, Unavailable
from pubsub.io.gateway import GatewaySettings, serve_gateway

START_S = 20


class Live(NamedTuple):
    """A running gateway."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Open a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=START_S)

    def exchange(self, data: bytes) -> bytes:
        """Send bytes and read until the gateway closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@contextmanager
def live_gateway(directory: Path, **settings: int) -> Iterator[Live]:
    """Run a gateway over ``directory/chain`` and ``directory/control.sock``."""
    (port,) = free_ports(1)
    rows = [f"{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "tests.pubsub.live_server", str(directory), str(port), *rows]
    with (directory / "gateway.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        await_port(process, port)
        yield Live(process, port)
    finally:
        process.kill()
        process.wait()


def await_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the process takes connections."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"the gateway did not start: {process.poll()}")


def main(directory: str, port: str, *settings: str) -> int:
    """Run the gateway until it is told to end; the exit code is 1 when it could not."""
    numbers = {name: int(value) for name, value in (row.split("=") for row in settings)}
    home = Path(directory)
    try:
        serve_gateway(
            GatewaySettings(home / "chain", home / "control.sock", "member-one", **numbers),  # type: ignore[arg-type] # the fields that are numbers
            "127.0.0.1",
            int(port),
        )
    except (Unavailable, InvariantError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
