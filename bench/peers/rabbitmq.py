"""Three RabbitMQ nodes with one quorum queue on all of them.

They are Erlang nodes of their own: names, cookie, port mapper (epmd) and files are made for the run
and found by no other RabbitMQ of this machine.
"""

import secrets
from pathlib import Path

from bench.peers.amqp_wire import AmqpWire, declare_quorum_queue, messages_of, open_connection
from bench.peers.cluster import MEMBERS, Daemons, Unavailable, find_program, wait_for
from bench.peers.pipeline import Link
from bench.peers.wire import HOST, PublishError
from concordat.free_ports import free_ports

__all__ = ["SETTINGS", "RabbitCluster", "version"]

SETTINGS = {
    "replicas": "3 (one quorum queue), confirmed by 2",
    "fsync": "default: the write-ahead log of quorum queues is synced before each confirm",
    "publish": "persistent messages, publisher confirms; nobody consumes",
    "client": "connections to the queue's leader, AMQP 0-9-1 written by hand",
}
_QUEUE = "events"
_REPLICAS = "*/quorum/*/2F_EVE*"  # each has a directory named by virtual host, queue and chance
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_CONFIG = """
listeners.tcp.1 = {host}:{port}
cluster_formation.peer_discovery_backend = classic_config
{nodes}
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
log.file.level = warning
log.console = false
"""


def version() -> str:
    """Give the version of what is installed. Raises Unavailable."""
    find_program(_SERVER)
    find_program("epmd")
    found = Path(_SERVER).parents[1].glob("lib/rabbitmq_server-*")
    return max((path.name.partition("-")[2] for path in found), default="unknown")


class RabbitCluster:
    """A running cluster with its queue."""

    def __init__(self, directory: Path) -> None:
        """Start it, wait until it is whole and make the queue. Raises Unavailable."""
        self.daemons = Daemons(directory)
        mapper, *ports = free_ports(1 + 2 * MEMBERS)
        self._ports = ports[:MEMBERS]
        home = directory / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        self._names = names = [f"bench{place}@localhost" for place in range(MEMBERS)]
        nodes = "\n".join(
            f"cluster_formation.classic_config.nodes.{place} = {name}"
            for place, name in enumerate(names, 1)
        )
        self.daemons.start("epmd", [find_program("epmd"), "-port", str(mapper), "-address", HOST])
        for place, name in enumerate(names):
            config = directory / f"rabbit{place}.conf"
            config.write_text(_CONFIG.format(host=HOST, port=self._ports[place], nodes=nodes))
            environment = {
                "HOME": str(home),
                "ERL_EPMD_PORT": str(mapper),
                "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node
                "RABBITMQ_NODENAME": name,
                "RABBITMQ_DIST_PORT": str(ports[MEMBERS + place]),
                "RABBITMQ_CONFIG_FILE": str(config),
                "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
                "RABBITMQ_MNESIA_BASE": str(directory / "data"),
                "RABBITMQ_LOG_BASE": str(directory / "logs"),
                "RABBITMQ_PID_FILE": str(directory / f"rabbit{place}.pid"),
            }
            self.daemons.start(f"rabbit{place}", [find_program(_SERVER)], environment)
        wait_for(self.daemons, self._make_queue, "making a queue on three RabbitMQ nodes")

    def links(self, count: int, puts: int = 1) -> list[Link]:
        """Open connections to the queue's leader; a publish is always one message."""
        assert puts == 1
        return [Link(open_connection(self._ports[0]), AmqpWire(_QUEUE)) for _ in range(count)]

    def stored(self) -> int:
        """Give how many messages the queue holds."""
        return messages_of(self._ports[0], _QUEUE)

    def _make_queue(self) -> bool | None:
        """Make the queue once all nodes are one cluster; it is led by the node that is asked."""
        data = self.daemons.directory / "data"
        for port in self._ports:
            open_connection(port).close()
        for path in data.glob("*/nodes_running_at_shutdown"):
            if any(name not in path.read_text() for name in self._names):
                return None
        try:
            declare_quorum_queue(self._ports[0], _QUEUE, MEMBERS)
        except PublishError:
            return None
        if len(list(data.glob(_REPLICAS))) != MEMBERS:
            raise Unavailable("RabbitMQ made its queue on fewer nodes than three")
        return True
