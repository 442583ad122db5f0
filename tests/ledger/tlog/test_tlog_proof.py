"""Proofs of the transparency log: every event, with genesis or a policy, and no changed bit."""

from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError, ProofError
from ledger.core.genesis import Genesis, read_genesis
from ledger.core.ids import Epoch, Sequence
from ledger.core.tlog.checkpoint import Checkpoint, StoredCheckpoint
from ledger.core.tlog.policy import Policy, policy_of, write_policy
from ledger.core.tlog.proof import (
    build_tlog_proof,
    is_tlog_proof,
    parse_tlog_proof,
    verify_tlog_proof,
    write_tlog_proof,
)
from ledger.core.validators import ValidatorSet
from tests.independent import tlog_verifier as independent
from tests.ledger.epochs_world import make_epochs
from tests.ledger.sample_network import GENESIS
from tests.ledger.tlog.cosigned import (
    TIME_S,
    leaf_of_extra,
    note_of,
    signed_lines,
    stored,
)
from tests.support.memory_chain import MemoryChain, make_entry

EVENTS = 300  # more than a tile


@cache
def chain_of(count: int = EVENTS) -> MemoryChain:
    """Give a chain of four validators with so many events."""
    chain = MemoryChain(4)
    chain.grow([make_entry(chain.genesis.chain_id, number) for number in range(count)])
    return chain


def proof_of(chain: MemoryChain, sequence: int, size: int) -> bytes:
    """Give the proof of an event under the checkpoint of a size."""
    proof = build_tlog_proof(chain, Sequence(sequence), stored(chain, size))
    assert proof is not None
    return write_tlog_proof(proof)


def policy_for(genesis: Genesis) -> Policy:
    """Give the policy of the first validators."""
    return policy_of(genesis.chain_id, genesis.validator_set())


def holds(data: bytes, trusted: Genesis | Policy) -> bool:
    """Give the verdict of the product."""
    try:
        verify_tlog_proof(parse_tlog_proof(data), trusted)
    except (DecodeError, ProofError):
        return False
    return True


@pytest.mark.parametrize("size", [1, 2, 5, 255, 256, 257, EVENTS])
def test_every_event_is_proven(size: int) -> None:
    """Genesis, a policy and the independent verifier accept the proof of each covered event."""
    chain = chain_of()
    rules = independent.read_policy(write_policy(policy_for(chain.genesis)))
    for sequence in {0, 1, size // 2, size - 1} & set(range(size)):
        data = proof_of(chain, sequence, size)
        assert is_tlog_proof(data)
        for trusted in (chain.genesis, policy_for(chain.genesis)):
            shown = verify_tlog_proof(parse_tlog_proof(data), trusted)
            assert shown.sequence == sequence
            assert shown.opened.entry == chain.entries[sequence]
            assert (shown.cosigned.checkpoint.size, shown.time_s) == (size, TIME_S)
        other = independent.check_proof(data, rules, leaf_of_extra)
        assert (other.number, other.head.size) == (sequence, size)


def test_not_covered_yet() -> None:
    """There is no proof before a checkpoint covers the event, nor without any checkpoint."""
    chain = chain_of()
    assert build_tlog_proof(chain, Sequence(5), None) is None
    assert build_tlog_proof(chain, Sequence(5), stored(chain, 5)) is None
    assert build_tlog_proof(chain, Sequence(4), stored(chain, 5)) is not None
    ahead = StoredCheckpoint(Epoch(0), TIME_S, EVENTS + 1, b"")
    assert build_tlog_proof(chain, Sequence(EVENTS), ahead) is None


def test_every_changed_bit_is_refused() -> None:
    """With genesis each bit of a proof matters; with a policy, too, while there is one epoch."""
    chain = chain_of()
    data = proof_of(chain, 3, 7)
    policy = policy_for(chain.genesis)
    assert holds(data, chain.genesis)
    survivors = []
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        if holds(bytes(changed), chain.genesis) or holds(bytes(changed), policy):
            survivors.append(place)
    assert not survivors


@given(st.binary(max_size=60), st.integers(0, 1_500), st.integers(0, 60))
def test_damaged_proofs(put: bytes, place: int, cut: int) -> None:
    """Whatever is cut out of a proof and put in, it is refused unless it is the same."""
    chain = chain_of()
    data = proof_of(chain, 3, 7)
    damaged = data[:place] + put + data[place + cut :]
    assert holds(damaged, chain.genesis) is (damaged == data)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a proof that is written as it was read, or a DecodeError."""
    heading = b"c2sp.org/tlog-proof@v1\n"
    for content in (data, heading + data, heading + b"extra kgDA\nindex 0\n\n" + data):
        try:
            proof = parse_tlog_proof(content)
        except DecodeError:
            continue
        assert write_tlog_proof(proof) == content


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"index 3", b"index 03"),
        (b"index 3", b"index -3"),
        (b"index 3", b"index 4"),
        (b"index 3", b"index 9223372036854775808"),
        (b"index 3\n", b""),
        (b"extra ", b"extra  "),
        (b"\n\n", b"\n"),
        (b"\n\n", b"\n\n\n"),
    ],
)
def test_other_lines(old: bytes, new: bytes) -> None:
    """Lines that are not as the format has them are refused."""
    chain = chain_of()
    data = proof_of(chain, 3, 7)
    assert not holds(data.replace(old, new, 1), chain.genesis)


def test_a_proof_without_extra_data() -> None:
    """The format allows it, but nothing could be verified: it is refused."""
    lines = proof_of(chain_of(), 3, 7).split(b"\n")
    with pytest.raises(DecodeError):
        parse_tlog_proof(b"\n".join(lines[:1] + lines[2:]))


def test_a_log_of_another_network() -> None:
    """Another network's genesis or policy refuses, even with the same validators."""
    chain = chain_of()
    data = proof_of(chain, 3, 7)
    genesis = read_genesis(chain.genesis.to_json().replace(b'"test"', b'"toast"'))
    assert genesis.validators == chain.genesis.validators
    assert not holds(data, genesis)
    assert not holds(data, policy_for(genesis))


def test_a_policy_without_logs() -> None:
    """Whoever knows the log himself needs no log line; the entry must be of that log still."""
    chain = chain_of()
    policy = policy_for(chain.genesis)._replace(logs=())
    assert holds(proof_of(chain, 3, 7), policy)


def test_entry_of_another_log_in_this_log() -> None:
    """An entry that says that it is of another network is refused, whatever log holds it."""
    chain = MemoryChain(1)
    chain.grow([make_entry("other-0011223344556677", 1)])
    data = proof_of(chain, 0, 1)
    assert not holds(data, chain.genesis)
    with pytest.raises(ProofError, match="for the network other"):
        verify_tlog_proof(parse_tlog_proof(data), chain.genesis)


def test_a_checkpoint_that_is_none() -> None:
    """What stands for the checkpoint must be one."""
    chain = chain_of()
    proof = parse_tlog_proof(proof_of(chain, 3, 7))
    with pytest.raises(ProofError, match="the checkpoint is none"):
        verify_tlog_proof(proof._replace(checkpoint=b"no\n\nnote\n"), chain.genesis)


def epochs_proof(path: Path) -> bytes:
    """Give a proof under a checkpoint of the third epoch, of which nobody is of genesis."""
    chain = make_epochs(path)
    with chain.store.read() as reader:
        start, head = reader.epoch_start(), reader.stored_head(reader.head_height()).root
        checkpoint = Checkpoint(GENESIS.chain_id, head.log_size, head.log_root)
        members = zip(start.members, chain.signers, strict=True)
        rows = list(members)[: start.validator_set().quorum]
        note = note_of(checkpoint, signed_lines(checkpoint, rows))
        newest = StoredCheckpoint(start.number, TIME_S, head.log_size, note)
        proof = build_tlog_proof(reader, Sequence(0), newest)
    chain.store.close()
    assert proof is not None
    return write_tlog_proof(proof)


def test_genesis_is_enough_after_changes_of_validators(tmp_path: Path) -> None:
    """The ends of epochs in the extra data lead from genesis to who cosigned; none may lack."""
    data = epochs_proof(tmp_path / "chain")
    proof = parse_tlog_proof(data)
    ends = proof.extra.epoch_ends
    assert len(ends) == 2
    assert verify_tlog_proof(proof, GENESIS).sequence == 0
    last = ValidatorSet(ends[-1].validators)
    assert holds(data, policy_of(GENESIS.chain_id, last))
    assert not holds(data, policy_for(GENESIS))
    cut = msgspec.structs.replace(ends[-1], validators=ends[-1].validators[::-1])
    for others in (ends[:1], ends[1:], (), ends[::-1], (ends[0], cut)):
        false = proof._replace(extra=msgspec.structs.replace(proof.extra, epoch_ends=others))
        assert not holds(write_tlog_proof(false), GENESIS)
