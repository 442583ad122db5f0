"""Proof bundles: made only when provable, accepted when whole, refused when anything differs."""

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core import proof
from ledger.core.block import LedgerRoot, block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate
from ledger.core.errors import DecodeError, InvariantError, ProofError
from ledger.core.ids import Height, Round, Sequence
from ledger.core.proof import (
    ProofBundle,
    Verifier,
    build_bundle,
    bundle_json,
    decode_bundle,
    encode_bundle,
    verify_bundle,
)
from tests.support.memory_chain import MemoryChain, make_entry, make_genesis


def grown(validators_count: int = 4, events_count: int = 5) -> MemoryChain:
    """Give a chain with events, and enough blocks after them that all are provable."""
    chain = MemoryChain(validators_count)
    chain_id = chain.genesis.chain_id
    for nonce in range(events_count):
        chain.grow([make_entry(chain_id, nonce)])
    for _ in range(3):
        chain.grow()
    return chain


def bundle_of(chain: MemoryChain, sequence: int) -> ProofBundle:
    """Give the proof of an event that must be provable."""
    bundle = build_bundle(chain, Sequence(sequence))
    assert bundle is not None
    return bundle


CHAIN = grown()
BUNDLE = bundle_of(CHAIN, 2)


def refused(bundle: ProofBundle, why: str) -> None:
    """Expect the refusal of ``bundle`` for this reason."""
    with pytest.raises(ProofError, match=why):
        verify_bundle(bundle, CHAIN.genesis)


@pytest.mark.parametrize("validators_count", [1, 4, 7])
def test_every_event_is_proven(validators_count: int) -> None:
    """One verifier accepts the proof of each event and tells what it shows."""
    chain = grown(validators_count, 300)
    verifier = Verifier(chain.genesis)
    for sequence, entry in enumerate(chain.entries):
        bundle = decode_bundle(encode_bundle(bundle_of(chain, sequence)))
        verified = verifier.verify(bundle)
        assert (verified.sequence, verified.entry) == (sequence, entry)
        assert chain.sequence_of(verified.id) == sequence
        assert verified.height == bundle.header.height
        assert verified.time_ms == bundle.header.time_ms


def test_no_bundle_before_a_certified_header_covers_the_event() -> None:
    """An event is provable when a header after its execution is itself final, and not before."""
    chain = MemoryChain()
    chain.grow([make_entry(chain.genesis.chain_id, 0)])
    assert build_bundle(chain, Sequence(0)) is None
    chain.grow()  # its certificate commits block 1
    chain.grow()  # carries the root after block 1
    assert build_bundle(chain, Sequence(0)) is None
    chain.grow()  # its certificate commits that header
    assert bundle_of(chain, 0).header.height == 3
    assert build_bundle(chain, Sequence(1)) is None


def test_headers_without_a_certificate_are_passed_over() -> None:
    """After a skipped round the proof ends in the next header with a certificate of its own."""
    chain = MemoryChain()
    chain.grow([make_entry(chain.genesis.chain_id, 0)])
    chain.grow()
    chain.grow()
    chain.grow(skip_round=True)  # commits nothing: block 3 has no certificate of its own
    assert build_bundle(chain, Sequence(0)) is None
    chain.grow()
    bundle = bundle_of(chain, 0)
    assert bundle.header.height == 4
    assert verify_bundle(bundle, chain.genesis).sequence == 0


@pytest.mark.parametrize("part", ["blocks", "certificates", "roots"])
def test_a_chain_with_a_hole_is_a_broken_store(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that lacks what it says it has is our fault, never a missing proof."""
    chain = grown()
    if part == "roots":
        del chain.roots[1:]
    elif part == "blocks":
        chain.blocks.clear()
    else:
        monkeypatch.setattr(chain, "certificate", lambda _height: None)
    with pytest.raises(InvariantError):
        build_bundle(chain, Sequence(0))


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    """Bytes are a bundle or DecodeError."""
    with pytest.raises(DecodeError):
        decode_bundle(data)


@given(st.integers(0, len(encode_bundle(BUNDLE)) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_changed_bytes_are_refused(place: int, put: bytes, cut: int) -> None:
    """A bundle with bytes inserted, removed or replaced gives one of the two errors."""
    data = encode_bundle(BUNDLE)
    changed = data[:place] + put + data[place + cut :]
    if changed == data:
        return
    with pytest.raises((DecodeError, ProofError)):
        verify_bundle(decode_bundle(changed), CHAIN.genesis)


def test_foreign_entries_are_refused() -> None:
    """The entry must be canonical, for this network, and signed by its publisher."""
    refused(replace(BUNDLE, entry=b"\x00"), "not canonical")
    other = make_entry("other-0000000000000000", 2).entry
    refused(replace(BUNDLE, entry=other), "for the network other")
    broken = BUNDLE.entry[:-1] + bytes([BUNDLE.entry[-1] ^ 1])
    refused(replace(BUNDLE, entry=broken), "publisher's signature")
    refused(replace(BUNDLE, entry=CHAIN.entries[3]), "another root")


def test_the_leaf_stands_at_exactly_its_sequence() -> None:
    """No other sequence, path or log size is accepted."""
    second = bundle_of(CHAIN, 1)
    refused(replace(second, sequence=0), "another root")
    refused(replace(BUNDLE, sequence=BUNDLE.root.log_size), "has no entry")
    refused(replace(BUNDLE, path=BUNDLE.path[:-1]), "too short")
    refused(replace(BUNDLE, path=(*BUNDLE.path, bytes(32))), "too long")


def test_the_header_carries_exactly_this_root() -> None:
    """Another root, or the right one under another height, is refused."""
    root = replace(BUNDLE.root, state_root=bytes([1]) * 32)
    refused(replace(BUNDLE, root=root), "does not carry")
    root = replace(BUNDLE.root, height=Height(BUNDLE.root.height + 1))
    header = replace(BUNDLE.header, ledger_root=root.digest)
    refused(replace(BUNDLE, root=root, header=header), "does not carry")


def test_the_certificate_commits_exactly_this_header() -> None:
    """A certificate of another block, of another height, or that commits nothing is refused."""
    certificate = BUNDLE.certificate
    assert certificate.commit is not None
    refused(replace(BUNDLE, header=replace(BUNDLE.header, time_ms=1)), "does not commit")
    refused(replace(BUNDLE, certificate=replace(certificate, commit=None)), "does not commit")
    wrong = Commit(certificate.commit.block_id, Height(1), None)
    signed = CHAIN.certify(certificate.round, certificate.block_id, wrong)
    refused(replace(BUNDLE, certificate=signed), "does not commit")


def test_the_certificate_is_of_a_quorum_of_genesis() -> None:
    """Too few, repeated, unknown or wrong signers, and another epoch, are refused."""
    certificate = BUNDLE.certificate
    rows = certificate.signatures
    for signatures in (rows[:2], (rows[0], rows[0], rows[1]), (*rows[:2], (9, rows[2][1]))):
        changed = replace(certificate, signatures=signatures)
        refused(replace(BUNDLE, certificate=changed), "does not hold")
    swapped = ((0, rows[1][1]), (1, rows[0][1]), rows[2])
    refused(replace(BUNDLE, certificate=replace(certificate, signatures=swapped)), "does not hold")
    refused(replace(BUNDLE, certificate=replace(certificate, epoch=1)), "does not hold")
    with pytest.raises(ProofError):
        verify_bundle(BUNDLE, make_genesis(4, "another"))


def test_later_epochs_need_a_later_version() -> None:
    """Version 1 has no epoch-end certificates."""
    changed = replace(BUNDLE, epoch_ends=(BUNDLE.certificate,))
    with pytest.raises(DecodeError):
        decode_bundle(encode_bundle(changed))


def test_a_known_header_does_not_excuse_a_wrong_certificate() -> None:
    """A verifier gives the same verdict on a bundle whether or not it knows the header."""
    verifier = Verifier(CHAIN.genesis)
    verifier.verify(BUNDLE)
    rows = BUNDLE.certificate.signatures
    changed = replace(BUNDLE.certificate, signatures=(*rows[:2], (2, bytes(64))))
    with pytest.raises(ProofError, match="does not hold"):
        verifier.verify(replace(BUNDLE, certificate=changed))
    assert block_id(BUNDLE.header) == BUNDLE.certificate.commit.block_id  # type: ignore[union-attr]
    other = CHAIN.certify(
        BUNDLE.certificate.round, BUNDLE.certificate.block_id, BUNDLE.certificate.commit, first=1
    )
    assert verifier.verify(replace(BUNDLE, certificate=other)).sequence == 2


def test_a_known_certificate_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signatures of a quorum are checked once for each header, an event's each time."""
    checked: list[int] = []
    real = QuorumCertificate.verify

    def verify(self: QuorumCertificate, domain: Domain) -> None:
        checked.append(1)
        real(self, domain)

    monkeypatch.setattr(QuorumCertificate, "verify", verify)
    chain = MemoryChain()
    chain.grow([make_entry(chain.genesis.chain_id, nonce) for nonce in range(20)])
    for _ in range(3):
        chain.grow()
    verifier = Verifier(chain.genesis)
    for sequence in range(20):
        verifier.verify(bundle_of(chain, sequence))
    assert len(checked) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest headers and events are remembered."""
    monkeypatch.setattr(proof, "PROOF_HEADERS_REMEMBERED_MAX", 2)
    monkeypatch.setattr(proof, "PROOF_SEQUENCES_REMEMBERED_MAX", 3)
    verifier = Verifier(CHAIN.genesis)
    for sequence in range(5):
        verifier.verify(bundle_of(CHAIN, sequence))
    assert list(verifier._certified) == [Height(6), Height(7)]
    assert list(verifier._events) == [2, 3, 4]


def test_the_readable_form_names_everything_and_holds_the_bytes() -> None:
    """The JSON form shows the event and carries the canonical bytes."""
    document = json.loads(bundle_json(BUNDLE))
    assert document["event"]["topic"] == "offering.created"
    assert document["sequence"] == 2
    assert document["root"]["log_root"] == BUNDLE.root.log_root.hex()
    assert document["certificate"]["signatures"][0][0] == 0
    assert decode_bundle(b64decode(document["bundle"])) == BUNDLE


class Fork:
    """Two histories signed by the same validators, as more than f liars could make them."""

    def __init__(self) -> None:
        self.honest, self.lying = grown(), MemoryChain()
        chain_id = self.lying.genesis.chain_id
        for nonce in (0, 1, 99, 3, 4):
            self.lying.grow([make_entry(chain_id, nonce)])
        for _ in range(3):
            self.lying.grow()


def contradicts(accepted: ProofBundle, later: ProofBundle, why: str) -> None:
    """Expect that each bundle holds alone, and that one verifier refuses the second."""
    verify_bundle(later, CHAIN.genesis)
    verifier = Verifier(CHAIN.genesis)
    verifier.verify(accepted)
    with pytest.raises(ProofError, match=why):
        verifier.verify(later)
    verifier.verify(accepted)


def test_two_blocks_at_one_height_are_a_fork() -> None:
    """Two final headers at one height are refused by whoever sees both."""
    fork = Fork()
    contradicts(bundle_of(fork.honest, 2), bundle_of(fork.lying, 2), "two blocks")


def rebased(chain: MemoryChain, sequence: int, root: LedgerRoot, height: int) -> ProofBundle:
    """Give a certified proof whose header at ``height`` carries ``root``."""
    bundle = bundle_of(chain, sequence)
    header = replace(
        bundle.header,
        height=Height(height),
        executed_height=root.height,
        ledger_root=root.digest,
    )
    id_ = block_id(header)
    certificate = chain.certify(Round(height + 1), id_, Commit(id_, header.height, None))
    return replace(bundle, root=root, header=header, certificate=certificate)


def test_two_events_at_one_sequence_are_a_fork() -> None:
    """Two events at one sequence are refused, whatever headers prove them."""
    fork = Fork()
    lie = bundle_of(fork.lying, 2)
    root = replace(lie.root, height=Height(40))
    lie = rebased(fork.lying, 2, root, 42)
    contradicts(bundle_of(fork.honest, 2), lie, "two events")


def test_two_logs_of_one_size_are_a_fork() -> None:
    """Two roots of one log size, or of one height, are refused."""
    fork = Fork()
    honest = bundle_of(fork.honest, 4)
    lie = bundle_of(fork.lying, 4)
    later = rebased(fork.lying, 4, replace(lie.root, height=Height(40)), 42)
    assert lie.entry == honest.entry
    contradicts(honest, later, "two logs of 5")
    contradicts(honest, rebased(fork.lying, 4, lie.root, 42), "two ledgers")


def test_a_log_that_shrinks_is_a_fork() -> None:
    """A later ledger has no fewer events than an earlier one."""
    honest = bundle_of(CHAIN, 4)
    early = bundle_of(CHAIN, 0)
    shrunk = rebased(CHAIN, 0, replace(early.root, height=Height(40)), 42)
    contradicts(honest, shrunk, "shrinks")
    contradicts(shrunk, honest, "shrinks")


def test_later_ledgers_are_compared_with_the_highest_accepted() -> None:
    """What a verifier compares with rises with each accepted bundle and never falls."""
    early, late = bundle_of(CHAIN, 0), bundle_of(CHAIN, 4)
    shrunk = rebased(CHAIN, 1, replace(bundle_of(CHAIN, 1).root, height=Height(40)), 42)
    verifier = Verifier(CHAIN.genesis)
    for bundle in (early, late, early):
        verifier.verify(bundle)
    with pytest.raises(ProofError, match="shrinks"):
        verifier.verify(shrunk)
