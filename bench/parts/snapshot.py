"""Measures joining: a copy of a large ledger through a real gateway, against replaying its blocks.

Run as ``python -m bench.parts.snapshot --events 1000000``. A chain store with that many events of
500 bytes is made with the code of a node (execute, apply, synced commits), which also gives the
rate of replaying. Then ``concordat join`` copies it as a process of its own, over HTTP on
loopback, from a gateway process. Signatures of these events are filled in, not made, and nobody
verifies them here; what replaying would pay for verifying is measured apart, on events that are
signed.
"""

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import msgspec

from bench.load.events import ENTRY_BYTES, EventSource
from bench.machine.description import commit_id, describe_machine
from bench.machine.usage import disk_bytes, read_processes
from bench.parts.ledger_path import next_block
from concordat.process import start_child
from ledger.core.admission import examine_batch
from ledger.core.block import Batch, batch_id, block_id
from ledger.core.certificate import (
    Commit,
    Domain,
    QuorumCertificate,
    Vote,
)
from ledger.core.codec import encode
from ledger.core.event import SignedEvent
from ledger.core.execute import execute_block
from ledger.core.ids import BatchId, BlockId, Epoch, NodeIndex, Round
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.limits import SIGNATURE_BYTES
from ledger.core.signing import SeedSigner
from ledger.io.chain_store import ChainStore
from ledger.io.keystore import KeyPurpose, open_key
from tests.support.processes import Part, RealNetwork

__all__ = ["main", "make_ledger", "measure_join"]

_BATCH_EVENTS = 500
_BLOCK_BATCHES = 8
_SIGNED_EVENTS = 4_000
_MIB = 2**20


def main() -> None:
    """Print the figures as JSON; leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts.snapshot", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, help="directory for the temporary files")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-snapshot-", dir=chosen.out) as directory:
        figures = measure_join(Path(directory), chosen.events)
    print(json.dumps(figures, indent=2))


def measure_join(directory: Path, events: int) -> dict[str, object]:
    """Make a ledger of ``events`` in ``directory`` and let a member join it; give the figures."""
    network = RealNetwork.create(directory / "network", settings={"log": {"level": "warning"}})
    machine = describe_machine()
    verify_cpu_us = _verification_cpu_us(network)
    _say(f"making a ledger of {events} events of {ENTRY_BYTES} bytes")
    replay_s, replay_cpu_s = make_ledger(network, events)
    _say("joining")
    load_begin = os.getloadavg()[0]
    join = _join(network)
    figures = {
        "commit": commit_id(),
        "machine": machine,
        "events": events,
        "entry_bytes": ENTRY_BYTES,
        "load_while_joining": [round(load_begin, 1), round(os.getloadavg()[0], 1)],
        "replay_s_without_signatures": round(replay_s, 1),
        "replay_cpu_s_without_signatures": round(replay_cpu_s, 1),
        "replay_cpu_s_of_signatures": round(events * verify_cpu_us / 1e6, 1),
        **join,
        "join_events_per_s": round(events / float(str(join["join_s"]))),
        "source_store_mib": round(disk_bytes(network.chain_dir(0)) / _MIB),
        "joined_store_mib": round(disk_bytes(network.chain_dir(1)) / _MIB),
    }
    _compare(network)
    return figures


def _verification_cpu_us(network: RealNetwork) -> float:
    """Give the CPU time of one signature's verification, in batches as they come."""
    did, signer = network.publisher(0)
    chain_id = network.testnet.genesis.chain_id
    source = EventSource(did, signer, chain_id)
    entries = [opened.entry for opened in source.entries(_SIGNED_EVENTS)]
    begin = time.process_time()
    for start in range(0, _SIGNED_EVENTS, _BATCH_EVENTS):
        assert examine_batch(entries[start : start + _BATCH_EVENTS], chain_id)
    return (time.process_time() - begin) / _SIGNED_EVENTS * 1e6


def _entries(network: RealNetwork) -> Iterator[bytes]:
    """Give admissible entries without end; their signatures are noise."""
    did, signer = network.publisher(0)
    (opened,) = EventSource(did, signer, network.testnet.genesis.chain_id).entries(1)
    dice = random.Random(1)
    for number in count(1):
        event = msgspec.structs.replace(
            opened.event,
            nonce=opened.event.nonce + number,
            topic=f"publisher0.offerings.chang{number % 100:02}",
            subject=f"urn:ngsi-ld:product-offering:{number % 40_000:036x}",
        )
        entry = encode(SignedEvent(event, dice.randbytes(SIGNATURE_BYTES)))
        assert len(entry) == ENTRY_BYTES
        yield entry


def make_ledger(network: RealNetwork, events: int) -> tuple[float, float]:
    """Fill member 0's chain store; give the seconds, all and of CPU, that replaying needs."""
    genesis = network.testnet.genesis
    domain = Domain(genesis.hash, Epoch(0), genesis.validator_set())
    signers = []
    for member in range(network.size):
        path = network.home(member) / "keys" / "validator.json"
        signers.append(open_key(path, KeyPurpose.VALIDATOR, password=None).signer)
    signers.sort(key=lambda signer: domain.validators.index_of(signer.public_key) or 0)
    entries = islice(_entries(network), events)
    seconds = cpu = 0.0
    number = 0
    is_last = 0
    with ChainStore.open(network.chain_dir(0), genesis) as store:
        while is_last < 2:  # an empty block's header carries the newest ledger
            batches: list[tuple[BatchId, bytes]] = []
            while len(batches) < _BLOCK_BATCHES and (rows := tuple(islice(entries, _BATCH_EVENTS))):
                number += 1
                encoded = encode(Batch(NodeIndex(0), number, rows))
                batches.append((batch_id(encoded), encoded))
            is_last += not batches
            begin, cpu_begin = time.perf_counter(), time.process_time()
            with store.write() as writer:
                for row in batches:
                    writer.store_batch(*row)
                time_ms = time.time_ns() // 1_000_000
                block = next_block(writer, [id_ for id_, _ in batches], time_ms)
                id_ = block_id(block)
                result = execute_block(writer, id_, block, lambda _: True)
                assert sum(map(len, result.refused)) == 0
                writer.apply(result, _certificate(domain, signers, Commit(id_, block.height, None)))
            seconds += time.perf_counter() - begin
            cpu += time.process_time() - cpu_begin
    return seconds, cpu


def _certificate(
    domain: Domain, signers: Sequence[SeedSigner], commit: Commit
) -> QuorumCertificate:
    """Sign that a block is final; the block that would carry the votes does not matter."""
    child, round_ = BlockId(bytes(32)), Round(commit.height + 1)
    votes = [
        Vote.make(domain, round_, child, commit, s) for s in signers[: domain.validators.quorum]
    ]
    signatures = tuple((vote.signer, vote.signature) for vote in votes)
    return QuorumCertificate(domain.epoch, round_, child, commit, signatures)


def _join(network: RealNetwork) -> dict[str, object]:
    """Let member 1 join from member 0's gateway."""
    network.start(0, Part.GATEWAY)
    try:
        _wait_for(network)
        gateway_pid = network.pids()[0, Part.GATEWAY]
        command = ["join", str(network.home(1)), "--from", network.url(0), "--json"]
        begin = time.perf_counter()
        process = start_child(command, own_group=True, stdout=sys.stderr.fileno())
        peaks = {"join": 0, "gateway": 0}
        pids = {"join": process.pid, "gateway": gateway_pid}
        last = read_processes(pids)
        while process.poll() is None:
            try:
                last = read_processes(pids)
            except (OSError, KeyError):  # it has just ended
                continue
            peaks = {name: max(peaks[name], last[name].anonymous_bytes) for name in peaks}
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        if process.returncode:
            raise RuntimeError("joining failed")
    finally:
        network.close()
    return {
        "join_s": round(seconds, 1),
        "join_cpu_s": round(last["join"].cpu_s, 1),
        "gateway_cpu_s": round(last["gateway"].cpu_s, 1),
        "join_peak_anonymous_mib": round(peaks["join"] / _MIB),
        "gateway_peak_anonymous_mib": round(peaks["gateway"] / _MIB),
        "join_written_mib": round(last["join"].written_bytes / _MIB),
    }


def _wait_for(network: RealNetwork) -> None:
    """Return when member 0's gateway takes connections."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((network.host(0), network.port(0)), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _compare(network: RealNetwork) -> None:
    """Require that both stores hold the same ledger."""
    with (
        ChainStore.open_readonly(network.chain_dir(0)) as source,
        ChainStore.open_readonly(network.chain_dir(1)) as joined,
        source.read() as old,
        joined.read() as new,
    ):
        head = new.head()
        assert old.root(head.height) == new.root(head.height)
        assert head.log_size == old.head().log_size
        for sequence in range(0, head.log_size, max(1, head.log_size // 1_000)):
            place = SequenceNumber(sequence)
            assert old.entry(place) == new.entry(place)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
