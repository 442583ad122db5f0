"""``python -m bench.parts.tmf_usage``: condense usage records, prove and audit them.

Measures the access node's usage log in one process, as it runs: lines of JSON are read and stored
while another thread condenses what waits; every transaction is synced. Says how much of it reaches
the ledger, and how much would without condensing. Part of ``make bench``, too.
"""

import argparse
import random
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Seq
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row

from adapters.tmf.entity import content_hash
from adapters.tmf.store.database import Store
from adapters.tmf.usage.audit import audit_block
from adapters.tmf.usage.condensing import BlockLimits
from adapters.tmf.usage.evidence import Evidence, Scope
from adapters.tmf.usage.limits import USAGE_TRANSACTION_RECORDS
from adapters.tmf.usage.log import Sealing, UsageLog
from adapters.tmf.usage.proof import UsageProof, encode_proof, verify_usage
from adapters.tmf.usage.record import read_record
from adapters.tmf.usage.schema import BLOCKS
from ledger.core.event import open_entry
from ledger.core.ids import Sequence
from ledger.core.proof import build_bundle, encode_bundle
from ledger.core.signing import SeedSigner
from pubsub.client.identity import Publisher
from tests.support.memory_chain import MemoryChain

__all__ = ["UsageRun", "main", "measure_usage", "usage_rows"]

_SELLER: Final = "did:elsi:VATES-A00000000"
_BUYERS: Final = 50
_PRODUCTS: Final = 200
_PROOFS: Final = 50
_IDLE_S: Final = 0.005
_START_MS: Final = 1_790_000_000_000
_LINE: Final = (
    '{"id": "urn:ngsi-ld:usage:%s", "usageDate": "2026-09-21T%02d:%02d:%02d.%03dZ", '
    '"usageType": "compute", "status": "received", "usageCharacteristic": ['
    '{"name": "vcpu-hours", "value": %d.%02d, "valueType": "number"}, '
    '{"name": "storage", "value": {"amount": %d, "units": "GB"}, "valueType": "object"}], '
    '"ratedProductUsage": [{"isBilled": false, "productRef": '
    '{"id": "urn:ngsi-ld:product:00000000-0000-4000-8000-%012d", "name": "Virtual machine"}}], '
    '"relatedParty": [{"id": "urn:ngsi-ld:organization:seller", "role": "Seller", '
    f'"name": "{_SELLER}", "@referredType": "Organization"}}, '
    '{"id": "urn:ngsi-ld:organization:%d", "role": "Buyer", "name": "did:elsi:VATFR-%08d", '
    '"@referredType": "Organization"}]}'
)


class UsageRun(msgspec.Struct, frozen=True):
    """What a run gave.

    Attributes:
        records_per_s: from the first line read to the last record in a block, on the disk.
        intake_per_s: to the last record stored; condensing goes on beside it.
        cores: that the process used meanwhile.
        cpu_us_per_record: of all its threads, from line to block.
        ledger_bytes, events: of the blocks' signed events.
        plain_bytes, plain_events: of one signed event a record: hash and location, no content.
        proof_bytes: of one record's proof document, whose record has ``record_bytes``.
        proof_bundle_bytes: with the proof of its event in it, for four validators.
        first_proof_ms, proof_ms: making a proof from a block not looked at before, and from one
            that was.
        audit_ms: recomputing one whole block.
    """

    records: int
    records_per_s: int
    intake_per_s: int
    cores: float
    cpu_us_per_record: float
    record_bytes: int
    stored_bytes_per_record: int
    events: int
    ledger_bytes: int
    plain_events: int
    plain_bytes: int
    records_per_block: int
    totals_per_block: int
    proof_bytes: int
    proof_bundle_bytes: int
    first_proof_ms: float
    proof_ms: float
    verify_ms: float
    audit_ms: float


class _Log(NamedTuple):
    """The log under test."""

    store: Store
    log: UsageLog
    publisher: Publisher
    file: Path


class _Speed(NamedTuple):
    intake_s: float
    all_s: float
    cpu_s: float


def measure_usage(records: int, directory: Path) -> UsageRun:
    """Condense so many records in a database of its own within ``directory``."""
    with tempfile.TemporaryDirectory(prefix="usage-", dir=directory) as folder:
        made = _open(Path(folder) / "usage.db")
        try:
            speed = _condense_all(made.log, records)
            return _describe(made, records, speed)
        finally:
            made.store.close()


def usage_rows(run: UsageRun) -> Iterator[tuple[str, str, str, str]]:
    """Give the lines of the table that ``make bench`` prints."""
    share = run.ledger_bytes / run.records
    intake = f"stored at {run.intake_per_s:,}/s"
    audit = f"audit of a block: {run.audit_ms} ms"
    yield ("", "records/s", "cores", "")
    yield (
        f"condense {run.records:,} usage records",
        f"{run.records_per_s:,}",
        f"{run.cores:.2f}",
        f"{run.cpu_us_per_record} us CPU, {run.stored_bytes_per_record} B of disk each; {intake}",
    )
    yield (
        "on the ledger: condensed",
        f"{run.ledger_bytes:,} B",
        "",
        f"{run.events:,} events of {run.records_per_block:,} records, {share:.2f} B a record",
    )
    yield (
        "on the ledger: one by one",
        f"{run.plain_bytes:,} B",
        "",
        f"{run.plain_events:,} events",
    )
    yield (
        "proof of one record",
        f"{run.proof_bytes:,} B",
        "",
        f"its record: {run.record_bytes} B; {run.proof_bundle_bytes:,} B with its event's proof",
    )
    yield (
        "make, verify, audit",
        f"{run.proof_ms} ms",
        "",
        f"first of a block: {run.first_proof_ms} ms; verified in {run.verify_ms} ms; {audit}",
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts.tmf_usage", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="all numbers, for programs")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        run = measure_usage(chosen.records, Path(directory))
    if chosen.json:
        print(msgspec.json.format(msgspec.json.encode(run), indent=2).decode())
        return
    for name, value, cores, rest in usage_rows(run):
        print(f"{name:<32} {value:>14} {cores:>6}  {rest}".rstrip())


def _open(file: Path) -> _Log:
    store = Store.open(f"sqlite:///{file}")
    publisher = Publisher(_SELLER, SeedSigner(bytes(32)), "bench-0011223344556677")
    sealing = Sealing(publisher, "usage.block", _location, secrets.token_bytes, BlockLimits())
    return _Log(store, UsageLog(store, sealing, _now_ms), publisher, file)


def _condense_all(log: UsageLog, count: int) -> _Speed:
    """Read, store and condense; the last records wait for no clock."""
    has_ended = threading.Event()
    condenser = threading.Thread(target=_condense_until, args=(log, has_ended))
    cpu, started = time.process_time(), time.perf_counter()
    condenser.start()
    lines = _lines(count)
    while part := list(islice(lines, USAGE_TRANSACTION_RECORDS)):
        now_ms = _now_ms()
        log.append([read_record(line, _SELLER, now_ms) for line in part])
    intake_s = time.perf_counter() - started
    has_ended.set()
    condenser.join()
    all_s = time.perf_counter() - started
    return _Speed(intake_s, all_s, time.process_time() - cpu)


def _condense_until(log: UsageLog, has_ended: threading.Event) -> None:
    while True:
        is_last = has_ended.is_set()
        while log.condense() is not None:
            pass
        if is_last:
            return
        time.sleep(_IDLE_S)


def _describe(made: _Log, records: int, speed: _Speed) -> UsageRun:
    with made.store.read() as reading:
        rows = reading.connection.execute(BLOCKS.select().order_by(BLOCKS.c.number)).all()
    evidence = Evidence(made.store)
    views = evidence.blocks(0, len(rows))
    condensed = sum(view.block.count for view in views)
    ledger_bytes = sum(len(row.entry) for row in rows)
    proofs, first_ms, proof_ms = _prove(evidence, views[0].block.count)
    event = open_entry(rows[0].entry).event
    package = evidence.package(1)
    assert package is not None
    return UsageRun(
        records=condensed,
        records_per_s=round(condensed / speed.all_s),
        intake_per_s=round(records / speed.intake_s),
        cores=round(speed.cpu_s / speed.all_s, 2),
        cpu_us_per_record=round(speed.cpu_s / records * 1e6, 1),
        record_bytes=round(median(len(proof.entry.body) for proof in proofs)),
        stored_bytes_per_record=round(_file_bytes(made) / records),
        events=len(rows),
        ledger_bytes=ledger_bytes,
        plain_events=condensed,
        plain_bytes=condensed * _plain_bytes(made.publisher, proofs[0].entry.body),
        records_per_block=round(condensed / len(rows)),
        totals_per_block=round(median(len(view.block.totals) for view in views)),
        proof_bytes=round(median(len(encode_proof(proof)) for proof in proofs)),
        proof_bundle_bytes=len(encode_proof(_with_bundle(proofs[0], rows))),
        first_proof_ms=first_ms,
        proof_ms=proof_ms,
        verify_ms=_ms([lambda proof=proof: verify_usage(proof, event) for proof in proofs]),  # type: ignore[misc]
        audit_ms=_ms([lambda: audit_block(event, package.secret, package.entries, {})] * 3),
    )


def _prove(evidence: Evidence, count: int) -> tuple[list[UsageProof], float, float]:
    """Prove some records of block 1; give the proofs, the first one's time and the others'."""
    leaves = random.Random(1).choices(range(count), k=_PROOFS)
    proofs: list[UsageProof] = []

    def prove(leaf: int) -> None:
        proof = evidence.proof(1, leaf, Scope())
        assert proof is not None
        proofs.append(proof)

    first_ms = _ms([lambda: prove(leaves[0])])
    return proofs, first_ms, _ms([lambda leaf=leaf: prove(leaf) for leaf in leaves])  # type: ignore[misc]


def _with_bundle(proof: UsageProof, rows: Seq[Row[Any]]) -> UsageProof:
    """Put the proof of an event of a ledger that holds these blocks alone into a proof."""
    chain = MemoryChain()
    chain.grow([open_entry(row.entry) for row in rows])
    for _ in range(3):
        chain.grow()
    bundle = build_bundle(chain, Sequence(0))
    assert bundle is not None
    return proof._replace(bundle=encode_bundle(bundle))


def _plain_bytes(publisher: Publisher, body: bytes) -> int:
    """Give the length of an event that tells of one record as of any other entity."""
    hash_ = content_hash(body)
    location = "https://seller.example/tmf-api/usageManagement/v4/usage/" + "0" * 36
    opened = publisher.sign(
        "usage.record", "usage", subject=hash_.hex(), entity_hash=hash_, location=location
    )
    return len(opened.entry)


def _lines(count: int) -> Iterator[bytes]:
    chance = random.Random(1)
    for number in range(count):
        id_ = f"{chance.getrandbits(32):08x}-0000-4000-8000-{number:012x}"
        second = number // 20
        moment = (second // 3600 % 24, second // 60 % 60, second % 60, number * 50 % 1000)
        amounts = (number % 97, number % 89 + 10, number % 13)
        buyer = number % _BUYERS
        line = _LINE % (id_, *moment, *amounts, number % _PRODUCTS, buyer, buyer)
        yield line.encode()


def _ms(works: Seq[Callable[[], object]]) -> float:
    times = []
    for work in works:
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return round(median(times), 2)


def _file_bytes(made: _Log) -> int:
    """Give what the database takes when its log was taken over into it."""
    with made.store.write() as txn:
        pages = txn.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        size = txn.connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    return int(pages) * int(size)


def _location(number: int) -> str:
    return f"https://seller.example/usage-log/v1/blocks/{number}"


def _now_ms() -> int:
    return max(_START_MS + 10**9, time.time_ns() // 1_000_000)


if __name__ == "__main__":
    main()
