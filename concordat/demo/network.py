"""The demonstration's network: member processes that start, are killed, and leave nothing behind.

Each member is one ``concordat run`` in a process group of its own, so that SIGKILL takes its node
and its gateway in the same instant, and so that a terminal's Ctrl-C comes to the demonstration
alone. The kernel kills them too when the demonstration itself is killed (concordat/process.py).
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import trio

from concordat.demo.vocabulary import Marketplace
from concordat.process import start_child
from concordat.testnet import Ports, Testnet, TestnetPlan, create_testnet, free_ports
from ledger.core.errors import ConcordatError, Unavailable
from ledger.core.limits import STOP_DEADLINE_S
from pubsub.client.async_client import AsyncClient

__all__ = ["TOPIC_PREFIX", "DemoNetwork", "MemberEndedError"]

TOPIC_PREFIX = "catalogue."

_LOG_LINES_SHOWN = 12
_POLL_S = 0.05
_PROBE_MS = 500
_BURIAL_MS = 1_000


class MemberEndedError(ConcordatError):
    """A member's processes ended by themselves; the message has the end of their log."""


class DemoNetwork:
    """Members on this machine.

    Attributes:
        testnet: files of the network; urls: gateway of each validating member, by name.
    """

    def __init__(
        self, directory: Path, validators: Sequence[Marketplace], publishers: Sequence[Marketplace]
    ) -> None:
        """Make the files of a network in ``directory``; nothing runs yet."""
        ports = free_ports(2 * len(validators))
        members = [
            (market.name, Ports(ports[2 * i], ports[2 * i + 1]))
            for i, market in enumerate(validators)
        ]
        self.testnet: Testnet = create_testnet(
            directory,
            TestnetPlan(
                name="demo",
                validators=members,
                publishers=[market.name for market in publishers],
                topic_prefix=TOPIC_PREFIX,
            ),
        )
        self.urls = {name: f"http://127.0.0.1:{ports.gateway}" for name, ports in members}
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a member's processes; their log is ``<name>.log``."""
        assert name not in self._running
        with self._log_path(name).open("ab") as log:
            self._running[name] = start_child(
                ["run", "--home", str(self.testnet.homes[name])],
                own_group=True,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """Kill a member's processes at once, with SIGKILL."""
        child = self._running.pop(name)
        _signal_group(child, signal.SIGKILL)
        child.wait()
        # Its node and gateway are the kernel's to bury; they may still hold files for a moment.
        for _ in range(_BURIAL_MS):
            if not _signal_group(child, 0):
                break
            time.sleep(0.001)

    async def stop(self) -> None:
        """Ask all to end and wait for it."""
        for child in self._running.values():
            child.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_DEADLINE_S):
            while any(  # noqa: ASYNC110 - other processes give no event
                child.poll() is None for child in self._running.values()
            ):
                await trio.sleep(_POLL_S)

    def kill_all(self) -> None:
        """Kill whatever is left. Safe to call at any time."""
        for child in self._running.values():
            _signal_group(child, signal.SIGKILL)
        for name in list(self._running):
            self.kill(name)

    async def wait_ready(self, name: str) -> None:
        """Wait until a member's gateway answers and its node makes progress.

        Raises:
            MemberEndedError: a member ended instead.
        """
        async with AsyncClient(self.urls[name], give_up_ms=_PROBE_MS) as client:
            while not await _is_ready(client):
                self.require_running()
                await trio.sleep(_POLL_S)

    async def log_size(self, name: str) -> int:
        """Give the number of events in a member's ledger; -1 while it cannot be asked."""
        async with AsyncClient(self.urls[name], give_up_ms=_PROBE_MS) as client:
            with suppress(ConcordatError):
                status = await client.status()
                if status.chain is not None:
                    return status.chain.log_size
        return -1

    def require_running(self) -> None:
        """Raise MemberEndedError when a member that should run has ended."""
        for name, child in self._running.items():
            if child.poll() is not None:
                lines = self._log_path(name).read_text(errors="replace").splitlines()
                shown = "\n  ".join(lines[-_LOG_LINES_SHOWN:])
                raise MemberEndedError(
                    f"{name} ended with exit code {child.returncode}:\n  {shown}"
                )

    def _log_path(self, name: str) -> Path:
        return self._directory / f"{name}.log"


async def _is_ready(client: AsyncClient) -> bool:
    try:
        status = await client.status()
    except Unavailable:
        return False
    return status.progress.state == "ok" and status.gateway.node_connected


def _signal_group(child: subprocess.Popen[bytes], number: int) -> bool:
    """Signal every process of a member; say whether there was one."""
    try:
        # The group lives as long as any process in it, and its id is that of its first one.
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True
