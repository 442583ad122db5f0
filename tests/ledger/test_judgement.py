"""Many entries judged together get what the rules, asked of each entry by itself, would give."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.admission import examine_batch, examine_entries, try_open
from ledger.core.errors import RejectCode
from ledger.core.event import OpenEntry, entry_id, id_of_key, signature_check
from ledger.core.ids import EventId
from ledger.core.limits import EVENT_AGE_MS_MAX, EVENT_FUTURE_MS_MAX
from ledger.core.signing import verify_many
from ledger.core.state import StateView, genesis_state
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import (
    BOB,
    BOB_DID,
    CHAIN_ID,
    GENESIS,
    REVOKED,
    START_MS,
    STRANGER,
    batch,
    entry,
    forged,
    network,
)

ROOT, NODES = genesis_state(GENESIS)
STATE = StateView(lambda node_hash: NODES.get(node_hash, b""), ROOT)
NOW_MS = START_MS + 1_000  # of the first block

GOOD = [entry(number) for number in range(6)]
GOOD += [entry(number, signer=BOB, publisher=BOB_DID, topic="news") for number in range(3)]
POOL = [
    *GOOD,
    *(forged(number) for number in range(3)),
    b"",
    b"junk",
    GOOD[0] + b"\0",
    entry(topic="news"),
    entry(publisher="did:web:nobody.example"),
    entry(signer=STRANGER),
    entry(signer=REVOKED),
    entry(chain_id=network("other").chain_id),
    *(entry(9, time_ms=NOW_MS - EVENT_AGE_MS_MAX + late) for late in (-1, 0)),
    *(entry(9, time_ms=NOW_MS + EVENT_FUTURE_MS_MAX + early) for early in (0, 1)),
    forged(topic="news"),
    forged(9, time_ms=0),
]
KNOWN = {entry_id(GOOD[1]), entry_id(GOOD[7])}


def refusal(opened: OpenEntry) -> RejectCode | None:
    """Ask the rules of one entry, in their order; repeats are not looked at."""
    event = opened.event
    rights = STATE.rights(event.publisher)
    if event.chain_id != CHAIN_ID:
        return RejectCode.WRONG_CHAIN
    if rights is None:
        return RejectCode.UNKNOWN_PUBLISHER
    if event.key not in rights.revoked:
        return RejectCode.UNKNOWN_KEY
    if rights.revoked[event.key]:
        return RejectCode.REVOKED_KEY
    if not rights.may_publish(event.topic):
        return RejectCode.TOPIC_FORBIDDEN
    if NOW_MS - event.time_ms > EVENT_AGE_MS_MAX:
        return RejectCode.TIME_TOO_OLD
    if event.time_ms - NOW_MS > EVENT_FUTURE_MS_MAX:
        return RejectCode.TIME_IN_FUTURE
    if opened.id in KNOWN:
        return RejectCode.DUPLICATE
    return None if verify_many([signature_check(opened)])[0] else RejectCode.BAD_SIGNATURE


def expected(entries: Sequence[bytes]) -> list[RejectCode | EventId]:
    """Judge one by one: the code of a refused entry, the id of another."""
    verdicts: list[RejectCode | EventId] = []
    for data in entries:
        opened = try_open(data)
        code = opened if isinstance(opened, RejectCode) else refusal(opened)
        if code is None and entry_id(data) in verdicts:
            code = RejectCode.DUPLICATE
        verdicts.append(entry_id(data) if code is None else code)
    return verdicts


@given(seed=st.integers(0, 2**32), count=st.integers(0, 60))
def test_submissions_are_judged_entry_by_entry(seed: int, count: int) -> None:
    """Any mixture of entries gets the verdicts of the rules asked one by one."""
    entries = random.Random(seed).choices(POOL, k=count)
    verdicts = examine_entries(
        entries,
        chain_id=CHAIN_ID,
        state=STATE,
        now_ms=NOW_MS,
        known_events=lambda keys: {key for key in keys if id_of_key(key) in KNOWN},
    )
    got = [item if isinstance(item, RejectCode) else item.id for item in verdicts]
    assert got == expected(entries)
    for item, data in zip(verdicts, entries, strict=True):
        assert isinstance(item, RejectCode) or item.entry == data


@given(seed=st.integers(0, 2**32), count=st.integers(1, 40))
def test_blocks_are_judged_entry_by_entry(seed: int, count: int) -> None:
    """However entries are spread over batches, the block takes and refuses the same ones."""
    generator = random.Random(seed)
    entries = generator.choices([data for data in POOL if data], k=count)
    cuts = sorted(generator.choices(range(1, count + 1), k=3))
    pieces = [entries[start:end] for start, end in zip([0, *cuts], [*cuts, count], strict=True)]
    ledger = MemoryLedger()
    ledger.events |= KNOWN
    rows = [batch(piece, number) for number, piece in enumerate(pieces) if piece]
    result = ledger.execute(rows, time_ms=NOW_MS)
    verdicts = expected(entries)
    accepted = [item for item in verdicts if not isinstance(item, RejectCode)]
    assert [item.id for item in result.accepted] == accepted
    assert [item.code for item in result.refused] == [
        item for item in verdicts if isinstance(item, RejectCode)
    ]
    assert result.root.log_size == len(accepted)


@given(seed=st.integers(0, 2**32), count=st.integers(0, 12))
def test_batches_are_judged_entry_by_entry(seed: int, count: int) -> None:
    """A batch is valid when all of its entries are canonical, of this chain and well signed."""
    entries = random.Random(seed).choices([*GOOD] * 6 + POOL, k=count)
    opened = [try_open(data) for data in entries]
    valid = all(
        not isinstance(item, RejectCode)
        and item.event.chain_id == CHAIN_ID
        and verify_many([signature_check(item)])[0]
        for item in opened
    )
    assert examine_batch(entries, CHAIN_ID) == valid
