"""What every kind of fault needs: the network, what is known of it, and where to complain."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from ledger.core.ids import Height
from ledger.io.chain_store import ChainHead, ChainStore
from ledger.io.errors import StorageError
from tests.chaos.network import FragileNetwork
from tests.chaos.scenario import Scenario
from tests.support.processes import Part

__all__ = ["Stage", "until"]

_STATUS_S = 3.0


@dataclass(slots=True)
class Stage:
    """One testnet under faults.

    Attributes:
        finals_count: how many events clients were told are final, so far.
        say: takes one line of the timeline.
        faults: what the network did that it must not do.
        suspects: members that may have contradicted themselves, because we made them.
        unreadable: members whose store must not be opened here: it could end this process.
        restarts_s: seconds from the last start to the first new commit, of each full restart.
        tally: outcomes that are neither right nor wrong but worth counting.
    """

    network: FragileNetwork
    scenario: Scenario
    finals_count: Callable[[], int]
    say: Callable[[str], None]
    faults: list[str] = field(default_factory=list)
    suspects: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    restarts_s: list[float] = field(default_factory=list)
    tally: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        """Count an outcome."""
        self.tally[outcome] = self.tally.get(outcome, 0) + 1

    def heads(self) -> list[ChainHead | None]:
        """Read the end of every member's chain from its store, opened for this moment only."""
        heads: list[ChainHead | None] = []
        for member in range(self.network.size):
            head = None
            if member not in self.unreadable:
                try:
                    with (
                        ChainStore.open_readonly(self.network.chain_dir(member)) as store,
                        store.read() as at,
                    ):
                        head = at.head()
                except StorageError:
                    head = None
            heads.append(head)
        return heads

    def height(self) -> int:
        """Give the greatest height that any member's store holds."""
        return max((head.height for head in self.heads() if head is not None), default=0)

    def log_sizes(self) -> list[int]:
        """Give the size of every member's log, -1 where it cannot be read."""
        return [-1 if head is None else head.log_size for head in self.heads()]

    async def kill(self, member: int, *parts: Part) -> None:
        """End processes of a member at once."""
        self.network.kill(*((member, part) for part in parts))

    async def stop(self, member: int, *parts: Part) -> None:
        """Ask processes of a member to end, and wait."""
        keys = [(member, part) for part in parts]
        self.faults += await trio.to_thread.run_sync(self.network.stop, *keys)

    async def end_of(self, member: int, part: Part, seconds: float) -> int | None:
        """Wait for a process to end by itself; give its exit code, None when it goes on."""
        ends: list[int] = []

        def has_ended() -> bool:
            code = self.network.take_end(member, part)
            ends.extend([] if code is None else [code])
            return bool(ends)

        await until(has_ended, seconds)
        return ends[0] if ends else None

    async def must_end(
        self, member: int, expected: dict[int, str], logged_from: int, seconds: float
    ) -> bool:
        """Wait for a node to end by itself with an exit code and words that are ``expected``.

        Args:
            expected: exit code -> words that its log must hold from ``logged_from`` (bytes) on.
        """
        code = await self.end_of(member, Part.NODE, seconds)
        text = self.log_from(member, logged_from)
        if code is None:
            self.faults.append(f"node {member} goes on where it must end")
            return False
        if code not in expected or expected[code] not in text:
            self.faults.append(f"node {member} ended with exit code {code}: {text[-600:]}")
            return False
        return True

    def log_size(self, member: int) -> int:
        """Give the size of a node's log, in bytes."""
        return self.network.log_path(member, Part.NODE).stat().st_size

    def log_from(self, member: int, position: int) -> str:
        """Give what a node logged after ``position``."""
        return self.network.log_path(member, Part.NODE).read_bytes()[position:].decode()

    async def sits_out(self, member: int) -> bool:
        """Say whether a member's node sits out, or is not there to be asked."""
        return await trio.to_thread.run_sync(self._sits_out, member)

    def has_signed(self, member: int, height: int) -> bool:
        """Say whether a certificate in a block above ``height`` holds a member's signature."""
        sizes = self.log_sizes()
        path = self.network.chain_dir(sizes.index(max(sizes)))
        with ChainStore.open_readonly(path) as store, store.read() as at:
            for number in range(height + 1, at.head_height() + 1):
                block = at.block(Height(number))
                assert block is not None, "a store holds every block up to its head"
                if any(signer == member for signer, _ in block.qc.signatures):
                    return True
        return False

    def _sits_out(self, member: int) -> bool:
        address = self.network.host(member), self.network.port(member)
        connection = http.client.HTTPConnection(*address, timeout=_STATUS_S)
        try:
            connection.request("GET", "/v1/status")
            node = json.loads(connection.getresponse().read())["node"]
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return True
        finally:
            connection.close()
        return node is None or bool(node["sitting_out"])


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look until ``condition`` holds; say whether it did within ``seconds``."""
    with trio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await trio.sleep(0.1)
        return True
    return False
