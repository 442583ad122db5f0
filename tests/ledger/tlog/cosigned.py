"""Checkpoints as a quorum signs them, for tests, and both verifiers of them."""

from collections.abc import Callable, Sequence

from ledger.core.errors import DecodeError, ProofError
from ledger.core.ids import Epoch
from ledger.core.merkle import leaf_hash, root
from ledger.core.signing import SeedSigner
from ledger.core.tlog.checkpoint import (
    Checkpoint,
    StoredCheckpoint,
    cosigner_key,
    log_key,
    sign_checkpoint,
    timestamped,
)
from ledger.core.tlog.note import NoteSignature, SignedNote, write_note
from ledger.core.tlog.policy import check_checkpoint, parse_policy
from ledger.core.validators import Validator, ValidatorSet
from tests.independent import tlog_verifier as independent
from tests.support.memory_chain import MemoryChain, signer_of

TIME_S = 1_800_000_123

Verdict = Callable[[bytes, bytes], bool]
"""(note, policy) -> whether it holds."""


def signed_lines(
    checkpoint: Checkpoint,
    rows: Sequence[tuple[Validator, SeedSigner]],
    *,
    logs: int = 1,
    time_s: int = TIME_S,
) -> list[NoteSignature]:
    """Give the lines of the log's keys, of the first ``logs`` signers, and of all cosigners."""
    lines = []
    for number, (validator, signer) in enumerate(rows):
        signed = sign_checkpoint(signer, checkpoint, time_s)
        key = log_key(checkpoint.origin, validator)
        if number < logs:
            lines.append(NoteSignature(key.name, key.id, signed.as_log))
        key = cosigner_key(checkpoint.origin, validator)
        lines.append(NoteSignature(key.name, key.id, timestamped(time_s, signed.as_cosigner)))
    return lines


def note_of(checkpoint: Checkpoint, lines: Sequence[NoteSignature]) -> bytes:
    """Give the signed note."""
    return write_note(SignedNote(checkpoint.text, tuple(lines)))


def checkpoint_of(chain: MemoryChain, size: int) -> Checkpoint:
    """Give the checkpoint of the first entries of a chain."""
    return Checkpoint(chain.genesis.chain_id, size, root(chain.read_tile, size))


def members_of(chain: MemoryChain, count: int) -> list[tuple[Validator, SeedSigner]]:
    """Give the first validators of a chain with their keys."""
    members: ValidatorSet = chain.genesis.validator_set()
    return [(members.members[number], signer_of(number)) for number in range(count)]


def stored(chain: MemoryChain, size: int) -> StoredCheckpoint:
    """Give what nodes keep of a checkpoint that a quorum of a chain's validators signed."""
    checkpoint = checkpoint_of(chain, size)
    rows = members_of(chain, chain.genesis.validator_set().quorum)
    return StoredCheckpoint(
        Epoch(0), TIME_S, size, note_of(checkpoint, signed_lines(checkpoint, rows))
    )


def production(note: bytes, policy: bytes) -> bool:
    """Give the verdict of the product."""
    try:
        check_checkpoint(note, parse_policy(policy))
    except (DecodeError, ProofError):
        return False
    return True


def other(note: bytes, policy: bytes) -> bool:
    """Give the verdict of the independent verifier."""
    try:
        independent.check_checkpoint(note, independent.read_policy(policy))
    except independent.RefusedError:
        return False
    return True


def leaf_of_extra(extra: bytes) -> bytes:
    """Give the leaf of a proof: its extra data begins with the entry (docs/transparency-log.md).

    An array of 2 in MessagePack, whose first value is a byte string.
    """
    heads = {0xC4: 1, 0xC5: 2}
    if len(extra) < 4 or extra[0] != 0x92 or extra[1] not in heads:
        raise independent.RefusedError("other extra data")
    width = heads[extra[1]]
    size = int.from_bytes(extra[2 : 2 + width], "big")
    return leaf_hash(extra[2 + width : 2 + width + size])
