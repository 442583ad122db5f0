"""The checkers' own statement of what the protocol fixes: quorums, identities, signed messages.

Written from docs/consensus.md and docs/proofs.md, with a MessagePack and a BLAKE3 library of
others. A mistake in the product's own statement shows as a run that fails.
"""

from hashlib import sha256
from typing import Final

import msgspec
from blake3 import blake3

__all__ = [
    "FAULTY_MAX",
    "QUORUM",
    "ack_message",
    "batch_id",
    "block_id",
    "block_message",
    "encode",
    "log_root",
    "root_digest",
    "set_hash",
    "timeout_message",
    "vote_message",
]

# members: 1  2  3  4  5  6  7  8  9 10; counted by hand: any two quorums share an honest member
FAULTY_MAX: Final = (0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3)
QUORUM: Final = (0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7)

encode = msgspec.msgpack.Encoder().encode


_HASHERS: Final = {
    kind: blake3(derive_key_context=f"concordat v1 {kind}")
    for kind in ("ack", "batch", "block", "ledger root", "timeout", "validator set", "vote")
}


def _digest(kind: str, data: bytes) -> bytes:
    return _HASHERS[kind].copy().update(data).digest()


def _message(kind: str, *statement: object) -> bytes:
    return f"concordat/v1/{kind}\0".encode() + _digest(kind, encode(statement))


def block_id(block: object) -> bytes:
    """Give a block's identity."""
    return _digest("block", encode(block))


def batch_id(encoded: bytes) -> bytes:
    """Give an encoded batch's identity."""
    return _digest("batch", encoded)


def root_digest(root: object) -> bytes:
    """Give what a header says of a ledger."""
    return _digest("ledger root", encode(root))


def set_hash(members: object) -> bytes:
    """Give the identity of a validator set."""
    return _digest("validator set", encode(members))


def vote_message(genesis: bytes, epoch: int, round_: int, block: bytes, commit: object) -> bytes:
    """Give what a voter signs."""
    return _message("vote", genesis, epoch, round_, block, commit)


def timeout_message(genesis: bytes, epoch: int, round_: int, qc_round: int) -> bytes:
    """Give what a member signs that gives a round up."""
    return _message("timeout", genesis, epoch, round_, qc_round)


def ack_message(genesis: bytes, epoch: int, batch: bytes) -> bytes:
    """Give what a holder of a batch signs."""
    return _message("ack", genesis, epoch, batch)


def block_message(id_: bytes) -> bytes:
    """Give what a block's author signs."""
    return b"concordat/v1/block\0" + id_


def log_root(entries: list[bytes]) -> bytes:
    """Give the RFC 9162 tree head of a log, the slow and plain way."""
    level = [sha256(b"\0" + entry).digest() for entry in entries]
    if not level:
        return sha256(b"").digest()
    while len(level) > 1:
        paired = [
            sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
        ]
        level = paired + level[len(level) & ~1 :]
    return level[0]
