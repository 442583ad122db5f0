"""Batches are checked against genesis: one proof for a whole piece of the log, or one for each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import ProofError
from ledger.core.event import open_entry
from ledger.core.ids import EventId, Sequence
from ledger.core.proof import ProofBundle, Verifier, build_bundle
from pubsub.client.checking import LogChecker
from pubsub.core.cloudevents import ReceivedEvent
from tests.support.memory_chain import MemoryChain, make_entry

COUNT = 300


def grown() -> MemoryChain:
    """Give a chain whose events stand in blocks of 1 to 6, all provable."""
    chain = MemoryChain()
    nonce = 0
    while nonce < COUNT:
        size = min(1 + nonce % 6, COUNT - nonce)
        chain.grow([make_entry(chain.genesis.chain_id, nonce + more) for more in range(size)])
        nonce += size
    for _ in range(3):
        chain.grow()
    return chain


CHAIN = grown()


def received(number: int, entry: bytes | None = None) -> ReceivedEvent:
    """Give the event at a sequence as a gateway sent it, or another one in its place."""
    opened = open_entry(CHAIN.entries[number] if entry is None else entry)
    return ReceivedEvent(opened, Sequence(number), None)


def proof_of(number: int) -> ProofBundle:
    """Give the proof of the event at a sequence."""
    bundle = build_bundle(CHAIN, Sequence(number))
    assert bundle is not None
    return bundle


def check(checker: LogChecker, events: list[ReceivedEvent]) -> int:
    """Check a batch with the proofs that it asks for, and no others; give how many."""
    bundles: dict[EventId, ProofBundle] = {}
    for id_ in checker.wanted(events):
        sequence = CHAIN.sequence_of(id_)
        if sequence is None:  # a forged event: a liar's best is a proof of the one in its place
            number = next(e.sequence for e in events if e.opened.id == id_)
            sequence = number if number is not None else Sequence(0)
        bundles[id_] = proof_of(sequence)
    checker.check(events, bundles)
    return len(bundles)


def checker_of(*, is_complete: bool = True) -> LogChecker:
    """Give a checker that trusts the chain's genesis."""
    return LogChecker(Verifier(CHAIN.genesis), is_complete=is_complete)


@given(st.integers(0, COUNT - 1), st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_any_pieces_of_the_log_are_accepted(start: int, sizes: list[int]) -> None:
    """From any start and in pieces of any sizes, one proof a piece shows all; one more at first."""
    checker = checker_of()
    for place, size in enumerate(sizes):
        events = [received(number) for number in range(start, min(start + size, COUNT))]
        if not events:
            return
        proofs_count = check(checker, events)
        begins_inside = place == 0 and start > 0 and len(events) > 1
        assert proofs_count == (2 if begins_inside else 1)
        start += size


@given(st.integers(0, 40), st.integers(1, 60), st.data())
def test_a_forged_event_is_found_wherever_it_stands(
    start: int, size: int, data: st.DataObject
) -> None:
    """A piece with one event replaced, by a signed one even, is refused; the right one is not."""
    checker = checker_of()
    if start and data.draw(st.booleans()):
        check(checker, [received(number) for number in range(start)])
    events = [received(number) for number in range(start, start + size)]
    place = data.draw(st.integers(0, size - 1))
    forged = make_entry(CHAIN.genesis.chain_id, 10_000).entry
    lies = [*events[:place], received(start + place, forged), *events[place + 1 :]]
    with pytest.raises(ProofError):
        check(checker, lies)
    check(checker, events)  # a refused piece changed nothing


def test_two_events_swapped_are_found() -> None:
    """The order is proven too."""
    events = [received(number) for number in range(9)]
    events[3], events[4] = received(3, CHAIN.entries[4]), received(4, CHAIN.entries[3])
    with pytest.raises(ProofError, match="other events before 8"):
        check(checker_of(), events)


def test_a_gap_between_pieces_is_found() -> None:
    """A piece that does not follow the last one is refused."""
    checker = checker_of()
    check(checker, [received(0)])
    with pytest.raises(ProofError, match="other events"):
        check(checker, [received(2)])


def test_each_event_of_a_filtered_log_needs_its_proof() -> None:
    """Without the events between, every event is proven by itself."""
    checker = checker_of(is_complete=False)
    assert check(checker, [received(number) for number in (3, 50, 51)]) == 3
    forged = received(60, make_entry(CHAIN.genesis.chain_id, 10_000).entry)
    with pytest.raises(ProofError, match="not of the event"):
        check(checker, [received(52), forged])
    moved = received(61, CHAIN.entries[60])
    with pytest.raises(ProofError, match="not of the event"):
        check(checker, [moved])


def test_every_signature_is_checked() -> None:
    """An entry with a wrong signature in the middle of a proven piece is refused."""
    chain = MemoryChain()
    entries = [make_entry(chain.genesis.chain_id, nonce) for nonce in range(3)]
    broken = open_entry(entries[1].entry[:-1] + bytes([entries[1].entry[-1] ^ 1]))
    foreign = make_entry("other-1", 1)
    for bad, why in ((broken, "signature"), (foreign, "another network")):
        chain = MemoryChain()
        chain.grow([entries[0], bad, entries[2]])
        for _ in range(3):
            chain.grow()
        bundle = build_bundle(chain, Sequence(2))
        assert bundle is not None
        events = [
            ReceivedEvent(opened, Sequence(number), None)
            for number, opened in enumerate([entries[0], bad, entries[2]])
        ]
        checker = LogChecker(Verifier(chain.genesis), is_complete=True)
        with pytest.raises(ProofError, match=why):
            checker.check(events, {entries[2].id: bundle})


def test_nothing_needs_no_proof() -> None:
    """An empty batch asks for nothing and holds."""
    for is_complete in (True, False):
        checker = checker_of(is_complete=is_complete)
        assert checker.wanted([]) == []
        checker.check([], {})
