"""A catalogue that several members publish, told by a naive model: what a correct replica holds."""

from typing import NamedTuple

from adapters.tmf.replication.core.model import NONE, Told

OWN = "did:web:own.example"
MEMBERS = ("did:web:a.example", "did:web:b.example", "did:web:c.example")


class Statement(NamedTuple):
    """What one member says of one entity; an empty version ends it."""

    member: int
    entity: int
    version: int


class Ledger:
    """The events of all members in order, each member keeping its own chain for each entity."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        self._last: dict[tuple[str, str], bytes] = {}

    def publish(self, statement: Statement) -> Told:
        """Add an event whose chain continues what this member said of the entity before."""
        publisher, key = MEMBERS[statement.member], f"product-offering/{statement.entity:064x}"
        version = statement.version.to_bytes(32) if statement.version else NONE
        previous = self._last.get((publisher, key), NONE)
        self._last[publisher, key] = version
        told = Told(
            "native", key, "product-offering", str(statement.entity), publisher,
            len(self.events), version, previous,
        )  # fmt: skip
        self.events.append(told)
        return told

    def expected(self) -> dict[str, bytes]:
        """Give the version of each entity that must be held in the end: the first one's last."""
        owners: dict[str, str] = {}
        for told in self.events:
            owners.setdefault(told.key, told.publisher)
        newest = {
            told.key: told.version for told in self.events if owners[told.key] == told.publisher
        }
        return {key: version for key, version in newest.items() if version != NONE}
