"""Measures the compiled kernels against what Python programs use without them.

Run as `python -m bench.native` (`make bench-native`). One process, one pinned core; every row
compares a call on ordinary lists with a loop over the usual library, measured in turn in the same
run. Times are processor time of this thread, so a busy machine disturbs them less; each figure is
the median of several rounds.
"""

import os
import random
import time
from collections.abc import Callable
from hashlib import sha256
from statistics import median

from blake3 import blake3 as package_blake3
from nacl.signing import SigningKey, VerifyKey

from ledger.core.block import Batch, decode_batch
from ledger.core.codec import encode
from ledger.core.event import Event, open_entry, sign_event
from ledger.core.ids import NodeIndex
from ledger.core.limits import BATCH_BYTES_MAX
from ledger.core.scanning import make_scanner
from ledger.core.signing import SeedSigner
from ledger.native import blake3, ed25519, merkle, scan

CONTEXT = "concordat v1 event"
MESSAGE_BYTES = 60
EVENT_BYTES = 500
EVENTS_COUNT = 1024
PUBLISHERS_COUNT = 8
HASHES_COUNT = 4096
ROUNDS_COUNT = 15
ROUND_NS = 20_000_000  # a round repeats a call for about that long

SIGNATURE_CASES = (
    # (signatures, distinct keys)
    (8, 8),
    (64, 64),
    (256, 256),
    (1024, 1024),
    (1024, 100),
    (4096, 4096),
    (4096, 100),
)

Work = Callable[[], object]
Check = tuple[bytes, bytes, bytes]


def pin() -> str:
    """Keep this process on its last core, where the system has such a thing."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"pinned to core {core}"


def once(work: Work) -> int:
    """Time one call, in ns."""
    start = time.thread_time_ns()
    work()
    return time.thread_time_ns() - start


def compare(works: list[Work]) -> list[float]:
    """Measure each in turn, round after round; give the median ns of one call of each."""
    repeats = [max(1, ROUND_NS // max(1, once(work))) for work in works]
    rounds: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS_COUNT):
        for work, repeat, times in zip(works, repeats, rounds, strict=True):
            start = time.thread_time_ns()
            for _ in range(repeat):
                work()
            times.append((time.thread_time_ns() - start) / repeat)
    return [median(times) for times in rounds]


def make_checks(count: int, keys: int) -> list[Check]:
    """Sign different messages under `keys` keys in turn."""
    signers = [SigningKey(i.to_bytes(32, "big")) for i in range(keys)]
    generator = random.Random(count)
    checks = []
    for i in range(count):
        signer, message = signers[i % keys], generator.randbytes(MESSAGE_BYTES)
        checks.append((bytes(signer.verify_key), message, signer.sign(message).signature))
    return checks


def pynacl_loop(checks: list[Check]) -> Work:
    """Verify one by one with PyNaCl; its keys are made beforehand."""
    ready = [(VerifyKey(key), message, signature) for key, message, signature in checks]

    def run() -> None:
        for key, message, signature in ready:
            key.verify(message, signature)

    return run


def bench_verify(path: str) -> None:
    """Print a row for each batch shape: all good, and all bad."""
    print(f"\nEd25519 verify_many, {path}: us a signature, times a PyNaCl loop")
    print("  signatures   keys    PyNaCl      good             all bad    bad/good")
    for count, keys in SIGNATURE_CASES:
        checks = make_checks(count, keys)
        bad = [(key, message + b"!", signature) for key, message, signature in checks]
        assert all(ed25519.verify_many(checks, implementation=path))
        assert not any(ed25519.verify_many(bad, implementation=path))
        sample = checks[:64]
        loop, good, failed = compare(
            [
                pynacl_loop(sample),
                lambda checks=checks: ed25519.verify_many(checks, implementation=path),  # type: ignore[misc]
                lambda bad=bad: ed25519.verify_many(bad, implementation=path),  # type: ignore[misc]
            ]
        )
        one, good, failed = loop / len(sample), good / count, failed / count
        print(
            f"  {count:10} {keys:6} {one / 1e3:9.1f} {good / 1e3:9.2f}  x{one / good:<5.1f}"
            f" {failed / 1e3:9.2f}  x{one / failed:<5.1f} {failed / good:7.2f}"
        )


def bench_blake3(path: str) -> None:
    """Print a row for each size of input."""
    print(f"\nBLAKE3 hash_many of {HASHES_COUNT}, {path}: ns a digest, times a loop over `blake3`")
    print("       bytes   derive-key loop      plain loop       one call")
    for size in (64, 256, EVENT_BYTES, 1024, 4096):
        items = [random.Random(i).randbytes(size) for i in range(HASHES_COUNT)]

        def derive(items: list[bytes] = items) -> None:
            for item in items:
                package_blake3(item, derive_key_context=CONTEXT).digest()

        def plain(items: list[bytes] = items) -> None:
            for item in items:
                package_blake3(item).digest()

        def call(items: list[bytes] = items) -> bytes:
            return blake3.hash_many(items, CONTEXT, implementation=path)

        loop, easy, ours = (ns / HASHES_COUNT for ns in compare([derive, plain, call]))
        print(
            f"  {size:10} {loop:10.0f} x{loop / ours:<6.1f} {easy:9.0f} x{easy / ours:<6.1f}"
            f" {ours:9.1f}"
        )


def bench_merkle(path: str) -> None:
    """Print a row for leaves of an event's size and one for nodes."""
    print(f"\nMerkle hashes of {HASHES_COUNT}, {path}: ns a hash, times a hashlib loop")
    entries = [random.Random(i).randbytes(EVENT_BYTES) for i in range(HASHES_COUNT)]
    level = random.Random(0).randbytes(64 * HASHES_COUNT)

    def leaf_loop() -> list[bytes]:
        return [sha256(b"\0" + entry).digest() for entry in entries]

    def node_loop() -> list[bytes]:
        pairs = range(0, len(level), 64)
        return [sha256(b"\1" + level[i : i + 64]).digest() for i in pairs]

    works: list[Work] = [
        leaf_loop,
        lambda: merkle.leaf_hashes(entries, implementation=path),
        node_loop,
        lambda: merkle.node_hashes(level, implementation=path),
    ]
    times = [ns / HASHES_COUNT for ns in compare(works)]
    for name, (loop, ours) in {"leaf": times[:2], "node": times[2:]}.items():
        print(f"  {name:>10} {loop:10.0f} {ours:9.1f}  x{loop / ours:.1f}")


def make_entries(count: int) -> list[bytes]:
    """Sign events of several publishers that are EVENT_BYTES long as entries."""
    signers = [SeedSigner(bytes([i]) * 32) for i in range(PUBLISHERS_COUNT)]
    generator = random.Random(count)

    def sign(number: int, padding: int) -> bytes:
        publisher = number % PUBLISHERS_COUNT
        event = Event(
            version=1,
            chain_id="bench-0011223344556677",
            topic="catalog.offering.changed",
            publisher=f"did:web:publisher-{publisher}.example",
            key=signers[publisher].public_key,
            nonce=2**40 + number,
            time_ms=1_790_000_000_000,
            type="org.tmforum.productoffering.changed",
            subject=f"urn:ngsi-ld:product-offering:{number:08}",
            entity_hash=bytes(32),
            previous_hash=b"",
            location=f"https://marketplace.example/offering/{number:08}",
            content_type="application/json",
            data=generator.randbytes(padding),
            tags=(),
        )
        return sign_event(event, signers[publisher]).entry

    padding = EVENT_BYTES - len(sign(0, 0))
    return [sign(number, padding) for number in range(count)]


def bench_scan(path: str) -> None:
    """Print a row for a list of entries and one for encoded batches."""
    entries = make_entries(EVENTS_COUNT)
    size = BATCH_BYTES_MAX // EVENT_BYTES
    pieces = [entries[start : start + size] for start in range(0, EVENTS_COUNT, size)]
    batches = [encode(Batch(NodeIndex(0), i, tuple(rows))) for i, rows in enumerate(pieces)]
    scanner = make_scanner(path)

    def open_list() -> object:
        return [open_entry(entry) for entry in entries]

    def open_batches() -> object:
        return [open_entry(entry) for batch in batches for entry in decode_batch(batch).entries]

    works: list[Work] = [
        open_list,
        lambda: scanner.scan_entries(entries),
        open_batches,
        lambda: scanner.scan_batches(batches),
    ]
    times = [ns / EVENTS_COUNT / 1_000 for ns in compare(works)]
    print(f"\nScan of {EVENTS_COUNT} events of {len(entries[0])} bytes, {path}: us an event")
    print("                  Python codec      one call")
    for name, (loop, ours) in {"list": times[:2], "batches": times[2:]}.items():
        print(f"  {name:>10} {loop:17.2f} {ours:13.3f}  x{loop / ours:.1f}")


def main() -> None:
    """Print every table, the fastest kernel first."""
    print(f"Compiled kernels from Python, {pin()}, medians of {ROUNDS_COUNT} rounds")
    for path in reversed(ed25519.implementations()):
        bench_verify(path)
    for path in reversed(scan.implementations()):
        bench_scan(path)
    for path in reversed(blake3.implementations()):
        bench_blake3(path)
    for path in reversed(merkle.implementations()):
        bench_merkle(path)


if __name__ == "__main__":
    main()
