"""Own changes on their way to the ledger: what is handed in together, and what waits."""

from collections.abc import Iterable
from pathlib import Path

from ledger.core.event import OpenEntry
from pubsub.client.answers import Receipt
from tests.adapters.tmf.replication.replication_world import Network, Node, PlayedLedger, until


class NotingLedger(PlayedLedger):
    """Notes what is handed in together.

    Attributes:
        batches: the subjects of the events.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    async def publish_many(self, entries: Iterable[OpenEntry], wait: str) -> list[Receipt]:
        """Take events, each once."""
        taken = list(entries)
        self.batches.append([opened.event.subject for opened in taken])
        return await super().publish_many(taken, wait)


async def test_of_an_entity_one_change_is_handed_in_at_a_time(tmp_path: Path) -> None:
    """The ledger may order what comes together as it likes; no event overtakes its predecessor."""
    ledger = NotingLedger()
    node = Node("one", tmp_path, ledger, Network())
    first, second = node.create(), node.create()
    for name in ("p", "q"):
        node.change(first, name=name)
    node.change(second, name="z")
    async with node.running():
        await until(lambda: len(ledger.events_held) == 5)
    node.store.close()
    assert ledger.batches == [[first, second], [first], [first, second]]
