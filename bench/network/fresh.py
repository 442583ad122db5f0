"""A network made for one measurement, and nothing of it afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load.events import ENTRY_BYTES, EventSource, Subjects
from tests.support.processes import RealNetwork

__all__ = ["fresh_network", "source_for"]


@contextmanager
def fresh_network(
    out: Path,
    *,
    validators: int = 4,
    entry_bytes: int = ENTRY_BYTES,
    subjects: Subjects = Subjects.RANDOM,
) -> Iterator[tuple[RealNetwork, EventSource]]:
    """Run a network with its files in ``out``, ready, with a source of events for it.

    Raises:
        RuntimeError: a process did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=out) as directory:
        network = RealNetwork.create(
            Path(directory) / "network",
            validators=validators,
            publishers=2,
            settings={"log": {"level": "warning"}},
        )
        with network.running():
            network.wait_ready(seconds=60.0)
            yield network, source_for(network, entry_bytes=entry_bytes, subjects=subjects)
            if faults := network.stop_all():
                raise RuntimeError("; ".join(faults))


def source_for(
    network: RealNetwork,
    *,
    entry_bytes: int = ENTRY_BYTES,
    subjects: Subjects = Subjects.RANDOM,
) -> EventSource:
    """Give a source of events that publishes as the network's first publisher."""
    did, signer = network.publisher(0)
    chain_id = network.testnet.genesis.chain_id
    return EventSource(did, signer, chain_id, entry_bytes=entry_bytes, subjects=subjects)
