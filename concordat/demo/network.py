"""A demonstration's network: member processes that start, are killed, and leave nothing behind.

Each member is one ``concordat run`` in a process group of its own, so that SIGKILL takes its node
and its gateway in the same instant, and so that a terminal's Ctrl-C comes to the demonstration
alone. An access node is a process beside it. The kernel kills them too when the demonstration
itself is killed (concordat/process.py).
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import trio

from concordat.free_ports import free_ports
from concordat.process import start_child
from concordat.testnet import Ports, Testnet, TestnetPlan, create_testnet
from ledger.core.errors import ConcordatError, Unavailable
from ledger.core.limits import STOP_DEADLINE_S
from pubsub.client.async_client import AsyncClient

__all__ = ["DemoNetwork", "MemberEndedError"]

_LOG_LINES_SHOWN = 12
_HOST = "127.0.0.1"
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

    def __init__(self, directory: Path, plan: TestnetPlan) -> None:
        """Make the files of a network in ``directory``; nothing runs yet."""
        self.testnet: Testnet = create_testnet(directory, plan)
        self.urls: dict[str, str] = {}
        self._access_urls: dict[str, str] = {}
        for name, ports in plan.validators:
            self.urls[name] = f"http://{_HOST}:{ports.gateway}"
            self._access_urls[name] = f"http://{_HOST}:{ports.access_node}"
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def draw_ports(names: Sequence[str]) -> list[tuple[str, Ports]]:
        """Give each name ports of this machine that are free."""
        ports = iter(free_ports(3 * len(names)))
        return [(name, Ports(next(ports), next(ports), next(ports))) for name in names]

    def access_url(self, name: str) -> str:
        """Give where a member's access node is served."""
        return self._access_urls[name]

    def token_file(self, name: str) -> Path:
        """Give the file that holds the token of an access node's operator, once it runs."""
        return self.testnet.homes[name] / "keys" / "access-node-token"

    def start(self, name: str, command: str = "run") -> None:
        """Start a member's processes, or its access node; their log is ``<name>[-...].log``."""
        label = _label(name, command)
        assert label not in self._running
        with self._log_path(label).open("ab") as log:
            self._running[label] = start_child(
                [command, "--home", str(self.testnet.homes[name])],
                own_group=True,
                stdout=log,
                stderr=log,
            )

    def silence(self, name: str) -> None:
        """Let a member's processes say nothing more until :meth:`go_on`."""
        _signal_group(self._running[name], signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Let a silenced member go on."""
        _signal_group(self._running[name], signal.SIGCONT)

    def kill(self, name: str, command: str = "run") -> None:
        """Kill a member's processes, or its access node, at once with SIGKILL."""
        self._kill(_label(name, command))

    def _kill(self, label: str) -> None:
        child = self._running.pop(label)
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
        for label in list(self._running):
            self._kill(label)

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
        for label, child in self._running.items():
            if child.poll() is not None:
                lines = self._log_path(label).read_text(errors="replace").splitlines()
                shown = "\n  ".join(lines[-_LOG_LINES_SHOWN:])
                raise MemberEndedError(
                    f"{label} ended with exit code {child.returncode}:\n  {shown}"
                )

    def _log_path(self, label: str) -> Path:
        return self._directory / f"{label}.log"


def _label(name: str, command: str) -> str:
    return name if command == "run" else f"{name}-{command}"


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
