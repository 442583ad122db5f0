"""The ends of the members' logs, read from their stores while their nodes write them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

from ledger.core.ids import Sequence as SequenceNumber
from ledger.io.chain_store import ChainStore
from tests.support.processes import RealNetwork

__all__ = ["Logs"]

_LEVEL_S = 60.0


class Logs:
    """Opened stores of some members.

    Attributes:
        members: whose they are.
    """

    def __init__(self, members: Sequence[int], stores: Sequence[ChainStore]) -> None:
        """Read the ``stores`` of ``members``; use :meth:`opened`."""
        self.members = members
        self._stores = stores

    @classmethod
    @contextmanager
    def opened(cls, network: RealNetwork, members: Sequence[int]) -> Iterator[Self]:
        """Open the stores of ``members`` for the block."""
        with ExitStack() as stack:
            yield cls(
                members,
                [
                    stack.enter_context(ChainStore.open_readonly(network.chain_dir(member)))
                    for member in members
                ],
            )

    def sizes(self) -> list[int]:
        """Give the number of final events of each member, in the order they were given."""
        sizes = []
        for store in self._stores:
            with store.read() as reader:
                sizes.append(reader.head().log_size)
        return sizes

    def entries(self, places: Sequence[int]) -> list[bytes]:
        """Give the entries at some places of the first member's log."""
        with self._stores[0].read() as reader:
            found = [reader.entry(SequenceNumber(place)) for place in places]
        entries = [entry for entry in found if entry is not None]
        assert len(entries) == len(places), "a log holds every event below its size"
        return entries

    def wait_level(self, seconds: float = _LEVEL_S) -> int:
        """Return the common size of all logs once they are equal and stay so.

        Raises:
            TimeoutError: they do not become equal.
        """
        deadline = time.monotonic() + seconds
        before: list[int] = []
        while time.monotonic() < deadline:
            now = self.sizes()
            if now == before and len(set(now)) == 1:
                return now[0]
            before = now
            time.sleep(0.3)
        raise TimeoutError(f"the logs stand at {self.sizes()} {seconds:.0f} s after the load ended")
