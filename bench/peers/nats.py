"""Three NATS servers with one JetStream stream on all of them.

From 2.10 on, ``sync_interval: always`` makes every server sync each message before it counts. Older
servers sync every two minutes whatever is set; for them the data directories get the attribute of
synchronous writes (``chattr +S``), which makes each write of theirs reach the disk before it
returns: as durable, but slower by far, since the server does not know that its writes are dear.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.peers.cluster import MEMBERS, Daemons, Unavailable, find_program, read_version, wait_for
from bench.peers.nats_wire import NatsWire, ask, open_connection
from bench.peers.pipeline import Link
from bench.peers.wire import HOST
from concordat.free_ports import free_ports

__all__ = ["NatsCluster", "knows_batches", "settings", "version"]

_STREAM, _SUBJECT = "EVENTS", "events.changed"
_SYNC_ALWAYS_SINCE, _BATCHES_SINCE = (2, 10), (2, 12)
_CONFIG = """
server_name: nats{place}
listen: "{host}:{port}"
jetstream {{ store_dir: "{store}", max_file_store: 64GB, max_memory_store: 1GB {sync} }}
cluster {{ name: bench, listen: "{host}:{route}", routes: [{routes}] }}
"""


def version() -> str:
    """Give the version of the newest server there is. Raises Unavailable."""
    return read_version([_program(), "--version"], "nats-server: v")


def settings() -> dict[str, str]:
    """Say how the stream is kept. Raises Unavailable."""
    always = "sync_interval: always (each message is synced by each replica before it counts)"
    attribute = (
        "chattr +S on the data, since this server knows no sync_interval: each write of its own is "
        "synced, which costs it far more than a server that syncs by itself"
    )
    return {
        "replicas": "3 (R3, file storage, one stream), acknowledged by 2",
        "fsync": always if _knows_sync_always() else attribute,
        "publish": "one PUB a message, acknowledged by the stream to an inbox",
        "client": "connections to the stream's leader, the text protocol written by hand",
    }


class NatsCluster:
    """A running cluster with its stream."""

    def __init__(self, directory: Path) -> None:
        """Start it, make the stream and find its leader. Raises Unavailable."""
        program = _program()
        self.daemons = Daemons(directory)
        self._opened = 0
        ports = free_ports(2 * MEMBERS)
        self._ports, routes = ports[:MEMBERS], ports[MEMBERS:]
        known = _knows_sync_always()
        for place in range(MEMBERS):
            store = directory / f"store{place}"
            store.mkdir()
            if not known:
                _write_through(store)
            config = directory / f"nats{place}.conf"
            text = _CONFIG.format(
                place=place,
                host=HOST,
                port=self._ports[place],
                store=store,
                sync=", sync_interval: always" if known else "",
                route=routes[place],
                routes=", ".join(f'"nats://{HOST}:{port}"' for port in routes),
            )
            config.write_text(text)
            self.daemons.start(f"nats{place}", [program, "-c", str(config)])
        leader = wait_for(self.daemons, self._make_stream, "making a stream in NATS")
        self._leader = self._ports[int(leader.removeprefix("nats"))]

    def links(self, count: int, puts: int = 1) -> list[Link]:
        """Open connections to the stream's leader; ``puts`` go into one batch."""
        inboxes = [f"b{place}" for place in range(self._opened, self._opened + count)]
        self._opened += count
        return [
            Link(open_connection(self._leader, inbox), NatsWire(_SUBJECT, inbox, puts))
            for inbox in inboxes
        ]

    def stored(self) -> int:
        """Give how many messages the stream holds."""
        return int(self._ask("STREAM.INFO", {})["state"]["messages"])

    def _make_stream(self) -> str | None:
        document = {
            "name": _STREAM,
            "subjects": ["events.>"],
            "retention": "limits",
            "storage": "file",
            "num_replicas": MEMBERS,
            "discard": "old",
            "max_age": 0,
            "allow_atomic": True,  # older servers pass over what they do not know
        }
        answer = self._ask("STREAM.CREATE", document)
        if "error" in answer:
            return None
        group = self._ask("STREAM.INFO", {}).get("cluster", {})
        followers = group.get("replicas", [])
        is_whole = len(followers) == MEMBERS - 1 and all(each["current"] for each in followers)
        return group.get("leader") if is_whole else None

    def _ask(self, verb: str, document: object) -> dict[str, Any]:
        return ask(self._ports[0], f"$JS.API.{verb}.{_STREAM}", document)


def _program() -> str:
    """Find a server: what pip installed beside this interpreter is newer than Debian's."""
    beside = Path(sys.executable).with_name("nats-server")
    return find_program(str(beside), "nats-server", "/usr/sbin/nats-server")


def knows_batches() -> bool:
    """Say whether the server stores batches of messages. Raises Unavailable."""
    return _release() >= _BATCHES_SINCE


def _knows_sync_always() -> bool:
    return _release() >= _SYNC_ALWAYS_SINCE


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in version().split(".")[:2])


def _write_through(directory: Path) -> None:
    done = subprocess.run(["chattr", "+S", str(directory)], capture_output=True, check=False)
    if done.returncode:
        raise Unavailable(f"this nats-server cannot sync, nor can its files: {done.stderr!r}")
