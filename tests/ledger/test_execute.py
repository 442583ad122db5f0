"""Execution: what a block makes of the ledger, for every block, the same for everybody."""

from functools import partial
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import admission, signing
from ledger.core.block import batch_id, decode_batch
from ledger.core.codec import encode
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.event import open_entry
from ledger.core.execute import Refused, execute_block, genesis_result
from ledger.core.ids import BatchId
from ledger.core.limits import ENTRY_BYTES_MAX, EVENT_AGE_MS_MAX
from ledger.core.scanning import scan_batches
from ledger.core.state import genesis_state
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import GENESIS, START_MS, batch, entry, forged, network


def naive_root(entries: list[bytes]) -> bytes:
    """Give the RFC 6962 root of a log by its definition."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\1" + naive_root(entries[:split]) + naive_root(entries[split:])).digest()


def refused(data: bytes, code: RejectCode) -> Refused:
    """Give the refusal of an entry that can be decoded."""
    return Refused(open_entry(data).key, code)


def test_genesis_is_the_ledger_at_height_0() -> None:
    """Genesis has an empty log, the state of its lists and its validators' set."""
    result = genesis_result(GENESIS)
    assert (result.height, result.block_id, result.block) == (0, GENESIS.block_id, None)
    assert result.time_ms == GENESIS.time_ms
    assert (result.root.height, result.root.log_size) == (0, 0)
    assert result.root.log_root == naive_root([])
    assert (result.root.state_root, result.nodes) == genesis_state(GENESIS)
    assert result.root.set_hash == GENESIS.validator_set().hash
    assert (list(result.accepted), result.refused, result.tiles) == ([], [], {})


def test_other_networks_begin_with_other_ledgers() -> None:
    """The block id of genesis separates networks, also where their lists are equal."""
    assert genesis_result(network("other")).block_id != genesis_result(GENESIS).block_id


def test_empty_block_changes_the_height_only() -> None:
    """A block without payload leaves log and state as they are."""
    ledger = MemoryLedger()
    result = ledger.execute([])
    before = ledger.root
    assert result.root.height == 1
    assert result.root.digest != before.digest
    assert result.root.log_root == before.log_root
    assert result.root.state_root == before.state_root
    assert (len(result.accepted), result.refused, result.tiles, result.nodes) == (0, [], {}, {})


def test_entries_enter_the_log_in_order() -> None:
    """Accepted entries are numbered on, batch by batch and entry by entry."""
    ledger = MemoryLedger()
    ledger.extend(entry(0), entry(1))
    rows = [batch([entry(2), entry(3)], 1), batch([entry(4)], 2)]
    result = ledger.execute(rows)
    assert [item.sequence for item in result.accepted] == [2, 3, 4]
    assert [item.entry for item in result.accepted] == [entry(2), entry(3), entry(4)]
    assert [item.batch_id for item in result.accepted] == [rows[0][0], rows[0][0], rows[1][0]]
    for item in result.accepted:
        opened = open_entry(item.entry)
        assert (item.id, item.length) == (opened.id, len(item.entry))
    assert result.root.log_size == 5
    assert result.root.log_root == naive_root([entry(number) for number in range(5)])


@given(st.lists(st.integers(0, 40), max_size=8))
def test_log_root_is_that_of_all_entries(sizes: list[int]) -> None:
    """However events are spread over blocks, the root is that of the plain list."""
    ledger = MemoryLedger()
    pool = iter(POOL)
    for number, size in enumerate(sizes):
        if size:
            ledger.extend(*(next(pool) for _ in range(size)), number=number)
    assert ledger.root.log_size == sum(sizes)
    assert ledger.root.log_root == naive_root(POOL[: sum(sizes)])


POOL = [entry(number) for number in range(320)]


def sized(number: int, length: int) -> bytes:
    """Give an admissible entry of exactly ``length`` bytes."""
    make = partial(
        entry, number, type="t", subject="", entity_hash=b"", location="", content_type=""
    )
    data = bytes(length - len(make()))
    made = make(data=data[: 2 * len(data) + len(make()) - len(make(data=data))])
    assert len(made) == length
    return made


@pytest.mark.parametrize("length", [254, 255, 256, 257, 600])
def test_offset_is_where_the_entry_begins(length: int) -> None:
    """At every length of header the offset names the entry's bytes inside the batch."""
    refused_one = b"\xc1" * length
    rows = [sized(1, length), entry(2), refused_one, sized(3, length), sized(4, length)]
    id_, encoded = batch(rows, number=70_000)
    result = MemoryLedger().execute([(id_, encoded)])
    assert [item.entry for item in result.accepted] == [row for row in rows if row != refused_one]
    for item in result.accepted:
        assert encoded[item.offset : item.offset + item.length] == item.entry


def test_offset_of_the_longest_entries() -> None:
    """Offsets are right around entries of the greatest length, wherever they stand."""
    longest = b"\xc1" * ENTRY_BYTES_MAX
    id_, encoded = batch([entry(1), longest, entry(2), longest])
    for item in MemoryLedger().execute([(id_, encoded)]).accepted:
        assert encoded[item.offset : item.offset + item.length] == item.entry


def test_refused_entries_get_their_codes() -> None:
    """Each entry that may not enter is listed with its code; the others enter around it."""
    ledger = MemoryLedger()
    bad = [
        entry(1, topic="news"),
        forged(2),
        entry(3, time_ms=START_MS - EVENT_AGE_MS_MAX),
        entry(4, chain_id=network("other").chain_id),
    ]
    result = ledger.execute([batch([bad[0], entry(10), bad[1], b"junk", *bad[2:], entry(11)])])
    assert [item.entry for item in result.accepted] == [entry(10), entry(11)]
    assert result.refused == [
        refused(bad[0], RejectCode.TOPIC_FORBIDDEN),
        refused(bad[1], RejectCode.BAD_SIGNATURE),
        Refused(None, RejectCode.MALFORMED),
        refused(bad[2], RejectCode.TIME_TOO_OLD),
        refused(bad[3], RejectCode.WRONG_CHAIN),
    ]


def test_time_is_the_blocks() -> None:
    """The same entry is in time or not by the block's time alone."""
    ledger = MemoryLedger()
    row = batch([entry(1)])
    assert ledger.execute([row], time_ms=START_MS + EVENT_AGE_MS_MAX).refused == []
    late = ledger.execute([row], time_ms=START_MS + EVENT_AGE_MS_MAX + 1)
    assert late.refused == [refused(entry(1), RejectCode.TIME_TOO_OLD)]


def test_event_is_accepted_once() -> None:
    """A repetition is a duplicate: in its batch, its block, and for ever after."""
    ledger = MemoryLedger()
    first = ledger.execute([batch([entry(1), entry(1)]), batch([entry(1)], 1)])
    assert [item.sequence for item in first.accepted] == [0]
    assert first.refused == [refused(entry(1), RejectCode.DUPLICATE)] * 2
    ledger.extend(entry(1), number=2)
    assert ledger.extend(entry(1), number=3).refused == [refused(entry(1), RejectCode.DUPLICATE)]
    assert ledger.root.log_size == 1


def test_batch_ordered_again_gives_duplicates() -> None:
    """A batch that an earlier block named adds nothing when a later one names it."""
    ledger = MemoryLedger()
    ledger.extend(entry(1), entry(2))
    result = ledger.extend(entry(1), entry(2))
    assert list(result.accepted) == []
    assert {item.code for item in result.refused} == {RejectCode.DUPLICATE}


def test_forged_copy_does_not_block_the_true_event() -> None:
    """A forged copy is refused and the true event behind it, in the same batch, accepted."""
    result = MemoryLedger().execute([batch([forged(1), entry(1)])])
    assert [item.entry for item in result.accepted] == [entry(1)]
    assert result.refused == [refused(forged(1), RejectCode.BAD_SIGNATURE)]


def test_undecodable_batch_is_empty() -> None:
    """Bytes that are no batch add nothing and stop nobody."""
    ledger = MemoryLedger()
    junk = b"\xc1 no batch"
    result = ledger.execute([(batch_id(junk), junk), batch([entry(1)])])
    assert [item.entry for item in result.accepted] == [entry(1)]
    assert result.refused == []


@given(st.lists(st.sampled_from([entry(1), entry(2), entry(3, topic="news"), b"junk"]), max_size=6))
def test_checked_signatures_change_nothing(entries: list[bytes]) -> None:
    """Whether this node verified a valid batch before does not show in the result."""
    rows = [batch(entries)] if entries else []
    assert MemoryLedger().execute(rows, checked=True) == MemoryLedger().execute(rows)


def test_batches_read_before_are_not_read_again() -> None:
    """With scans of its batches a block has the same result, which leaves them as they are."""
    entries = [entry(1), entry(2), entry(1), entry(3, topic="news"), entry(4, time_ms=0)]
    rows = [batch(entries[:3], 1), batch([], 2), batch(entries[1:], 3)]
    ledger, same = MemoryLedger(), MemoryLedger()
    ledger.batches.update(rows)
    id_, block = ledger.next_block([row[0] for row in rows])
    scans = {batch_: scan_batches((encoded,)) for batch_, encoded in (rows[0], rows[2])}
    result = execute_block(ledger, id_, block, lambda _: False, scans)
    assert result == same.execute(rows)
    assert len(result.accepted) == 2
    assert not any(any(scan.verdicts()) for scan in scans.values())
    del ledger.batches[rows[0][0]]
    assert execute_block(ledger, id_, block, lambda _: False, scans).root == result.root


def test_only_unchecked_batches_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches that were not checked are verified in one call, a checked one in none."""
    calls: list[int] = []

    def counting(rows: bytes, message_bytes: int) -> bytes:
        calls.append(len(rows) // (96 + message_bytes))
        return signing.verify_rows(rows, message_bytes)

    monkeypatch.setattr(admission, "verify_rows", counting)
    ledger = MemoryLedger()
    rows = [batch([entry(i) for i in range(number * 10, number * 11)], number) for number in (1, 2)]
    rows.append(batch([entry(90), entry(91), entry(92)], 3))
    ledger.batches.update(rows)
    id_, block = ledger.next_block([row[0] for row in rows])
    execute_block(ledger, id_, block, lambda batch_: batch_ == rows[1][0])
    assert calls == [4]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(
                lambda entries: encode((0, 0, entries)),
                st.lists(st.one_of(st.binary(min_size=1, max_size=40), st.just(entry(1)))),
            ),
        ),
        max_size=3,
    )
)
def test_any_bytes_give_a_result(payload: list[bytes]) -> None:
    """Whatever batches hold, the block has a result, and the log takes only true events."""
    result = MemoryLedger().execute([(batch_id(data), data) for data in payload])
    assert [item.entry for item in result.accepted] in ([], [entry(1)])


def test_missing_batch_is_an_invariant_error() -> None:
    """A block is applied with its bytes or not at all."""
    ledger = MemoryLedger()
    id_, block = ledger.next_block([BatchId(bytes(32))])
    with pytest.raises(InvariantError, match="not in the store"):
        execute_block(ledger, id_, block, lambda _: False)


def test_block_must_follow() -> None:
    """A block of another height than the next is not executed."""
    ledger = MemoryLedger()
    id_, block = ledger.next_block([])
    ledger.extend(entry(1))
    with pytest.raises(InvariantError, match="does not follow"):
        execute_block(ledger, id_, block, lambda _: False)


def test_execution_leaves_its_input_alone() -> None:
    """The result is all that there is: executing twice gives the same, and batches stay."""
    ledger = MemoryLedger()
    row = batch([entry(1), entry(2)])
    assert ledger.execute([row]) == ledger.execute([row])
    assert decode_batch(ledger.batches[row[0]]).entries == (entry(1), entry(2))
    assert ledger.root.height == 0


def test_ledger_digest_is_pinned() -> None:
    """The ledger after a known block has the digest that it had when version 1 was fixed."""
    ledger = MemoryLedger()
    ledger.extend(entry(1), entry(2))
    assert ledger.root.digest.hex() == (
        "640ef0ee91f67ef436fea953ecaa7d9df502bdc0a0e30cbf85e32d6619e11d22"
    )
