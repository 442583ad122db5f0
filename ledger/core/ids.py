"""Names for the numbers and digests that travel between modules.

A bare ``int`` or ``bytes`` never crosses a module boundary; these types say which one it is.
Digests are 32 bytes, signatures 64 bytes; heights, rounds, epochs and sequences are 0..2**63-1.
"""

from typing import NewType

__all__ = [
    "BatchId",
    "BlockId",
    "Epoch",
    "EventId",
    "EventKey",
    "Height",
    "NodeIndex",
    "PublicKey",
    "Round",
    "Sequence",
    "Signature",
]

Height = NewType("Height", int)
"""Position of a block in the chain; the genesis block has height 0."""

Round = NewType("Round", int)
"""One attempt of one leader to add one block; grows without gaps within an epoch."""

Epoch = NewType("Epoch", int)
"""Number of the validator set in force."""

Sequence = NewType("Sequence", int)
"""Ledger sequence number of an accepted event; also its leaf index in the Merkle log."""

NodeIndex = NewType("NodeIndex", int)
"""Position of a validator in its epoch's set."""

EventId = NewType("EventId", bytes)

EventKey = NewType("EventKey", bytes)
"""An event's time, 8 bytes big-endian, and its id: names it among its neighbours in time."""

BlockId = NewType("BlockId", bytes)
BatchId = NewType("BatchId", bytes)
PublicKey = NewType("PublicKey", bytes)
Signature = NewType("Signature", bytes)
