"""Operations as part of blocks: rights, order, receipts, the state's root, and the flat state."""

import gc
import time
from pathlib import Path

from ledger.core import statemap, statemap_proof
from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.execute import Refused, execute_block
from ledger.core.trust.lists import entry_codec, entry_key, list_prefix, revision_key
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    ChangeList,
    Operation,
    PutEntry,
    RevokeEntry,
    operation_codec,
    topic_of,
)
from ledger.io.chain_store import ChainStore
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import BOB, BOB_DID, GENESIS, batch, block_after, entry

SCHEMA = "z3MgUFUkb722uq4x3dv5yAJmnNmzDFeK5UC8x83QoeLJM"


def operation_entry(operation: Operation, nonce: int = 0, **changes: object) -> bytes:
    """Give a signed event that carries an operation, Alice's if nothing else is said."""
    data = operation_codec.encode(operation)
    fields = {"topic": topic_of(operation), "data": data, "content_type": CONTENT_TYPE}
    return entry(nonce, **(fields | changes))  # type: ignore[arg-type] # any field of an event


def put(body: bytes, expected: int | None = None) -> ChangeList:
    """Give the change that puts a schema."""
    return ChangeList("schemas", (PutEntry(SCHEMA, "schema", body, 0, 0, expected),))


def test_an_operation_changes_the_state_that_the_root_commits_to() -> None:
    """The new value is in the state under the block's root, and can be proved there."""
    ledger = MemoryLedger()
    before = ledger.root.state_root
    result = ledger.extend(operation_entry(put(b"{}")))
    assert (len(result.accepted), result.refused) == (1, [])
    assert ledger.root.state_root != before
    value = ledger.state.get(entry_key("schemas", SCHEMA))
    assert value == result.changes[entry_key("schemas", SCHEMA)]
    proof = statemap.prove(ledger.read_node, ledger.root.state_root, entry_key("schemas", SCHEMA))
    statemap_proof.verify(ledger.root.state_root, entry_key("schemas", SCHEMA), value, proof)


def test_operations_of_one_block_see_each_other_in_order() -> None:
    """The second writing of a block is revision 2; one that expects the past is refused alone."""
    ledger = MemoryLedger()
    entries = [operation_entry(put(b"{}", 0), 1), operation_entry(put(b'{"a":1}', 1), 2)]
    stale = operation_entry(put(b'{"a":2}', 1), 3)
    result = ledger.extend(*entries, stale, entry(4))
    assert [item.entry for item in result.accepted] == [*entries, entry(4)]
    assert result.refused == [Refused(open_entry(stale).key, RejectCode.CONFLICT)]
    newest = entry_codec.decode(ledger.state.get(entry_key("schemas", SCHEMA)) or b"")
    assert (newest.revision, newest.body) == (2, b'{"a":1}')
    assert ledger.state.get(revision_key("schemas", SCHEMA, 1)) is not None


def test_a_refused_operation_leaves_the_root_as_it_was() -> None:
    """A block whose only operation is refused changes nothing but the height."""
    ledger = MemoryLedger()
    bad = operation_entry(ChangeList("schemas", (RevokeEntry(SCHEMA, None),)))
    result = ledger.extend(bad)
    assert result.refused == [Refused(open_entry(bad).key, RejectCode.NO_SUCH_ENTRY)]
    assert (result.changes, result.nodes, result.tiles) == ({}, {}, {})
    assert result.root.state_root == MemoryLedger().root.state_root


def test_who_lacks_the_right_changes_nothing() -> None:
    """Bob may publish news and prices, and no list."""
    ledger = MemoryLedger()
    foreign = operation_entry(put(b"{}"), signer=BOB, publisher=BOB_DID)
    result = ledger.extend(foreign)
    assert result.refused == [Refused(open_entry(foreign).key, RejectCode.TOPIC_FORBIDDEN)]
    assert result.changes == {}


def test_any_bytes_on_a_reserved_topic_are_refused_with_a_code() -> None:
    """What is no operation of its topic is refused, never an error."""
    ledger = MemoryLedger()
    wrong = [
        entry(number, topic="ledger.lists.schemas", data=data)
        for number, data in enumerate((b"", b"\x93", operation_codec.encode(put(b"{}"))[:-1]))
    ]
    result = ledger.extend(*wrong)
    assert [item.code for item in result.refused] == [RejectCode.OPERATION_MALFORMED] * 3


def test_refusing_many_operations_costs_no_more_for_each() -> None:
    """Who may only publish makes no block of refusals slow: time grows with their number."""
    entries = [entry(number, topic="ledger.identity", data=b"x") for number in range(4_000)]
    payload = [batch(entries[start : start + 500], start) for start in range(0, 4_000, 500)]
    seconds: dict[int, list[float]] = {1: [], 8: []}
    gc.disable()  # a collection walks through whatever earlier tests left
    try:
        for size in (1, 8) * 5:
            ledger = MemoryLedger()
            ledger.batches.update(payload)
            begin = time.process_time()
            result = ledger.execute(payload[:size], checked=True)
            seconds[size].append(time.process_time() - begin)
            assert [item.code for item in result.refused] == [
                RejectCode.OPERATION_MALFORMED
            ] * 500 * size
    finally:
        gc.enable()
    assert min(seconds[8]) < 20 * min(seconds[1])


def test_the_store_keeps_the_state_flat_and_in_order(tmp_path: Path) -> None:
    """The newest entries of a list are read in order of their ids, genesis keys stay apart."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        changes = tuple(PutEntry(f"id-{n}", "schema", b"{}", 0, 0, None) for n in (2, 0, 1))
        first = operation_entry(ChangeList("schemas", changes), 1)
        second = operation_entry(ChangeList("schemas", (RevokeEntry("id-1", None),)), 2)
        for number, data in enumerate((first, second)):
            id_, encoded = batch([data], number)
            with store.write() as writer:
                writer.store_batch(id_, encoded)
                parent = writer.reader.head().block_id
                block_id, block = block_after(writer.root, parent, [id_])
                writer.apply(execute_block(writer, block_id, block, lambda _: False))
        with store.read() as reader:
            rows = list(reader.flat_state(list_prefix("schemas")))
            assert [key for key, _ in rows] == [entry_key("schemas", f"id-{n}") for n in range(3)]
            assert [entry_codec.decode(value).revision for _, value in rows] == [1, 2, 1]
            after = reader.flat_state(list_prefix("schemas"), entry_key("schemas", "id-0"))
            assert [key for key, _ in after] == [key for key, _ in rows[1:]]
            state = reader.state(reader.stored_head(reader.head_height()).root)
            assert all(state.get(key) == value for key, value in reader.flat_state(b""))
