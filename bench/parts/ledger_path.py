"""Measures what one event costs a validator between a peer's batch and its own durable log.

Run as `python -m bench.parts.ledger_path`. One process, one pinned core, processor time of this
thread: `examine_batch` as before an acknowledgement, `execute_block` as when the block is final,
and the chain store's transaction. Each figure is the median of several blocks on a growing store.
The module uses only what does not change between versions, so that two trees can be compared.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench.parts.native import pin
from ledger.core.admission import examine_batch
from ledger.core.block import Batch, Block, batch_id, block_id
from ledger.core.certificate import genesis_certificate
from ledger.core.codec import encode
from ledger.core.event import Event, sign_event
from ledger.core.execute import execute_block
from ledger.core.genesis import Genesis, Governors, Participant, ParticipantKey
from ledger.core.ids import BatchId, Epoch, Height, NodeIndex, Round
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator
from ledger.io.chain_store import ChainStore
from ledger.io.chain_writer import ChainWriter

T = TypeVar("T")

START_MS = 1_790_000_000_000
BATCH_EVENTS = 500
BATCHES_OF_BLOCK = 4
BLOCKS = 40
PUBLISHERS = 8
EVENT_BYTES = 500
STAGES = ("examine", "execute", "apply")


def make_network(signers: list[SeedSigner]) -> Genesis:
    """Give a genesis in which each signer publishes to ``catalog.>``."""
    node, peer = SeedSigner(bytes(32)), SeedSigner(b"\1" * 32)
    validator = Validator(
        "node", "did:web:node.example", node.public_key, peer.public_key, "127.0.0.1:7000"
    )
    participants = tuple(
        Participant(
            did_of(i), str(i), (ParticipantKey(s.public_key, revoked=False),), ("catalog.>",)
        )
        for i, s in enumerate(signers)
    )
    governors = Governors(threshold=1, members=(did_of(0),))
    return Genesis("bench", START_MS, (validator,), participants, governors)


def did_of(number: int) -> str:
    """Name a publisher."""
    return f"did:web:publisher-{number}.example"


def make_entry(chain_id: str, signers: list[SeedSigner], number: int, data: bytes) -> bytes:
    """Sign one event."""
    publisher = number % len(signers)
    event = Event(
        version=1,
        chain_id=chain_id,
        topic=f"catalog.offering.{('created', 'changed', 'removed')[number % 3]}",
        publisher=did_of(publisher),
        key=signers[publisher].public_key,
        nonce=number,
        time_ms=START_MS,
        type="org.example.offering.changed",
        subject=f"urn:ngsi-ld:product-offering:{number % 40_000:08}",
        entity_hash=bytes(32),
        previous_hash=b"",
        location=f"https://publisher-{publisher}.example/offering/{number:08}",
        content_type="application/json",
        data=data,
        tags=(),
    )
    return sign_event(event, signers[publisher]).entry


def make_batches(
    chain_id: str, signers: list[SeedSigner]
) -> list[tuple[BatchId, bytes, list[bytes]]]:
    """Give every batch of the run: id, encoding, entries of EVENT_BYTES."""
    generator = random.Random(1)
    bare = len(make_entry(chain_id, signers, 1, b""))
    batches = []
    for start in range(0, BLOCKS * BATCHES_OF_BLOCK * BATCH_EVENTS, BATCH_EVENTS):
        numbers = range(start, start + BATCH_EVENTS)
        data = generator.randbytes(EVENT_BYTES - bare - 2)
        entries = [make_entry(chain_id, signers, number, data) for number in numbers]
        encoded = encode(Batch(NodeIndex(0), start, tuple(entries)))
        batches.append((batch_id(encoded), encoded, entries))
    return batches


def next_block(writer: ChainWriter, payload: Sequence[BatchId], time_ms: int) -> Block:
    """Give the block that follows the newest."""
    root, parent = writer.root, writer.reader.head().block_id
    return Block(
        epoch=Epoch(0),
        round=Round(root.height + 1),
        height=Height(root.height + 1),
        parent_id=parent,
        executed_height=root.height,
        ledger_root=root.digest,
        next_set_hash=None,
        qc=genesis_certificate(parent),
        tc=None,
        payload=tuple(payload),
        time_ms=time_ms,
        author=NodeIndex(0),
    )


def timed(times: list[float], work: Callable[[], T]) -> T:
    """Do some work and note its microseconds for each event of a block."""
    start = time.thread_time_ns()
    result = work()
    events = BATCHES_OF_BLOCK * BATCH_EVENTS
    times.append((time.thread_time_ns() - start) / events / 1_000)
    return result


def run(directory: Path) -> dict[str, list[float]]:
    """Take every block through every stage."""
    signers = [SeedSigner(bytes([7, i]) + bytes(30)) for i in range(PUBLISHERS)]
    genesis = make_network(signers)
    batches = make_batches(genesis.chain_id, signers)
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    with ChainStore.create(directory / "chain", genesis) as store:
        for start in range(0, len(batches), BATCHES_OF_BLOCK):
            rows = batches[start : start + BATCHES_OF_BLOCK]
            examined = timed(
                times["examine"],
                lambda: [examine_batch(entries, genesis.chain_id) for _, _, entries in rows],  # noqa: B023
            )
            assert all(examined)
            writing = store.write()
            with writing as writer:
                for id_, encoded, _ in rows:
                    writer.store_batch(id_, encoded)
                time_ms = START_MS + writer.root.height
                block = next_block(writer, [id_ for id_, _, _ in rows], time_ms)
                result = timed(
                    times["execute"],
                    lambda: execute_block(writer, block_id(block), block, lambda _: True),  # noqa: B023
                )
                assert len(result.accepted) == BATCHES_OF_BLOCK * BATCH_EVENTS
                timed(times["apply"], lambda: writer.apply(result))  # noqa: B023
    return times


def main() -> None:
    """Print microseconds for each event, by stage."""
    print(f"{EVENT_BYTES}-byte events, {BATCH_EVENTS} in a batch, {pin()}", file=sys.stderr)
    with TemporaryDirectory() as directory:
        times = run(Path(directory))
    print(" ".join(f"{stage} {median(values):.2f}" for stage, values in times.items() if values))


if __name__ == "__main__":
    main()
