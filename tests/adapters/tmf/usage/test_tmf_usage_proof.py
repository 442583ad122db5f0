"""Proofs of single records, and every way to spoil one."""

import json
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.tmf.usage.leaves import Entry, leaf_hashes, salts_of
from adapters.tmf.usage.proof import (
    UsageProof,
    decode_proof,
    encode_proof,
    prove,
    verify_on_ledger,
    verify_usage,
)
from adapters.tmf.usage.tree import Tree
from ledger.core.errors import DecodeError, ProofError
from ledger.core.event import event_id, sign_event
from ledger.core.ids import Sequence
from ledger.core.proof import build_bundle, encode_bundle
from tests.adapters.tmf.usage.usage_world import (
    SECRET,
    SIGNER,
    counted,
    entry,
    event_of,
    record,
    seal,
    usage,
)
from tests.support.memory_chain import MemoryChain

SEALED = seal(
    [entry(usage(f"u{i}", **counted(i))) for i in range(6)] + [entry(usage("u0"), supersedes=1)]
)


@pytest.mark.parametrize("leaf", range(7))
def test_each_record_is_proven(leaf: int) -> None:
    """A proof gives the record, its number, what it corrects and its block; it survives JSON."""
    proof = decode_proof(encode_proof(SEALED.proof(leaf)))
    assert proof == SEALED.proof(leaf)
    verified = verify_usage(proof, SEALED.event)
    assert verified.record.body == SEALED.entries[leaf].body
    assert (verified.number, verified.supersedes) == (leaf + 1, 1 if leaf == 6 else 0)
    assert verified.block == SEALED.made.block


@given(st.integers(1, 40))
def test_blocks_of_every_size_are_proven(size: int) -> None:
    """First, last and middle leaf of a block are proven, whatever its shape."""
    sealed = seal([entry(usage(f"u{i}")) for i in range(size)])
    for leaf in {0, size // 2, size - 1}:
        assert verify_usage(sealed.proof(leaf), sealed.event).number == leaf + 1


@pytest.mark.parametrize("leaf", [3, 6])
def test_no_bit_of_a_proof_is_idle(leaf: int) -> None:
    """Whichever bit of the document changes, it is refused."""
    data = encode_proof(SEALED.proof(leaf))
    for place in range(len(data) * 8):
        spoiled = bytearray(data)
        spoiled[place // 8] ^= 1 << place % 8
        with pytest.raises((DecodeError, ProofError)):
            verify_usage(decode_proof(bytes(spoiled)), SEALED.event)


def test_no_bit_of_a_block_is_idle() -> None:
    """Whichever bit of the event's block changes, the proof does not hold for it."""
    proof = SEALED.proof(2)
    for place in range(len(SEALED.made.data) * 8):
        spoiled = bytearray(SEALED.made.data)
        spoiled[place // 8] ^= 1 << place % 8
        with pytest.raises(ProofError):
            verify_usage(proof, replace(SEALED.event, data=bytes(spoiled)))


def _swapped(proof: UsageProof) -> UsageProof:
    return proof._replace(path=proof.path[::-1])


SPOILERS: dict[str, Callable[[UsageProof], UsageProof]] = {
    "another leaf": lambda proof: proof._replace(leaf=proof.leaf + 1),
    "a leaf behind the end": lambda proof: proof._replace(leaf=7),
    "another salt": lambda proof: proof._replace(salt=salts_of(SECRET, [5])),
    "another record": lambda proof: proof._replace(entry=SEALED.entries[1]),
    "another correction": lambda proof: proof._replace(entry=proof.entry._replace(supersedes=1)),
    "another order": _swapped,
    "a shorter path": lambda proof: proof._replace(path=proof.path[:-1]),
    "a longer path": lambda proof: proof._replace(path=(*proof.path, bytes(32))),
    "another event": lambda proof: proof._replace(event_id=bytes(32)),
    "another block": lambda proof: proof._replace(block=bytes(32)),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_a_proof_of_something_else_is_refused(spoil: Callable[[UsageProof], UsageProof]) -> None:
    """Each part of a proof belongs to this record in this block."""
    assert verify_usage(SEALED.proof(2), SEALED.event)
    with pytest.raises(ProofError):
        verify_usage(spoil(SEALED.proof(2)), SEALED.event)


def test_the_same_block_in_another_event_needs_its_own_proof() -> None:
    """A proof names the one event that it was made for."""
    with pytest.raises(ProofError, match="another block"):
        verify_usage(SEALED.proof(0), replace(SEALED.event, nonce=2))


def test_a_seller_cannot_prove_what_is_no_record() -> None:
    """A leaf that holds no usage document, or corrects a later record, proves nothing."""
    body = record(usage("u")).body
    for bad in (Entry(0, b'{"id":"u"}'), Entry(1, body), Entry(9, body)):
        entries = [bad, entry(usage("v"))]
        tree = Tree(leaf_hashes(SECRET, entries))
        made = SEALED.made
        block = replace(made.block, root=tree.root, count=2)
        event = event_of(type(made)(block, msgspec.msgpack.encode(block)))
        place = (event_id(event), event.entity_hash, b"")
        with pytest.raises(ProofError, match=r"no usage record|later one"):
            verify_usage(prove(tree, 0, bad, SECRET, place), event)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"null", b'{"a":1}', b"[" * 100_000, b"\xff", b'"x"' * 10, b"9" * 2_000_000],
)
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Any bytes are a proof or a DecodeError."""
    with pytest.raises(DecodeError):
        decode_proof(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leaf", -1),
        ("leaf", 1.5),
        ("leaf", 2**60),
        ("supersedes", -1),
        ("salt", "00"),
        ("salt", "x" * 64),
        ("path", ["00"]),
        ("record", []),
        ("record", {"a": 9007199254740993}),
        ("bundle", "?"),
        ("format", "concordat-usage-proof/2"),
        ("extra", 1),
    ],
)
def test_a_malformed_member_is_refused(name: str, value: object) -> None:
    """Types, lengths and the format are checked before anything is hashed."""
    document = json.loads(encode_proof(SEALED.proof(0))) | {name: value}
    with pytest.raises(DecodeError):
        decode_proof(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_white_space_is_no_part_of_a_proof() -> None:
    """A proof has one form, so that none of its bytes is unchecked."""
    document = json.loads(encode_proof(SEALED.proof(0)))
    with pytest.raises(DecodeError, match="canonical"):
        decode_proof(json.dumps(document).encode())


def test_a_proof_with_its_bundle_needs_genesis_alone() -> None:
    """The bundle inside shows the event; without it, or with another's, nothing is shown."""
    chain = MemoryChain()
    event = replace(SEALED.event, chain_id=chain.genesis.chain_id)
    first = sign_event(event, SIGNER)
    second = sign_event(replace(event, nonce=2), SIGNER)
    chain.grow([first, second])
    for _ in range(4):
        chain.grow()
    built = [build_bundle(chain, Sequence(number)) for number in (0, 1)]
    bundles = [encode_bundle(bundle) for bundle in built if bundle]
    bare = SEALED.proof(3)._replace(event_id=first.id)
    show = partial(verify_on_ledger, genesis=chain.genesis)
    whole = decode_proof(encode_proof(bare._replace(bundle=bundles[0])))
    assert show(whole).record.id == "u3"
    for bundle in (b"", bundles[1], bundles[0][:-1]):
        with pytest.raises(ProofError):
            show(bare._replace(bundle=bundle))
