"""A network whose members are upgraded one by one while clients publish.

    python -m tests.deployment.upgrade --from COMMIT [--new-safety] [--new-chain]

runs four members of an older commit and upgrades them to the present one (``make upgrade-test``).
``--new-safety`` is for releases that refuse each other's safety records, ``--new-chain`` for those
whose ledgers differ on the disk: the member then does what docs/operations/upgrade.md says.
"""

import argparse
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from concordat.free_ports import free_base_port
from ledger.core.genesis import Genesis, read_genesis
from ledger.core.ids import EventId
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client
from tests.deployment.releases import Release, commit_release

__all__ = ["Differences", "MixedNetwork", "upgrade_all"]

MEMBERS: Final = 4
_STOP_S: Final = 20
_TOLD_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Differences:
    """What two releases do not have in common.

    Attributes:
        safety: the form of the safety record.
        chain: the form of the ledger on the disk.
    """

    safety: bool = False
    chain: bool = False


@dataclass(slots=True)
class MixedNetwork:
    """Members on one machine, each of some release.

    Attributes:
        published: ids of the events that became final, in order.
    """

    directory: Path
    base_port: int
    releases: list[Release]
    published: list[EventId] = field(default_factory=list)
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def running(cls, directory: Path, release: Release) -> Iterator["MixedNetwork"]:
        """Make a network of one release and start all of it; end it after the block."""
        port = free_base_port(MEMBERS)
        release.run("testnet", directory / "net", "--base-port", port)
        network = cls(directory, port, [release] * MEMBERS)
        try:
            for member in range(MEMBERS):
                network.start(member)
            for member in range(MEMBERS):
                network.wait_well(member)
            yield network
        except Exception as error:
            for log in sorted(directory.glob("node*.log")):
                error.add_note(f"{log.name} ends:\n{log.read_text()[-_TOLD_CHARACTERS:]}")
            raise
        finally:
            for process in network._processes.values():
                process.kill()
                process.wait()

    def home(self, member: int) -> Path:
        """Give a member's home."""
        return self.directory / "net" / f"node{member}"

    def url(self, member: int) -> str:
        """Give the URL of a member's gateway."""
        return f"http://127.0.0.1:{self.base_port + 1000 + member}"

    def start(self, member: int, *options: str) -> None:
        """Start a member with its release."""
        log = self.directory / f"node{member}.log"
        arguments = ("run", "--home", self.home(member), *options)
        self._processes[member] = self.releases[member].start(*arguments, log=log)

    def stop(self, member: int) -> None:
        """End a member as its operator would; it must end well."""
        process = self._processes.pop(member)
        process.send_signal(signal.SIGTERM)
        assert process.wait(_STOP_S) == 0

    def wait_well(self, member: int) -> None:
        """Return when a member says that it makes progress."""
        told = self.releases[member].run("status", "--home", self.home(member), "--wait", "60")
        assert "ok" in told or "behind" in told

    def wait_signing(self, member: int, seconds: float = 60) -> None:
        """Return when a member signs again after its record was made anew."""
        deadline = time.monotonic() + seconds
        while True:
            told = json.loads(
                self.releases[member].run("status", "--home", self.home(member), "--json")
            )
            if told["node"] is not None and not told["node"].get("sitting_out", True):
                return
            assert time.monotonic() < deadline, told
            time.sleep(0.2)

    def publish(self, member: int) -> None:
        """Publish an event at a member until it is final."""
        key = open_key(
            self.home(member) / "keys" / "publisher.json", KeyPurpose.PUBLISHER, password=None
        )
        genesis = self.genesis()
        publisher = Publisher(key.info.owner, key.signer, genesis.chain_id)
        with Client(self.url(member), genesis, give_up_ms=30_000) as client:
            entry = publisher.sign(f"node{member}.x", "thing.changed")
            receipt = client.publish_many([entry], wait="final")[0]
        assert receipt.status == "final", receipt
        self.published.append(receipt.id)

    def require_agreement(self) -> None:
        """Every member has the same events in the same order, and proves each of them."""
        for member in range(MEMBERS):
            with Client(self.url(member), self.genesis(), give_up_ms=30_000) as client:
                found = []
                for event in client.subscribe():
                    found.append(event.id)
                    if len(found) == len(self.published):
                        break
            assert found == self.published, self.releases[member].name

    def require_proofs(self, *judges: Release) -> None:
        """The proof that each member gives of the last event holds for each of the releases."""
        for member, release in enumerate(self.releases):
            proof = self.directory / f"proof-{member}-{len(self.published)}.json"
            last = self.published[-1].hex()
            release.run("get", "--home", self.home(member), last, "--proof", "--output", proof)
            for judge in judges:
                judge.run("verify", proof, "--genesis", self.directory / "net" / "genesis.json")

    def genesis(self) -> Genesis:
        """Read the network's genesis file."""
        return read_genesis((self.directory / "net" / "genesis.json").read_bytes())


def upgrade_all(
    network: MixedNetwork,
    release: Release,
    differences: Differences = Differences(),
    report: Callable[[str], None] = lambda _text: None,
) -> None:
    """Upgrade member by member, and publish at each step at upgraded and other members."""
    for member in range(MEMBERS):
        network.stop(member)
        network.publish((member + 1) % MEMBERS)
        network.releases[member] = release
        options = _change_stores(network, member, differences)
        network.start(member, *options)
        network.wait_well(member)
        if options:
            network.wait_signing(member)
        network.publish(member)
        network.publish((member + 1) % MEMBERS)
        network.require_agreement()
        names = ", ".join(present.name for present in network.releases)
        report(f"{len(network.published)} events; members run {names}; all agree")


def _change_stores(network: MixedNetwork, member: int, differences: Differences) -> tuple[str, ...]:
    """Do what the page says for stores that the new release does not read; give start options."""
    data = network.home(member) / "data"
    if differences.safety:
        (data / "safety").rename(data / "safety.before")
    if differences.chain:
        (data / "chain").rename(data / "chain.before")
        other = network.url((member + 1) % MEMBERS)
        network.releases[member].run("join", network.home(member), "--from", other)
    return ("--recover",) if differences.safety else ()


def main() -> None:
    """Upgrade from a commit to another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="old", required=True, metavar="COMMIT")
    parser.add_argument("--to", dest="new", default="HEAD", metavar="COMMIT")
    parser.add_argument("--new-safety", action="store_true")
    parser.add_argument("--new-chain", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="cu-") as name:
        directory = Path(name)
        old = commit_release(directory / "old", arguments.old)
        new = commit_release(directory / "new", arguments.new)
        print(f"built {old.name} and {new.name}", flush=True)
        with MixedNetwork.running(directory, old) as network:
            network.publish(0)
            network.require_agreement()
            differences = Differences(arguments.new_safety, arguments.new_chain)
            upgrade_all(network, new, differences, lambda text: print(text, flush=True))
            network.require_proofs(old, new)
    print("all of it holds")


if __name__ == "__main__":
    main()
