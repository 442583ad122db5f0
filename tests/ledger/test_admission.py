"""Admission: each rule refuses with its own code, at its exact limit, in a fixed order."""

from collections.abc import Callable

import pytest

from ledger.core import admission, signing
from ledger.core.admission import (
    ExaminedEntry,
    Verdict,
    check_rights,
    examine_batch,
    scan_valid_batch,
)
from ledger.core.codec import encode
from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.ids import EventKey
from ledger.core.limits import ENTRY_BYTES_MAX, EVENT_AGE_MS_MAX, EVENT_FUTURE_MS_MAX
from ledger.core.state import Rights, StateMemory, StateView, genesis_state
from tests.ledger.sample_network import (
    ALICE,
    ALICE_DID,
    BOB,
    BOB_DID,
    CHAIN_ID,
    GENESIS,
    REVOKED,
    START_MS,
    STRANGER,
    entry,
    forged,
    network,
)

ROOT, NODES = genesis_state(GENESIS)
STATE = StateView(lambda node_hash: NODES.get(node_hash, b""), ROOT)


def examine(
    *entries: bytes, known: Callable[[EventKey], bool] = lambda _: False, now_ms: int = START_MS
) -> tuple[Verdict, ...]:
    """Examine entries in the genesis state."""
    return admission.examine_entries(
        entries,
        chain_id=CHAIN_ID,
        state=STATE,
        now_ms=now_ms,
        known_events=lambda keys: set(filter(known, keys)),
    )


def taken(data: bytes) -> ExaminedEntry:
    """Give the verdict on an entry that is taken."""
    return ExaminedEntry(data, open_entry(data).id)


def test_admissible_entry_is_taken_with_its_id() -> None:
    """An entry that breaks no rule comes back as it is, with its event id."""
    assert examine(entry()) == (taken(entry()),)


def test_nothing_is_examined_to_nothing() -> None:
    """No entries give no verdicts."""
    assert examine() == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", RejectCode.MALFORMED),
        (b"\xc1", RejectCode.MALFORMED),
        (entry() + b"\0", RejectCode.MALFORMED),
        (b"\xc1" * ENTRY_BYTES_MAX, RejectCode.MALFORMED),
        (b"\xc1" * (ENTRY_BYTES_MAX + 1), RejectCode.TOO_LARGE),
        (entry(chain_id=network("other").chain_id), RejectCode.WRONG_CHAIN),
        (entry(publisher="did:web:nobody.example"), RejectCode.UNKNOWN_PUBLISHER),
        (entry(signer=STRANGER), RejectCode.UNKNOWN_KEY),
        (entry(signer=BOB), RejectCode.UNKNOWN_KEY),
        (entry(signer=REVOKED), RejectCode.REVOKED_KEY),
        (entry(topic="news"), RejectCode.TOPIC_FORBIDDEN),
        (entry(topic="catalog"), RejectCode.TOPIC_FORBIDDEN),
        (entry(signer=BOB, publisher=BOB_DID), RejectCode.TOPIC_FORBIDDEN),
        (
            entry(signer=BOB, publisher=BOB_DID, topic="ledger.participants"),
            RejectCode.TOPIC_FORBIDDEN,
        ),
        (entry(time_ms=START_MS - EVENT_AGE_MS_MAX - 1), RejectCode.TIME_TOO_OLD),
        (entry(time_ms=START_MS + EVENT_FUTURE_MS_MAX + 1), RejectCode.TIME_IN_FUTURE),
        (forged(), RejectCode.BAD_SIGNATURE),
    ],
)
def test_each_rule_refuses_with_its_code(data: bytes, code: RejectCode) -> None:
    """An entry that breaks one rule is refused with the code of that rule."""
    assert examine(data) == (code,)


@pytest.mark.parametrize(
    "time_ms",
    [
        START_MS - EVENT_AGE_MS_MAX,
        START_MS - EVENT_AGE_MS_MAX + 1,
        START_MS + EVENT_FUTURE_MS_MAX - 1,
        START_MS + EVENT_FUTURE_MS_MAX,
    ],
)
def test_time_window_includes_its_ends(time_ms: int) -> None:
    """The oldest and the most future admissible times are admitted."""
    data = entry(time_ms=time_ms)
    assert examine(data) == (taken(data),)


def test_reserved_prefix_is_a_whole_token() -> None:
    """Only topics below ``ledger`` are reserved, not those that begin with the same letters."""
    keys = (ParticipantKey(ALICE.public_key, revoked=False),)
    everything = Rights(Participant(ALICE_DID, "Alice", keys, (">",)))
    memory = StateMemory()
    memory.rights[ALICE_DID] = everything
    state = StateView(lambda _: b"", ROOT, memory)
    for topic in ("ledger", "ledgers.x", "ledger-x.y"):
        assert check_rights((CHAIN_ID, topic, ALICE_DID, ALICE.public_key), CHAIN_ID, state) is None
    for topic in ("ledger.x", "ledger.x.y"):
        code = check_rights((CHAIN_ID, topic, ALICE_DID, ALICE.public_key), CHAIN_ID, state)
        assert code is RejectCode.TOPIC_FORBIDDEN


def test_known_event_is_a_duplicate() -> None:
    """An event that the log holds is refused, whatever its signature."""
    known = open_entry(entry(1)).key
    verdicts = examine(entry(1), forged(1), entry(2), known=lambda key: key == known)
    assert verdicts == (RejectCode.DUPLICATE, RejectCode.DUPLICATE, taken(entry(2)))


def test_other_refusals_come_before_duplicate() -> None:
    """A known event that may not enter now is refused for that reason, at every node alike."""
    assert examine(entry(topic="news"), known=lambda _: True) == (RejectCode.TOPIC_FORBIDDEN,)


def test_second_of_equal_entries_is_a_duplicate() -> None:
    """Inside one call the first is taken and the others are refused."""
    verdicts = examine(entry(1), entry(2), entry(1))
    assert verdicts == (taken(entry(1)), taken(entry(2)), RejectCode.DUPLICATE)


def test_forged_copy_cannot_push_the_true_event_out() -> None:
    """A copy with a wrong signature in front of the true one leaves the true one admissible."""
    assert examine(forged(1), entry(1)) == (RejectCode.BAD_SIGNATURE, taken(entry(1)))


def test_all_signatures_are_verified_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in the submission, the batch kernel is called once, with what is left."""
    calls: list[int] = []

    def counting(rows: bytes, message_bytes: int) -> bytes:
        calls.append(len(rows) // (96 + message_bytes))
        return signing.verify_rows(rows, message_bytes)

    monkeypatch.setattr(admission, "verify_rows", counting)
    examine(entry(1), b"", forged(2), entry(topic="news"), entry(3))
    assert calls == [3]


def test_verdicts_stand_in_the_order_of_the_entries() -> None:
    """Every entry gets its own verdict, also when neighbours are refused for other reasons."""
    good = [entry(number) for number in range(4)]
    verdicts = examine(good[0], b"", good[1], forged(9), good[2], entry(topic="news"), good[3])
    assert verdicts == (
        taken(good[0]),
        RejectCode.MALFORMED,
        taken(good[1]),
        RejectCode.BAD_SIGNATURE,
        taken(good[2]),
        RejectCode.TOPIC_FORBIDDEN,
        taken(good[3]),
    )


def test_batch_of_valid_entries_is_valid() -> None:
    """A batch is valid when every entry is; repeated entries do not matter."""
    assert examine_batch([entry(1), entry(2), entry(1)], CHAIN_ID)


@pytest.mark.parametrize("bad", [b"", entry(2) + b"\0", forged(2)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_entry_spoils_a_batch(bad: bytes, place: int) -> None:
    """Wherever it stands, an entry that is malformed or forged makes the batch invalid."""
    entries = [entry(0), entry(1)]
    entries.insert(place, bad)
    assert not examine_batch(entries, CHAIN_ID)


@pytest.mark.parametrize("bad", [b"\1", entry(2) + b"\0", forged(2), entry(3, chain_id="other")])
def test_only_valid_batches_are_given_scanned(bad: bytes) -> None:
    """A batch's scan is given exactly when all its entries are valid; what is no batch has none."""
    good = [entry(0), entry(1)]
    scan = scan_valid_batch(encode((0, 0, good)), CHAIN_ID)
    assert scan is not None
    assert scan.entries() == good
    assert scan_valid_batch(encode((0, 0, [*good, bad])), CHAIN_ID) is None
    assert scan_valid_batch(encode((0, 0, good)) + b"\0", CHAIN_ID) is None


def test_batch_of_another_chain_is_invalid() -> None:
    """Entries of another network make a batch invalid."""
    other = network("other").chain_id
    assert not examine_batch([entry(1), entry(2, chain_id=other)], CHAIN_ID)
    assert not examine_batch([entry(1)], other)


def test_batch_is_judged_without_state_and_time() -> None:
    """Rights and time may change until the block: they do not make a batch invalid."""
    assert examine_batch(
        [
            entry(1, topic="news"),
            entry(2, signer=STRANGER),
            entry(3, publisher="did:web:nobody.example"),
            entry(4, time_ms=0),
        ],
        CHAIN_ID,
    )
