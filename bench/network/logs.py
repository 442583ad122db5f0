"""The ends of the members' logs, read from their stores while their nodes write them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

from ledger.io.chain_store import ChainStore
from tests.support.processes import RealNetwork

__all__ = ["Logs"]

_LEVEL_S = 60.0


class Logs:
    """Opened stores of some members."""

    def __init__(self, stores: Sequence[ChainStore]) -> None:
        """Read ``stores``; use :meth:`opened`."""
        self._stores = stores

    @classmethod
    @contextmanager
    def opened(cls, network: RealNetwork, members: Sequence[int]) -> Iterator[Self]:
        """Open the stores of ``members`` for the block."""
        with ExitStack() as stack:
            yield cls(
                [
                    stack.enter_context(ChainStore.open_readonly(network.chain_dir(member)))
                    for member in members
                ]
            )

    def sizes(self) -> list[int]:
        """Give the number of final events of each member, in the order they were given."""
        sizes = []
        for store in self._stores:
            with store.read() as reader:
                sizes.append(reader.head().log_size)
        return sizes

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
