"""Measures the compiled kernels against what Python programs use without them.

Run as `python -m bench.parts.native` (`make bench-native`). One process, one pinned core; every row
compares a call on ordinary lists with a loop over the usual library, measured in turn in the same
run. Times are processor time of this thread, so a busy machine disturbs them less; each figure is
the median of several rounds.
"""

import os
import random
import time
from collections.abc import Callable
from functools import partial
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
HASHES_COUNT = 1024
ROUNDS_COUNT = 15
BAD_ROUNDS_COUNT = 3
BAD_SIZES = (8, 64, 1024, 4096)
BAD_SHARES = {"one": 0.0, "1 %": 0.01, "10 %": 0.1, "50 %": 0.5, "all": 1.0}
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


def spoil(check: Check, kind: str, generator: random.Random) -> Check:
    """Make a check false in one way."""
    key, message, signature = check
    no_point = (2).to_bytes(32, "little")  # no x belongs to y = 2
    ways = {
        "wrong s": (key, message, signature[:40] + bytes([signature[40] ^ 4]) + signature[41:]),
        "no point R": (key, message, no_point + signature[32:]),
        "no point A": (no_point, message, signature),
        "s not below l": (key, message, signature[:32] + b"\xff" * 32),
        "small order A": (bytes(32), message, signature),
    }
    return ways[generator.choice([*ways]) if kind == "mixed" else kind]


def time_bad(good: list[Check], bad: list[Check], path: str) -> float:
    """Compare one call with another, in turn; give the ratio of the medians."""
    times: tuple[list[int], list[int]] = ([], [])
    for _ in range(BAD_ROUNDS_COUNT):
        for checks, into in zip((good, bad), times, strict=True):
            repeat = max(1, 512 // len(checks))
            run = lambda checks=checks, repeat=repeat: [  # noqa: E731
                ed25519.verify_many(checks, implementation=path) for _ in range(repeat)
            ]
            into.append(once(run))
    return median(times[1]) / median(times[0])


def bench_bad(path: str) -> None:
    """Print what bad signatures cost, times a list of good ones, and the worst of all."""
    print(f"\nEd25519 verify_many, {path}: lists with bad signatures, times all good")
    print("  signatures   keys  kind          " + "".join(f"{name:>8}" for name in BAD_SHARES))
    generator, worst = random.Random(5), (0.0, "")
    kinds = ("wrong s", "no point R", "no point A", "s not below l", "small order A", "mixed")
    for size in BAD_SIZES:
        for keys in sorted({size, min(size, 100)}, reverse=True):
            good = make_checks(size, keys)
            for kind in kinds:
                row = []
                for name, share in BAD_SHARES.items():
                    bad = list(good)
                    for i in generator.sample(range(size), max(1, round(size * share))):
                        bad[i] = spoil(bad[i], kind, generator)
                    row.append(time_bad(good, bad, path))
                    worst = max(worst, (row[-1], f"{size} under {keys} keys, {kind}, {name}"))
                cells = "".join(f"{ratio:8.2f}" for ratio in row)
                print(f"  {size:10} {keys:6}  {kind:14}{cells}")
    print(f"  worst: {worst[0]:.2f} ({worst[1]})")


def package_loop(items: list[bytes], context: str | None) -> Work:
    """Hash one by one with the `blake3` package, in the same mode."""

    def plain() -> None:
        for item in items:
            package_blake3(item).digest()

    def derive(context: str) -> None:
        for item in items:
            package_blake3(item, derive_key_context=context).digest()

    return plain if context is None else partial(derive, context)


def bench_blake3(path: str) -> None:
    """Print a row for each mode and size of input; each mode against a loop in the same mode."""
    print(f"\nBLAKE3 of {HASHES_COUNT}, {path}: ns a digest, times a `blake3` loop in that mode")
    print("  mode           bytes      loop     list call        records call")
    for mode, context in (("derive-key", CONTEXT), ("plain", None)):
        for size in (64, 256, EVENT_BYTES, 1024, 4096):
            items = [random.Random(i).randbytes(size) for i in range(HASHES_COUNT)]
            records = b"".join(items)
            works: list[Work] = [
                package_loop(items, context),
                lambda items=items, context=context: blake3.hash_many(  # type: ignore[misc]
                    items, context, implementation=path
                ),
                lambda records=records, size=size, context=context: blake3.hash_records(  # type: ignore[misc]
                    records, size, context, implementation=path
                ),
            ]
            loop, listed, fixed = (ns / HASHES_COUNT for ns in compare(works))
            print(
                f"  {mode:12} {size:7} {loop:9.0f} {listed:9.1f} x{loop / listed:<6.1f}"
                f" {fixed:9.1f} x{loop / fixed:<6.1f}"
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
        bench_bad(path)
    for path in reversed(scan.implementations()):
        bench_scan(path)
    for path in reversed(blake3.implementations()):
        bench_blake3(path)
    for path in reversed(merkle.implementations()):
        bench_merkle(path)


if __name__ == "__main__":
    main()
