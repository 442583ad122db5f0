"""When a member that the validator set names no more may end: once nobody is left who needs it.

A quorum of the new set has gone on as soon as a block of its epoch is final. Whoever has not, knows
only the keys of the set before, so he can learn of the change from nobody but its members.
"""

from typing import Protocol

from ledger.core.block import Block
from ledger.core.epoch import EpochStart
from ledger.core.ids import Height

__all__ = ["Departure"]


class BlockSource(Protocol):
    """Where final blocks are found."""

    def block(self, height: Height, /) -> Block | None:
        """Give the final block at ``height``."""
        ...


class Departure:
    """Follows the first epoch without this member.

    Attributes:
        is_due: nobody needs it any more. Either so many members stayed that each other one still
            knows an honest one of them, or every member has proposed or signed in the epoch.
    """

    def __init__(self, before: EpochStart, start: EpochStart) -> None:
        """Leave the set of the epoch ``before``; ``start`` is how the one after it began."""
        # A new voting key is another process, and a new TLS key one that nobody behind would know.
        keys = {(member.key, member.peer_key) for member in before.members}
        stay_count = sum((member.key, member.peer_key) in keys for member in start.members)
        # One of those who stayed may be the one that lags; f others may be faulty.
        self._is_known = stay_count > start.validator_set().faulty_max + 1
        self._awaited = set(range(len(start.members)))
        self._epoch = start.number
        self._next = start.height + 1
        self.is_due = False

    def follow(self, chain: BlockSource, height: Height) -> None:
        """Look at what has become final, up to ``height``."""
        for number in range(self._next, height + 1):
            block = chain.block(Height(number))
            if block is not None and block.epoch == self._epoch:
                self._awaited -= {block.author, *(signer for signer, _ in block.qc.signatures)}
                self.is_due = self._is_known or not self._awaited
        self._next = max(self._next, height + 1)
