"""Measures what rules of topics cost when a block is applied: execution, and the state's growth.

Run as `python -m bench.parts.topic_rules`. One process, one pinned core, processor time of this
thread. Ledgers that differ in their rules alone take the same 1,000 events in turn, block after
block, so that only ratios between them matter. `master` is the ledger without rules whose code
path holds the new steps anyway; their own cost is printed beside it.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

import msgspec

from bench.parts.ledger_path import START_MS, did_of, make_entry, make_network, next_block
from bench.parts.native import pin
from ledger.core.block import Batch, batch_id, block_id
from ledger.core.codec import encode
from ledger.core.event import Event, sign_event
from ledger.core.execute import execute_block
from ledger.core.ids import BatchId, NodeIndex
from ledger.core.scanning import scan_batches
from ledger.core.signing import SeedSigner
from ledger.core.topic_application import refuse_mismatches, rule_changes
from ledger.core.trust.operations import GOVERNANCE_TOPIC, Propose, SetTopicRule, operation_codec
from ledger.io.chain_store import ChainStore

T = TypeVar("T")

BLOCK_EVENTS = 1_000
BLOCKS = 24
WARM_UP = 4
ENTITIES = 20_000
PATTERN = "catalog.>"
RULES = {
    "no rule": (False, False),
    "one complete rule": (True, False),
    "previous hash expected": (False, True),
    "both": (True, True),
}


class Rows(NamedTuple):
    """The batches of one block."""

    ids: tuple[BatchId, ...]
    encoded: tuple[bytes, ...]


class Ledger:
    """A store with some rules, and what its blocks cost."""

    def __init__(self, store: ChainStore, rule: tuple[bool, bool]) -> None:
        self.store = store
        self.rule = rule
        self.execute_us: list[float] = []
        self.apply_us: list[float] = []
        self.state_bytes: list[int] = []

    def take(self, rows: Rows) -> None:
        """Apply a block and note what it cost."""
        with self.store.write() as writer:
            for id_, encoded in zip(rows.ids, rows.encoded, strict=True):
                writer.store_batch(id_, encoded)
            block = next_block(writer, rows.ids, START_MS + writer.root.height)
            result = timed(
                self.execute_us,
                lambda: execute_block(writer, block_id(block), block, lambda _: True),
            )
            assert not result.refused, result.refused[:3]
            timed(self.apply_us, lambda: writer.apply(result))
            self.state_bytes.append(sum(32 + len(node) for node in result.nodes.values()))


def timed(times: list[float], work: Callable[[], T]) -> T:
    """Do some work and note its microseconds."""
    start = time.thread_time_ns()
    result = work()
    times.append((time.thread_time_ns() - start) / 1_000)
    return result


def rows_of(entries: list[bytes], number: int) -> Rows:
    """Make batches of entries."""
    halves = (entries[: len(entries) // 2 or 1], entries[len(entries) // 2 or 1 :])
    encoded = tuple(
        encode(Batch(NodeIndex(0), 2 * number + place, tuple(half)))
        for place, half in enumerate(halves)
        if half
    )
    return Rows(tuple(map(batch_id, encoded)), encoded)


def rule_entry(chain_id: str, signer: SeedSigner, rule: tuple[bool, bool], like: Event) -> bytes:
    """Sign the proposal that sets a rule at once: one governor decides."""
    operation = Propose(SetTopicRule(PATTERN, *rule), like.time_ms + 3_600_000)
    event = msgspec.structs.replace(
        like, topic=GOVERNANCE_TOPIC, data=operation_codec.encode(operation), chain_id=chain_id
    )
    return sign_event(event, signer).entry


def make_blocks(chain_id: str, signers: list[SeedSigner]) -> list[Rows]:
    """Give the events: each replaces what the entity's last event left."""
    newest: dict[tuple[str, str], bytes] = {}
    blocks = []
    for number in range(BLOCKS):
        entries = []
        for nonce in range(number * BLOCK_EVENTS, (number + 1) * BLOCK_EVENTS):
            plain = msgspec.msgpack.decode(make_entry(chain_id, signers, nonce, bytes(150)))[0]
            plain[8] = f"urn:ngsi-ld:product-offering:{nonce * 7 % ENTITIES:08}"
            entity = (plain[2], plain[8])
            plain[9], plain[10] = nonce.to_bytes(32), newest.get(entity, b"")
            newest[entity] = plain[9]
            event = msgspec.convert(plain, Event)
            entries.append(sign_event(event, signers[nonce % len(signers)]).entry)
        blocks.append(rows_of(entries, number))
    return blocks


def added_us(ledger: Ledger, rows: Rows) -> float:
    """Give what the two steps cost a ledger without rules, of themselves."""
    with ledger.store.read() as reader:
        state = reader.state(reader.stored_head(reader.head_height()).root)
        scan, times = scan_batches(rows.encoded), list[float]()
        leaves = bytes(32) * BLOCK_EVENTS
        for _ in range(200):
            timed(times, lambda: refuse_mismatches(scan, state, 0))
            timed(times, lambda: rule_changes(scan, state, 0, leaves, {}))
        return 2 * median(times)


def main() -> None:
    """Print milliseconds of a block and ratios to a ledger without rules."""
    print(f"{BLOCK_EVENTS} events a block, {ENTITIES} entities, {pin()}", file=sys.stderr)
    signers = [SeedSigner(bytes([7, i]) + bytes(30)) for i in range(8)]
    genesis = make_network(signers)
    blocks = make_blocks(genesis.chain_id, signers)
    like = Event(
        1, genesis.chain_id, "x", did_of(0), signers[0].public_key, 10**9, genesis.time_ms,
        "org.example.rule", "", b"", b"", "", "", b"", (),
    )  # fmt: skip
    with TemporaryDirectory() as directory:
        ledgers = {
            name: Ledger(ChainStore.create(Path(directory) / name, genesis), rule)
            for name, rule in RULES.items()
        }
        for ledger in ledgers.values():
            if any(ledger.rule):
                ledger.take(
                    rows_of([rule_entry(genesis.chain_id, signers[0], ledger.rule, like)], 10**6)
                )
            for figures in (ledger.execute_us, ledger.apply_us, ledger.state_bytes):
                figures.clear()
        for rows in blocks:
            for ledger in ledgers.values():
                ledger.take(rows)
        base = ledgers["no rule"]
        whole = median(base.execute_us[WARM_UP:]) + median(base.apply_us[WARM_UP:])
        print(
            f"the steps themselves, without rules: {100 * added_us(base, blocks[-1]) / whole:.2f} %"
        )
        for name, ledger in ledgers.items():
            execute, apply = (median(t[WARM_UP:]) for t in (ledger.execute_us, ledger.apply_us))
            grown = median(ledger.state_bytes[WARM_UP:])
            print(
                f"{name}: execute {execute / 1_000:.2f} ms, apply {apply / 1_000:.2f} ms, "
                f"x{(execute + apply) / whole:.2f}, state {grown:.0f} bytes a block"
            )
            ledger.store.close()


if __name__ == "__main__":
    main()
