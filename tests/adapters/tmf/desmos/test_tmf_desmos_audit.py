"""The audit is a chain that shows every change of it, on both databases."""

import json
from hashlib import sha256
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.desmos.audit import (
    TAKEN,
    AuditRecord,
    AuditStatus,
    Trader,
    chained,
    first_fault,
)
from adapters.tmf.desmos.audit_log import (
    AuditedVersion,
    AuditLog,
    EntityName,
    last_record,
    page_of_records,
    record_of_link,
)
from adapters.tmf.store.database import Store

NAME = EntityName("urn:ngsi-ld:catalog:1", "catalog")
VERSION = AuditedVersion(NAME.id, NAME.type, "aa", "bb", "http://x/?hl=bb", Trader.PRODUCER)
FIELDS = [name for name in AuditRecord.__struct_fields__ if name not in {"status", "trader"}]


def log() -> AuditLog:
    """Give a log whose ids count."""
    numbers = count(1)
    return AuditLog(lambda: 1_795_273_680_123, lambda: f"id-{next(numbers)}")


def records(length: int) -> list[AuditRecord]:
    """Give a chain."""
    found: list[AuditRecord] = []
    for number in range(length):
        bare = AuditRecord(
            id=str(number),
            process_id="p",
            created_at="2026-11-21T15:08:00.123Z",
            status=AuditStatus.RECEIVED,
            **VERSION._asdict(),
        )
        found.append(chained(bare, found[-1].hashlink if found else None))
    return found


def test_the_hashes_follow_from_the_record_alone() -> None:
    """Hash and link are those of the facts: SHA-256 of the sorted JSON, then of link and hash."""
    first, second = records(2)
    bare: dict[str, Any] = msgspec.to_builtins(first) | {"hash": "", "hashlink": ""}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    assert first.hash == sha256(text.encode()).hexdigest()
    assert first.hashlink == first.hash
    link = sha256((first.hashlink + second.hash).encode()).hexdigest()
    assert second.hashlink == link


@given(st.integers(0, 4), st.sampled_from(FIELDS))
def test_a_changed_record_is_found(place: int, name: str) -> None:
    """Whatever member of whatever record is changed, the chain breaks there."""
    chain = records(5)
    assert first_fault(chain) is None
    chain[place] = msgspec.structs.replace(chain[place], **{name: "changed"})
    assert first_fault(chain) == place


@given(st.integers(0, 3))
def test_a_removed_or_exchanged_record_is_found(place: int) -> None:
    """The record behind a gap does not fit; two in another order do not fit."""
    chain = records(5)
    assert first_fault(chain[:place] + chain[place + 1 :]) == place
    chain[place], chain[place + 1] = chain[place + 1], chain[place]
    assert first_fault(chain) == place


def test_a_part_is_checked_from_a_link_that_is_trusted() -> None:
    """An auditor may begin where the last check ended."""
    chain = records(5)
    assert first_fault(chain[2:], chain[1].hashlink) is None
    assert first_fault(chain[2:], chain[0].hashlink) == 0


@pytest.fixture
def filled(store: Store) -> Store:
    """Give a store with the audit of two entities of one id."""
    writer = log()
    with store.write() as txn:
        writer.append(txn.connection, VERSION, (AuditStatus.RECEIVED, AuditStatus.CREATED), "p")
        other = VERSION._replace(
            entity_type="category", entity_hashlink="cc", trader=Trader.CONSUMER
        )
        writer.append(txn.connection, other, TAKEN)
    with store.write() as txn:
        writer.append(txn.connection, VERSION, (AuditStatus.PUBLISHED,), "p")
    return store


def test_the_log_is_one_chain_over_transactions(filled: Store) -> None:
    """Numbers have no gap, and pages of records are parts of the chain."""
    with filled.read() as reading:
        rows = page_of_records(reading.connection, 0, 100)
        part = page_of_records(reading.connection, 2, 3)
    assert [number for number, _ in rows] == [1, 2, 3, 4, 5, 6]
    assert first_fault(record for _, record in rows) is None
    assert part == rows[2:5]
    assert rows[0][1].created_at == "2026-11-21T15:08:00.123Z"
    assert [record.process_id for _, record in rows[:2]] == ["p", "p"]


def test_records_are_found_by_entity_and_link(filled: Store) -> None:
    """Id and type together name the entity; only what this node made is found by its link."""
    with filled.read() as reading:
        connection = reading.connection
        last = last_record(connection, NAME, Trader.PRODUCER, (AuditStatus.PUBLISHED,))
        made = record_of_link(connection, NAME, "bb")
        assert last is not None
        assert made is not None
        assert (last.status, last.id) == (AuditStatus.PUBLISHED, "id-7")
        assert made.status is AuditStatus.CREATED
        assert record_of_link(connection, NAME, "cc") is None
        assert last_record(connection, NAME, Trader.CONSUMER, TAKEN) is None
        category = EntityName(NAME.id, "category")
        assert record_of_link(connection, category, "cc") is None
        assert last_record(connection, category, Trader.CONSUMER, TAKEN) is not None
