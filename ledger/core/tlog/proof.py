"""Proofs of events for verifiers of transparency logs (C2SP tlog-proof).

Owns the file: an index, an inclusion path and a cosigned checkpoint, in lines of text. Its extra
data, which the format leaves to each log, holds what a verifier of this log needs besides: the
entry, and how every epoch before ended. So a proof is checked with a policy, or with genesis alone,
and both ways it stands by itself.

Any bytes are a proof or ``DecodeError``; a proof has a verdict or ``ProofError``. With genesis no
bit of an accepted proof is unchecked; with a policy the ends of epochs are not looked at.
"""

import re
from typing import Annotated, Final, NamedTuple, Protocol

from msgspec import Meta

from ledger.core.codec import Codec, Record
from ledger.core.epoch_proof import EndingSource, EpochEndings, SetChain, endings_before
from ledger.core.errors import DecodeError, Forgotten, ProofError
from ledger.core.event import OpenEntry
from ledger.core.genesis import Genesis
from ledger.core.ids import Sequence
from ledger.core.limits import (
    ENTRY_BYTES_MAX,
    HASH_BYTES,
    INT_MAX,
    PROOF_FILE_BYTES_MAX,
    PROOF_PATH_HASHES_MAX,
)
from ledger.core.merkle import inclusion_proof, leaf_hash
from ledger.core.merkle_proof import verify_inclusion
from ledger.core.proof import verify_entry
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.core.tlog.note import base64_text, read_base64
from ledger.core.tlog.policy import CosignedCheckpoint, Policy, check_checkpoint, policy_of

__all__ = [
    "TlogProof",
    "VerifiedInclusion",
    "build_tlog_proof",
    "is_tlog_proof",
    "parse_tlog_proof",
    "verify_tlog_proof",
    "with_tlog_entry",
    "write_tlog_proof",
]

_HEADING: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})\Z", re.ASCII)
_EXTRA: Final = "extra "


class _Extra(Record, frozen=True):
    """The extra data of a proof."""

    entry: Annotated[bytes, Meta(max_length=ENTRY_BYTES_MAX)]
    epoch_ends: EpochEndings


class TlogProof(NamedTuple):
    """A proof; nothing in it is believed yet.

    Attributes:
        sequence: the index of the entry.
        path: siblings from the leaf to the root, 32 bytes each.
        checkpoint: the signed note.
    """

    extra: _Extra
    sequence: int
    path: tuple[bytes, ...]
    checkpoint: bytes


class VerifiedInclusion(NamedTuple):
    """An event that is in the log, and the checkpoint that shows it."""

    opened: OpenEntry
    sequence: Sequence
    cosigned: CosignedCheckpoint

    @property
    def time_s(self) -> int:
        """Seconds since 1970 by which the log held the event."""
        return max(self.cosigned.times_s.values(), default=0)


class ProofSource(EndingSource, Protocol):
    """What making a proof reads from a chain."""

    def entry(self, sequence: Sequence, /) -> bytes | None:
        """Give the entry at ``sequence``, or None when the log is shorter."""
        ...

    def read_tile(self, level: int, index: int, /) -> bytes:
        """Give the hashes of one tile of the log."""
        ...


_extras = Codec(_Extra)


def with_tlog_entry(proof: TlogProof, entry: bytes) -> TlogProof:
    """Give a proof of a forgotten event with the entry that its reader has kept."""
    return proof._replace(extra=_Extra(entry, proof.extra.epoch_ends))


def build_tlog_proof(
    source: ProofSource, sequence: Sequence, newest: StoredCheckpoint | None
) -> TlogProof | None:
    """Make the proof of the event at ``sequence`` under the newest checkpoint.

    It lacks the entry when that is forgotten: see :func:`with_tlog_entry`.

    Returns:
        None while the checkpoint does not cover the event.
    """
    if newest is None or sequence >= newest.log_size:
        return None
    try:
        entry = source.entry(sequence)
    except Forgotten:
        entry = b""
    if entry is None:
        return None
    extra = _Extra(entry, endings_before(source, newest.epoch))
    path = inclusion_proof(source.read_tile, sequence, newest.log_size)
    return TlogProof(extra, sequence, tuple(path), newest.note)


def write_tlog_proof(proof: TlogProof) -> bytes:
    """Write a proof; the inverse of :func:`parse_tlog_proof`."""
    lines = [_HEADING, _EXTRA + base64_text(_extras.encode(proof.extra)), f"index {proof.sequence}"]
    lines += [base64_text(sibling) for sibling in proof.path]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n" + proof.checkpoint


def is_tlog_proof(data: bytes) -> bool:
    """Say whether bytes claim to be such a proof."""
    return data.startswith(_HEADING.encode() + b"\n")


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Read a proof of an event of this ledger.

    Raises:
        DecodeError: it is none, or lacks the extra data.
    """
    head, blank, checkpoint = data.partition(b"\n\n")
    if len(data) > PROOF_FILE_BYTES_MAX or not blank:
        raise DecodeError("a proof is lines, an empty line and a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise DecodeError("the lines of a proof are ASCII") from None
    if len(lines) < len(("heading", "extra", "index")) or lines[0] != _HEADING:
        raise DecodeError(f"a proof begins with {_HEADING}, extra data and an index")
    _, extra, index, *path = lines
    found = _INDEX.match(index)
    if not extra.startswith(_EXTRA) or found is None or int(found[1]) > INT_MAX:
        raise DecodeError("a proof of this ledger has extra data and an index")
    siblings = tuple(map(read_base64, path))
    if len(siblings) > PROOF_PATH_HASHES_MAX or any(len(s) != HASH_BYTES for s in siblings):
        raise DecodeError("a path has at most 63 hashes of 32 bytes")
    content = _extras.decode(read_base64(extra.removeprefix(_EXTRA)))
    return TlogProof(content, int(found[1]), siblings, checkpoint)


def verify_tlog_proof(proof: TlogProof, trusted: Policy | Genesis) -> VerifiedInclusion:
    """Check a proof with a policy, or with genesis alone.

    Raises:
        ProofError: it does not hold.
    """
    if isinstance(trusted, Genesis):
        domain = SetChain(trusted).follow(proof.extra.epoch_ends)
        policy = policy_of(trusted.chain_id, domain.validators)
    else:
        policy = trusted
    try:
        cosigned = check_checkpoint(proof.checkpoint, policy)
    except DecodeError as error:
        raise ProofError(f"the checkpoint is none: {error}") from None
    checkpoint = cosigned.checkpoint
    entry = proof.extra.entry
    opened = verify_entry(entry, checkpoint.origin)
    verify_inclusion(proof.sequence, checkpoint.size, leaf_hash(entry), checkpoint.root, proof.path)
    return VerifiedInclusion(opened, Sequence(proof.sequence), cosigned)
