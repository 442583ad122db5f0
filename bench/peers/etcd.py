"""Three etcd members, each put durable on two of them before it is answered."""

import re
import urllib.request
from pathlib import Path

from bench.peers.cluster import MEMBERS, Daemons, Unavailable, find_program, read_version, wait_for
from bench.peers.etcd_wire import EtcdWire, open_connection
from bench.peers.pipeline import Link
from bench.peers.wire import HOST
from concordat.free_ports import free_ports

__all__ = ["SETTINGS", "EtcdCluster", "version"]

SETTINGS = {
    "replicas": "3, answered by 2",
    "fsync": "default: the write-ahead log is synced before each answer, many puts in one sync",
    "publish": "one Put a message, each under a key of its own; gRPC",
    "client": "connections to the leader, HTTP/2 written by hand",
    "other": "quota 8 GiB, election timeout 5 s, everything else default",
    "limit": "refuses calls while more than 5,000 are ordered but not applied",
}
_KEYS = re.compile(r"^etcd_debugging_mvcc_keys_total (\S+)$", re.MULTILINE)
_LEADER = "etcd_server_is_leader 1"


def version() -> str:
    """Give the version of what is installed. Raises Unavailable."""
    return read_version([find_program("etcd"), "--version"], "etcd Version:")


class EtcdCluster:
    """A running cluster."""

    def __init__(self, directory: Path) -> None:
        """Start it, and wait until it has a leader. Raises Unavailable."""
        program = find_program("etcd")
        self.daemons = Daemons(directory)
        self._opened = 0
        ports = free_ports(2 * MEMBERS)
        self._ports = ports[:MEMBERS]
        peers = [f"http://{HOST}:{port}" for port in ports[MEMBERS:]]
        everybody = ",".join(f"etcd{place}={peer}" for place, peer in enumerate(peers))
        for place, peer in enumerate(peers):
            client = f"http://{HOST}:{self._ports[place]}"
            options = {
                "name": f"etcd{place}",
                "data-dir": str(directory / f"etcd{place}"),
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": everybody,
                "initial-cluster-state": "new",
                "quota-backend-bytes": str(8 << 30),
                "election-timeout": "5000",
                "heartbeat-interval": "500",
                "logger": "zap",
                "log-level": "error",
            }
            command = [program, *(f"--{name}={value}" for name, value in options.items())]
            self.daemons.start(f"etcd{place}", command)
        self._leader = wait_for(self.daemons, self._find_leader, "electing a leader of etcd")

    def links(self, count: int, puts: int = 1) -> list[Link]:
        """Open connections to the leader; ``puts`` go into one transaction."""
        links = []
        for _ in range(count):
            self._opened += 1
            links.append(Link(open_connection(self._leader), EtcdWire(f"{self._opened:06}/", puts)))
        return links

    def stored(self) -> int:
        """Give how many keys the leader holds."""
        found = _KEYS.search(_metrics(self._leader))
        if found is None:
            raise Unavailable("etcd does not say how many keys it holds")
        return int(float(found[1]))

    def _find_leader(self) -> int | None:
        return next((port for port in self._ports if _LEADER in _metrics(port)), None)


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()
