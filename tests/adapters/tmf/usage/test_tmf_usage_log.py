"""The log on both databases: intake, blocks, publishing, and what a crash leaves."""

from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, update

from adapters.tmf.entity import Entity, canonical
from adapters.tmf.store.database import Store
from adapters.tmf.usage.audit import audit_block
from adapters.tmf.usage.block import open_block
from adapters.tmf.usage.chain import audit_chain
from adapters.tmf.usage.condensing import BlockLimits
from adapters.tmf.usage.evidence import RecordFilter, Scope
from adapters.tmf.usage.intake import Known, Outcome, take
from adapters.tmf.usage.journal import take_changes
from adapters.tmf.usage.package import (
    audit_package,
    decode_package,
    encode_package,
)
from adapters.tmf.usage.proof import decode_proof, encode_proof, verify_on_ledger
from adapters.tmf.usage.record import RecordCode
from adapters.tmf.usage.schema import BLOCKS, SEGMENTS
from ledger.core.errors import (
    DecodeError,
    InvariantError,
    ProofError,
    RejectCode,
    Rejected,
    Unavailable,
)
from ledger.core.event import open_entry
from tests.adapters.tmf.usage.usage_node import LIMITS, Node, PlayedLedger, parsed
from tests.adapters.tmf.usage.usage_world import (
    BUYER,
    NOW_MS,
    OTHER,
    SELLER,
    counted,
    party,
    usage,
)

THEIRS = {"relatedParty": [party(SELLER, "Seller"), party(OTHER, "Buyer")]}
WHEN = 1_789_984_800_000
EVERYTHING = RecordFilter(limit=1_000)
ALL = Scope()


@pytest.fixture
def node(store: Store) -> Node:
    """Give a node on an empty database."""
    return Node(store, PlayedLedger())


ARRIVALS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=12
)


@given(ARRIVALS, st.integers(0, 12))
def test_intake_is_that_of_a_naive_log(arrivals: list[tuple[str, int, bool]], cut: int) -> None:
    """In two pieces or one, each content of an id is in the log once, after the newest before."""
    versions: dict[str, list[tuple[int, int]]] = defaultdict(list)
    buyers: dict[str, bool] = {}
    expected, number = [], 0
    for id_, amount, is_theirs in arrivals:
        seen = {version: place for place, version in versions[id_]}
        if buyers.get(id_, is_theirs) != is_theirs:
            expected.append(("refused", 0, 0))
        elif amount in seen:
            expected.append(("known", seen[amount], 0))
        else:
            number += 1
            expected.append(("new", number, versions[id_][-1][0] if versions[id_] else 0))
            versions[id_].append((number, amount))
            buyers[id_] = is_theirs
    held: dict[bytes, list[Known]] = defaultdict(list)
    found, next_number = list[Outcome](), 1
    for part in (arrivals[:cut], arrivals[cut:]):
        records = [
            parsed(usage(id_, **counted(amount), **(THEIRS if is_theirs else {})))
            for id_, amount, is_theirs in part
        ]
        outcomes, taken = take(records, held, next_number)
        next_number += len(taken)
        for one in taken:
            held[one.key].append(Known(one.number, one.digest, one.record.buyer))
        found += outcomes
    told = [
        ("refused" if one.code else "new" if one.is_new else "known", one.number, one.supersedes)
        for one in found
    ]
    assert told == expected


def test_what_comes_twice_is_kept_once(node: Node) -> None:
    """Duplicates, in one piece and later, change nothing; another order of members is the same."""
    first = node.append(usage("a"), usage("b"), usage("a"))
    assert [(one.number, one.is_new) for one in first] == [(1, True), (2, True), (1, False)]
    turned = dict(reversed(usage("b").items()))
    assert [(one.number, one.is_new) for one in node.append(turned)] == [(2, False)]
    assert len(node.evidence.records(EVERYTHING, ALL)) == 2


def test_a_correction_references_what_it_corrects(node: Node) -> None:
    """Both versions stay; an old version that is sent again does not come back."""
    node.append(usage("a", **counted(1)))
    (corrected,) = node.append(usage("a", **counted(2)))
    assert (corrected.number, corrected.supersedes) == (2, 1)
    (again,) = node.append(usage("a", **counted(1)))
    assert (again.number, again.is_new) == (1, False)
    views = node.evidence.records(EVERYTHING, ALL)
    assert [(view.number, view.superseded_by) for view in views] == [(1, 2), (2, 0)]


def test_a_correction_cannot_change_the_buyer(node: Node) -> None:
    """Usage cannot move to another party under the same id."""
    node.append(usage("a"))
    (outcome,) = node.append(usage("a", **THEIRS))
    assert (outcome.code, outcome.is_new) == (RecordCode.OTHER_BUYER, False)


def test_blocks_are_made_by_count_and_by_age(node: Node) -> None:
    """Four records make a block at once; fewer wait until the oldest is a minute old."""
    node.append(*(usage(f"u{number}") for number in range(6)))
    assert node.condense() == 1
    node.clock.ms += LIMITS.age_ms - 1
    assert node.condense() == 0
    node.clock.ms += 1
    assert node.condense() == 1
    assert [view.block.count for view in node.evidence.blocks(0, 9)] == [4, 2]


def test_a_late_record_goes_into_a_later_block(node: Node) -> None:
    """It keeps its own date; the windows of the blocks overlap then, and a search finds it."""
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.condense()
    late = "2026-08-01T00:00:00Z"
    node.append(usage("late", usageDate=late), *(usage(f"v{number}") for number in range(3)))
    node.condense()
    first, second = node.evidence.blocks(0, 9)
    assert second.block.from_ms < first.block.from_ms <= second.block.to_ms
    month = RecordFilter(from_ms=0, to_ms=first.block.from_ms - 1, limit=9)
    (found,) = node.evidence.records(month, ALL)
    assert (found.number, found.block, found.leaf) == (5, 2, 0)


async def test_blocks_are_proven_and_audited_from_the_ledger(node: Node) -> None:
    """With genesis alone: every record is proven, every package audited, the chain is whole."""
    node.append(*(usage(f"u{number}", **counted(number)) for number in range(4)))
    node.append(usage("u0", **counted(9)), usage("w", **THEIRS), usage("x"), usage("u0"))
    assert node.condense() == 2
    await node.service.publisher.drain()
    genesis = node.ledger.chain.genesis
    assert audit_chain(node.ledger.held) == ()
    for view in node.evidence.records(EVERYTHING, ALL):
        assert view.block is not None
        assert view.leaf is not None
        proof = node.evidence.proof(view.block, view.leaf, ALL)
        assert proof is not None
        verified = verify_on_ledger(decode_proof(encode_proof(proof)), genesis)
        assert (verified.number, verified.record.body) == (view.number, view.entry.body)
    for number in (1, 2):
        package = node.evidence.package(number)
        assert package is not None
        read = decode_package(b"".join(encode_package(package)))
        assert read == package
        assert audit_package(read, genesis).faults == ()
        assert node.evidence.block(number) is not None
    blocks = [open_block(event) for event in node.ledger.held]
    assert [(block.first, block.count) for block in blocks] == [(1, 4), (5, 4)]


async def test_a_spoiled_package_is_found(node: Node) -> None:
    """A record or proof left out or changed is a fault or a refusal, never a clean audit."""
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.append(*(usage(f"u{number}", **counted(number)) for number in range(4)))
    node.condense()
    package = node.evidence.package(2)
    assert package is not None
    genesis = node.ledger.chain.genesis
    with pytest.raises(ProofError, match="does not carry"):
        audit_package(package, genesis)
    await node.service.publisher.drain()
    package = node.evidence.package(2)
    assert package is not None
    assert audit_package(package._replace(earlier=()), genesis).faults
    assert audit_package(package._replace(entries=package.entries[1:]), genesis).faults
    lines = b"".join(encode_package(package)).splitlines(keepends=True)
    for spoiled in (lines[:2], lines[1:], [*lines[:-1], b"{}\n"], [b"x", *lines]):
        with pytest.raises(DecodeError):
            decode_package(b"".join(spoiled))


def test_a_buyer_sees_its_own(node: Node) -> None:
    """Records, proofs and openings of others do not exist for a buyer."""
    node.append(usage("a"), usage("b", **THEIRS), usage("c"), usage("d", relatedParty=[]))
    node.condense()
    mine = Scope(BUYER)
    assert [view.number for view in node.evidence.records(EVERYTHING, mine)] == [1, 3]
    assert node.evidence.proof(1, 0, mine) is not None
    assert node.evidence.proof(1, 1, mine) is None
    assert [one.key.buyer for one in node.evidence.openings(1, mine)] == [BUYER]
    assert [one.key.buyer for one in node.evidence.openings(1, ALL)] == ["", OTHER, BUYER]
    assert node.evidence.records(EVERYTHING, Scope("did:elsi:NOBODY")) == []


def test_records_are_found_by_product_id_and_page(node: Node) -> None:
    """Filters are ANDed; a page begins behind a number, so that later records follow."""
    other = {"ratedProductUsage": [{"productRef": {"id": "p2"}}]}
    node.append(usage("a"), usage("b", **other), usage("c"), usage("a", **counted(8)), usage("d"))
    node.condense()

    def numbers(query: RecordFilter) -> list[int]:
        return [view.number for view in node.evidence.records(query, ALL)]

    assert numbers(RecordFilter(product="p2", limit=9)) == [2]
    assert numbers(RecordFilter(product="unknown", limit=9)) == []
    assert numbers(RecordFilter(id="a", limit=9)) == [1, 4]
    assert numbers(RecordFilter(after=2, limit=2)) == [3, 4]
    assert numbers(RecordFilter(to_ms=0, limit=9)) == []
    assert numbers(RecordFilter(from_ms=0, limit=9)) == [1, 2, 3, 4, 5]
    assert node.evidence.leaf_of(1, "a") == 3
    assert node.evidence.leaf_of(1, "d") is None
    assert node.evidence.leaf_of(9, "a") is None


def test_records_are_kept_small(node: Node) -> None:
    """Many alike records take a fraction of their length."""
    documents = [usage(f"urn:ngsi-ld:usage:{number:08}") for number in range(600)]
    node.append(*documents)
    with node.store.read() as reading:
        rows = reading.connection.execute(SEGMENTS.select()).all()
    assert [(row.first, row.last) for row in rows] == [(1, 256), (257, 512), (513, 600)]
    assert sum(len(row.data) for row in rows) * 8 < sum(row.bytes for row in rows)


def test_small_pieces_are_packed_with_their_block(store: Store) -> None:
    """Records that came one by one lie together after their block, which reads the same."""
    node = Node(store, PlayedLedger(), BlockLimits(300, 2**30, 60_000))
    for number in range(310):
        node.append(usage(f"u{number}"))
    before = node.evidence.records(EVERYTHING, ALL)
    assert node.condense() == 1
    with node.store.read() as reading:
        rows = reading.connection.execute(SEGMENTS.select().order_by(SEGMENTS.c.first)).all()
    assert [row.last for row in rows] == [256, 300, *range(301, 311)]
    after = node.evidence.records(EVERYTHING, ALL)
    assert [view.entry for view in after] == [view.entry for view in before]
    package = node.evidence.package(1)
    assert package is not None
    event = open_entry(_entry_of(node, 1)).event
    assert audit_block(event, package.secret, package.entries, {}).faults == ()


def _entry_of(node: Node, number: int) -> bytes:
    with node.store.read() as reading:
        rows = reading.connection.execute(BLOCKS.select().where(BLOCKS.c.number == number))
        return bytes(rows.one().entry)


@pytest.mark.parametrize("data", [b"", b"nonsense"])
def test_a_broken_segment_stops_the_node(node: Node, data: bytes) -> None:
    """What was written and cannot be read is never passed over."""
    node.append(usage("a"))
    with node.store.write() as txn:
        txn.connection.execute(update(SEGMENTS).values(data=data))
    with pytest.raises(InvariantError):
        node.evidence.records(EVERYTHING, ALL)


async def test_a_lost_answer_repeats_the_same_event(node: Node) -> None:
    """The event that was stored is handed in again; the ledger has it once."""
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.condense()
    node.ledger.loses_answer = True
    with pytest.raises(Unavailable):
        await node.service.publisher.drain()
    await Node(node.store, node.ledger).service.publisher.drain()
    assert len(node.ledger.handed_in) == 2
    assert len(set(node.ledger.handed_in)) == 1
    assert len(node.ledger.held) == 1


async def test_blocks_are_published_in_order(node: Node) -> None:
    """While one block is refused none behind it is handed in; the reason can be read."""
    node.append(*(usage(f"u{number}") for number in range(8)))
    node.condense()
    node.ledger.errors = [Rejected(RejectCode.TOPIC_FORBIDDEN, "no right to usage.block")]
    with pytest.raises(Rejected):
        await node.service.publisher.drain()
    assert len(node.ledger.handed_in) == 1
    assert node.ledger.held == []
    await node.service.publisher.drain()
    assert [open_block(event).number for event in node.ledger.held] == [1, 2]


async def test_why_a_block_waits_can_be_read(node: Node, autojump_clock: object) -> None:
    """A failed attempt is noted with the block, and the note goes with success."""
    assert autojump_clock is not None
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.condense()
    node.ledger.errors = [Unavailable("no gateway")]
    assert await node.service.publisher.attempt(0) == 1
    (view,) = node.evidence.blocks(0, 1)
    assert (view.sequence, view.fault) == (None, "no gateway")
    assert await node.service.publisher.attempt(1) == 0
    (view,) = node.evidence.blocks(0, 1)
    assert (view.sequence, view.fault) == (0, "")


async def test_an_event_that_became_too_old_is_signed_anew(node: Node) -> None:
    """After a day without a ledger the same block goes out in a younger event."""
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.condense()
    node.clock.ms += 48 * 3_600_000
    node.ledger.errors = [Rejected(RejectCode.TIME_TOO_OLD)]
    await node.service.publisher.drain()
    (event,) = node.ledger.held
    assert event.time_ms == node.clock.ms
    assert open_block(event) == node.evidence.blocks(0, 1)[0].block
    assert node.evidence.blocks(0, 1)[0].event_id == node.ledger.handed_in[1]


async def test_a_stale_event_that_is_final_stays(node: Node) -> None:
    """When the answer was lost and the event is too old by now, the ledger is asked first."""
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.condense()
    node.ledger.loses_answer = True
    with pytest.raises(Unavailable):
        await node.service.publisher.drain()
    node.ledger.errors = [Rejected(RejectCode.TIME_TOO_OLD)]
    await node.service.publisher.drain()
    assert len(node.ledger.held) == 1


async def test_a_database_of_yesterday_publishes_nothing(tmp_path: Path) -> None:
    """After an old copy came back, no second block of a number reaches the ledger."""
    ledger = PlayedLedger()
    new = Store.open(f"sqlite:///{tmp_path / 'new.db'}")
    node = Node(new, ledger)
    node.append(*(usage(f"u{number}") for number in range(4)))
    node.condense()
    await node.service.publisher.drain()
    new.close()
    old = Store.open(f"sqlite:///{tmp_path / 'old.db'}")
    node = Node(old, ledger)
    with pytest.raises(Rejected, match="older copy"):
        await node.service.publisher.drain()
    node.append(*(usage(f"v{number}") for number in range(4)))
    node.condense()
    with pytest.raises(Rejected, match="older copy"):
        await node.service.publisher.drain()
    old.close()
    assert len(ledger.handed_in) == 1


def put_usage(store: Store, document: dict[str, Any], what: str = "create") -> None:
    """Write a usage entity as the TMF635 API does."""
    with store.write() as txn:
        entity = Entity("usage", document["id"], canonical(document), changed_ms=NOW_MS)
        txn.put(entity, what)  # type: ignore[arg-type]


def test_usage_entities_enter_the_log(node: Node) -> None:
    """Created and changed entities are records and corrections; what is refused is listed."""
    put_usage(node.store, usage("a"))
    put_usage(node.store, usage("a", status="rated"), "attribute")
    put_usage(node.store, {"id": "kit"})
    put_usage(node.store, usage("b"))
    put_usage(node.store, usage("b", **THEIRS), "attribute")
    with node.store.write() as txn:
        txn.put(Entity("product", "p", canonical({"id": "p"})), "create")
        txn.put(Entity("usage", "far", canonical(usage("far")), origin=OTHER), "create")
        txn.remove("usage", "a")
    while take_changes(node.store, node.log):
        pass
    views = node.evidence.records(EVERYTHING, ALL)
    assert [view.entry.supersedes for view in views] == [0, 1, 0]
    refused = [(one.id, one.code) for one in node.evidence.refused(0, 9)]
    assert refused == [("kit", "missing-attribute"), ("b", "other-buyer")]
    assert not take_changes(node.store, node.log)


class StoppedError(Exception):
    """The process ends here."""


def stop_at_commit(store: Store, at: int) -> None:
    """End the process just before the ``at``-th commit from now on."""
    engine = store._engines.writer
    commits = count(1)

    def committing(_connection: Connection) -> None:
        if next(commits) == at:
            raise StoppedError

    event.listen(engine, "commit", committing)


async def _work(node: Node) -> None:
    """Do everything once: it may be repeated from the start at any time."""
    arrivals = [usage(f"u{number % 7}", **counted(number // 7)) for number in range(10)]
    for start in range(0, 10, 2):
        node.append(*arrivals[start : start + 2])
    node.clock.ms = NOW_MS + LIMITS.age_ms
    node.condense()
    await node.service.publisher.drain()


def _end_of(node: Node) -> list[object]:
    """Give what must be equal, however often the process ended."""
    views = node.evidence.records(EVERYTHING, ALL)
    blocks = [open_block(event) for event in node.ledger.held]
    return [
        [(view.number, view.entry, view.superseded_by) for view in views],
        [(block.number, block.first, block.count, block.from_ms, block.to_ms) for block in blocks],
        audit_chain(node.ledger.held),
    ]


async def _stopped_run(folder: Path, at: int) -> tuple[list[object], bool]:
    """Run with a stop at a commit, go on after it; give the end and whether it was reached."""
    ledger = PlayedLedger()
    url = f"sqlite:///{folder / f'{at}.db'}"
    store = Store.open(url)
    stop_at_commit(store, at)
    was_stopped = False
    try:
        await _work(Node(store, ledger))
    except StoppedError:
        was_stopped = True
    store.close()
    store = Store.open(url)
    try:
        node = Node(store, ledger)
        await _work(node)
        for number in range(1, len(ledger.held) + 1):
            package = node.evidence.package(number)
            assert package is not None
            assert audit_package(package, ledger.chain.genesis).faults == ()
        return _end_of(node), was_stopped
    finally:
        store.close()


async def test_a_crash_at_any_commit_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Stopped at each commit in turn and started again, the log and the ledger end equal."""
    reference, was_stopped = await _stopped_run(tmp_path, 10_000)
    assert not was_stopped
    assert reference[1:] == [
        [(1, 1, 4, WHEN, WHEN), (2, 5, 4, WHEN, WHEN), (3, 9, 2, WHEN, WHEN)],
        (),
    ]
    at = 0
    while was_stopped or not at:
        at += 1
        end, was_stopped = await _stopped_run(tmp_path, at)
        assert end == reference
    assert at == 5 + 2 * 3 + 1
