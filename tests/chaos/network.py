"""A network of real processes that can be hurt from outside: its links, disks and clocks too."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from concordat.config_file import Value
from tests.chaos.clocks import Clocks
from tests.chaos.disks import Disk
from tests.chaos.scenario import Scenario
from tests.chaos.surroundings import Surroundings
from tests.chaos.wire import Wire
from tests.support.processes import Part, RealNetwork

__all__ = ["FragileNetwork", "make_network", "move_into_namespaces"]

_LOOPBACK = "127.0.0.1"


class FragileNetwork(RealNetwork):
    """Real processes, and what they stand on.

    Attributes:
        wire: the network between them; None: they use loopback.
        disks: a disk for each member; empty: they use the machine's.
        clocks: their wall clocks; None: they use the machine's.
    """

    wire: Wire | None = None
    disks: Sequence[Disk] = ()
    clocks: Clocks | None = None

    def host(self, member: int) -> str:
        """Give the address at which clients reach a member."""
        return super().host(member) if self.wire is None else self.wire.client_address(member)

    def start(self, member: int, part: Part, *options: str, module: str = "concordat") -> None:
        """Start a process where its member lives, by its member's clock."""
        with ExitStack() as stack:
            if self.wire is not None:
                stack.enter_context(self.wire.inside(member))
            if self.clocks is not None:
                stack.enter_context(self.clocks.inherited(member))
            super().start(member, part, *options, module=module)

    def keep(self) -> None:
        """End everything, and copy the homes to the machine's disk, for people to look at."""
        super().close()
        for disk in self.disks:
            disk.keep()

    def close(self) -> None:
        """End everything, and give up what it stood on."""
        super().close()
        if self.wire is not None:
            self.wire.close()
        for disk in self.disks:
            disk.close()
        self.disks = ()
        self.wire = None


def make_network(
    directory: Path, scenario: Scenario, seed: int, surroundings: Surroundings, publishers: int
) -> FragileNetwork:
    """Make the files of a network, and all that its members stand on; start none of them."""
    settings: dict[str, dict[str, Value]] = {
        "consensus": {"round_timeout_ms": scenario.round_timeout_ms},
        "log": {"format": "json"},
    }
    network = FragileNetwork.create(
        directory, validators=scenario.members, publishers=publishers, settings=settings
    )
    assert isinstance(network, FragileNetwork)
    try:
        if surroundings.has_clocks:
            network.clocks = Clocks(directory / "clocks", network.size)
        if surroundings.has_namespaces:
            network.wire = Wire(network.size, scenario.link, seed)
            move_into_namespaces(network, network.wire)
            for member in range(network.size):
                network.disks = [*network.disks, Disk(network.home(member))]
    except BaseException:
        network.close()
        raise
    return network


def move_into_namespaces(network: FragileNetwork, wire: Wire) -> None:
    """Let the members' files name the addresses of their namespaces instead of loopback."""
    peer_ports = [
        validator.address.rpartition(":")[2] for validator in network.testnet.genesis.validators
    ]
    peers = ", ".join(
        f'{name} = "{wire.peer_address(member)}:{peer_ports[member]}"'
        for member, name in enumerate(network.testnet.homes)
    )
    for member in range(network.size):
        path = network.home(member) / "concordat.toml"
        text = path.read_text()
        for old, new in (
            (
                f"{_LOOPBACK}:{peer_ports[member]}",
                f"{wire.peer_address(member)}:{peer_ports[member]}",
            ),
            (
                f"{_LOOPBACK}:{network.port(member)}",
                f"{network.host(member)}:{network.port(member)}",
            ),
            # The section of the node comes first; others may have a setting of this name, too.
            ("[node]", f"[node]\npeers = {{ {peers} }}"),
        ):
            assert text.count(old) == 1, f"{path} does not name {old} once"
            text = text.replace(old, new)
        path.write_text(text)
