"""A network of real processes on this machine, for tests and measurements: started, hurt, ended.

Owns which process of which member should be running, and that none outlives its owner: every child
dies with this process (``concordat.process``), and ``close`` ends what is left, stopped ones too.
Node and gateway of a member are children of their own, so that each can be hurt and measured.

All methods belong to the main thread; none waits for more than an exit that was asked for.
"""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from concordat.compose.node import make_stores
from concordat.config_file import Value
from concordat.free_ports import free_ports
from concordat.home import Home
from concordat.membership import Member, create_home
from concordat.process import start_child
from concordat.supervisor import describe_end
from concordat.testnet import Ports, Testnet, TestnetPlan, create_testnet
from ledger.core.signing import SeedSigner
from ledger.io.keystore import KeyPurpose, open_key, write_private_file

__all__ = ["Part", "RealNetwork"]

_HOST = "127.0.0.1"
_STOP_SECONDS = 15.0  # a process that was asked to end is killed after this


class Part(StrEnum):
    """The two processes of a member; the value is the command."""

    NODE = "node"
    GATEWAY = "gateway"


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    is_paused: bool = False


class RealNetwork:
    """Members 0 to n-1 with their homes, and whichever of their processes run.

    Attributes:
        directory: holds the homes and ``logs/``.
        testnet: homes, genesis and publisher keys.
    """

    def __init__(self, directory: Path, testnet: Testnet, ports: Sequence[Ports]) -> None:
        """Hold a network that was made; use :meth:`create`."""
        self.directory = directory
        self.testnet = testnet
        self._ports = [*ports]
        self._children: dict[tuple[int, Part], _Child] = {}
        self._names = list(testnet.homes)
        self._logs = directory / "logs"
        self._logs.mkdir(exist_ok=True)

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        validators: int = 4,
        publishers: int = 1,
        settings: dict[str, dict[str, Value]] | None = None,
    ) -> Self:
        """Make the files of a network in ``directory``; start nothing."""
        numbers = iter(free_ports(2 * validators))
        ports = [Ports(next(numbers), next(numbers)) for _ in range(validators)]
        plan = TestnetPlan(
            name="processes",
            validators=[(f"node{i}", ports[i]) for i in range(validators)],
            publishers=[f"publisher{i}" for i in range(publishers)],
            settings=settings,
        )
        directory.mkdir(parents=True, exist_ok=True)
        return cls(directory, create_testnet(directory, plan), ports)

    def add(self, name: str) -> Path:
        """Make the home of a member that comes later, as its operator would; give the home."""
        ports = Ports(*free_ports(2))
        home = self.directory / "net" / name
        settings: dict[str, dict[str, Value]] = {
            "node": {"listen": f"{_HOST}:{ports.peer}"},
            "gateway": {"listen": f"{_HOST}:{ports.gateway}"},
        }
        address = f"{_HOST}:{ports.peer}"
        did = f"did:example:{name}"
        create_home(home, Member(name, did, address, (f"{name}.>",), None, settings))
        make_stores(Home.open(home), self.testnet.genesis)
        write_private_file(home / "genesis.json", self.testnet.genesis.to_json())
        self.adopt(name, home, [ports.peer, ports.gateway])
        return home

    def adopt(self, name: str, home: Path, ports: Sequence[int]) -> int:
        """Count a home, whose processes listen on two ports, among the members; give its number."""
        self.testnet.homes[name] = home
        self.testnet.publisher_keys[name] = home / "keys" / "publisher.json"
        self._names.append(name)
        self._ports.append(Ports(*ports))
        return len(self._names) - 1

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self._names)

    def host(self, member: int) -> str:  # noqa: ARG002 - elsewhere members have their own
        """Give the address at which clients reach a member."""
        return _HOST

    def url(self, member: int) -> str:
        """Give the base URL of a member's gateway."""
        return f"http://{self.host(member)}:{self.port(member)}"

    def port(self, member: int) -> int:
        """Give the TCP port of a member's gateway."""
        return self._ports[member].gateway

    def address(self, member: int) -> tuple[str, int]:
        """Give host and TCP port at which clients reach a member's gateway."""
        return self.host(member), self.port(member)

    def chain_dir(self, member: int) -> Path:
        """Give the directory of a member's chain store."""
        return self.home(member) / "data" / "chain"

    def home(self, member: int) -> Path:
        """Give a member's home."""
        return self.testnet.homes[self._names[member]]

    def publisher(self, number: int) -> tuple[str, SeedSigner]:
        """Give DID and signer of a publisher, who may publish to ``publisher<number>.>``."""
        path = self.testnet.publisher_keys[f"publisher{number}"]
        key = open_key(path, KeyPurpose.PUBLISHER, password=None)
        return key.info.owner, key.signer

    # --- processes --------------------------------------------------------------------------

    def start(self, member: int, part: Part, *options: str, module: str = "concordat") -> None:
        """Start a process that does not run, with further ``options`` of its command."""
        assert (member, part) not in self._children, f"{part} {member} runs already"
        with self.log_path(member, part).open("ab") as output:
            process = start_child(
                [part.value, "--home", str(self.home(member)), *options],
                module=module,
                own_group=True,
                stdout=output,
                stderr=output,
            )
        self._children[member, part] = _Child(process)

    def start_all(self) -> None:
        """Start every process that does not run, the nodes first."""
        for part in Part:
            for member in range(self.size):
                if (member, part) not in self._children:
                    self.start(member, part)

    def pids(self) -> Mapping[tuple[int, Part], int]:
        """Give the process ids of what runs or is paused."""
        return {key: child.process.pid for key, child in self._children.items()}

    def is_running(self, member: int, part: Part) -> bool:
        """Say whether a process was started and not yet ended by us; it may be paused."""
        return (member, part) in self._children

    def pause(self, member: int, part: Part) -> None:
        """Freeze a process (SIGSTOP)."""
        child = self._children[member, part]
        child.process.send_signal(signal.SIGSTOP)
        child.is_paused = True

    def resume(self, member: int, part: Part) -> None:
        """Let a frozen process go on (SIGCONT)."""
        child = self._children[member, part]
        child.process.send_signal(signal.SIGCONT)
        child.is_paused = False

    def kill(self, *which: tuple[int, Part]) -> None:
        """End processes with SIGKILL, all of them before waiting for any."""
        children = [self._children.pop(key) for key in which]
        for child in children:
            child.process.kill()
        for child in children:
            child.process.wait()

    def stop(self, *which: tuple[int, Part]) -> list[str]:
        """Ask processes to end (SIGTERM) and wait; give what went wrong, a sentence each."""
        faults = []
        children = {key: self._children.pop(key) for key in which}
        for child in children.values():
            if child.is_paused:
                child.process.send_signal(signal.SIGCONT)
            child.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for (member, part), child in children.items():
            try:
                code = child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
                faults.append(f"{part} {member} did not end in {_STOP_SECONDS:.0f} s when asked")
                continue
            if code not in (0, -signal.SIGTERM):  # uvicorn raises the signal again at its end
                faults.append(f"{part} {member} was asked to end and {describe_end(code)}")
        return faults

    def stop_all(self) -> list[str]:
        """Stop whatever runs, the gateways first; give what went wrong."""
        running = self._children
        gateways = [key for key in running if key[1] is Part.GATEWAY]
        nodes = [key for key in running if key[1] is Part.NODE]
        return self.stop(*gateways) + self.stop(*nodes)

    def unexpected_ends(self) -> list[str]:
        """Give a sentence for each process that ended although nobody asked it to."""
        faults = []
        for (member, part), child in list(self._children.items()):
            code = child.process.poll()
            if code is not None:
                faults.append(f"{part} {member} {describe_end(code)} by itself")
                del self._children[member, part]
        return faults

    def take_end(self, member: int, part: Part) -> int | None:
        """Give the exit code of a process that was expected to end; None while it runs."""
        code = self._children[member, part].process.poll()
        if code is not None:
            del self._children[member, part]
        return code

    def close(self) -> None:
        """End everything at once; nothing of the network runs afterwards."""
        self.kill(*self._children)

    @contextmanager
    def running(self) -> Iterator["RealNetwork"]:
        """Start all for the block, and end all after it."""
        try:
            self.start_all()
            yield self
        finally:
            self.close()

    # --- looking ----------------------------------------------------------------------------

    def wait_ready(self, members: Sequence[int] | None = None, seconds: float = 30.0) -> None:
        """Return when the gateways say that events can be read and published.

        Raises:
            TimeoutError: one does not, with the end of its log and its node's.
            ChildProcessError: a process ended.
        """
        deadline = time.monotonic() + seconds
        for member in range(self.size) if members is None else members:
            while not self.is_ready(member):
                if faults := self.unexpected_ends():
                    raise ChildProcessError("; ".join(faults) + self.log_tail(member))
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"member {member} is not ready after {seconds:.0f} s"
                        + self.log_tail(member)
                    )
                time.sleep(0.02)

    def log_path(self, member: int, part: Part) -> Path:
        """Give the file that a process writes its log to."""
        return self._logs / f"{self._names[member]}-{part}.log"

    def log_tail(self, member: int, lines: int = 15) -> str:
        """Give the last lines of both logs of a member."""
        texts = []
        for part in Part:
            log = self.log_path(member, part)
            if log.exists():
                tail = log.read_text(errors="replace").splitlines()[-lines:]
                texts.append(f"\n--- {log}\n" + "\n".join(tail))
        return "".join(texts)

    def is_ready(self, member: int) -> bool:
        """Say whether a gateway serves, reads its store and reaches its node."""
        request = b"GET /readyz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
        try:
            with socket.create_connection(
                (self.host(member), self.port(member)), timeout=1
            ) as connection:
                connection.sendall(request)
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False
