"""Usage records of one seller and its buyers, and blocks of them, as tests need them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adapters.tmf.usage.block import BLOCK_CONTENT_TYPE, BLOCK_TYPE, block_hash, block_subject
from adapters.tmf.usage.condensing import BlockLimits, Condensed, Tip, condense
from adapters.tmf.usage.leaves import Entry, leaf_hashes
from adapters.tmf.usage.proof import UsageProof, prove
from adapters.tmf.usage.record import UsageRecord, read_body, read_record
from adapters.tmf.usage.tree import Tree
from ledger.core.event import Event, event_id
from ledger.core.signing import SeedSigner

SELLER = "did:elsi:VATES-S0000001"
BUYER = "did:elsi:VATFR-B0000001"
OTHER = "did:elsi:VATDE-B0000002"
SIGNER = SeedSigner(bytes(range(32)))
SECRET = bytes(range(100, 132))
NOW_MS = 1_790_000_000_000
ALL = BlockLimits(1_000_000, 2**30, 0)


def party(name: str, role: str) -> dict[str, Any]:
    """Name a party as DOME does."""
    return {"id": f"urn:{role}", "name": name, "role": role, "@referredType": "Organization"}


def usage(id_: str, **changes: object) -> dict[str, Any]:
    """Make a usage document of 5 gigabytes of one product."""
    document: dict[str, object] = {
        "id": id_,
        "usageDate": "2026-09-21T10:00:00Z",
        "usageCharacteristic": [{"name": "storage", "value": {"amount": 5, "units": "GB"}}],
        "ratedProductUsage": [{"productRef": {"id": "urn:product:1"}}],
        "relatedParty": [party(SELLER, "Seller"), party(BUYER, "Buyer")],
    }
    return {name: value for name, value in (document | changes).items() if value is not None}


def counted(value: object, name: str = "storage", unit: str = "GB") -> dict[str, Any]:
    """Make the attribute of one measured characteristic."""
    quantity = {"amount": value, "units": unit}
    return {"usageCharacteristic": [{"name": name, "value": quantity}]}


def record(document: Mapping[str, Any]) -> UsageRecord:
    """Read a document as intake does."""
    return read_record(json.dumps(document).encode(), SELLER, NOW_MS)


def entry(document: Mapping[str, Any], supersedes: int = 0) -> Entry:
    """Make the entry of a document."""
    return Entry(supersedes, record(document).body)


class Sealed(NamedTuple):
    """A block with all that its seller knows."""

    made: Condensed
    entries: tuple[Entry, ...]
    secret: bytes
    event: Event

    def proof(self, leaf: int) -> UsageProof:
        """Prove one record."""
        tree = Tree(leaf_hashes(self.secret, self.entries))
        place = (event_id(self.event), block_hash(self.made.data), b"")
        return prove(tree, leaf, self.entries[leaf], self.secret, place)


def seal(
    entries: Sequence[Entry],
    tip: Tip | None = None,
    earlier: Mapping[int, Entry] | None = None,
    limits: BlockLimits = ALL,
) -> Sealed:
    """Condense entries and put the block into an event."""
    known = {number: read_body(entry.body) for number, entry in (earlier or {}).items()}
    made = condense(tip or Tip(SELLER), entries, known.__getitem__, SECRET, limits)
    return Sealed(made, tuple(entries[: made.block.count]), SECRET, event_of(made))


def event_of(made: Condensed) -> Event:
    """Put a block into an unsigned event."""
    return Event(
        version=1,
        chain_id="test",
        topic="usage.block",
        publisher=SELLER,
        key=SIGNER.public_key,
        nonce=1,
        time_ms=NOW_MS,
        type=BLOCK_TYPE,
        subject=block_subject(SELLER),
        entity_hash=block_hash(made.data),
        previous_hash=made.block.previous,
        location="",
        content_type=BLOCK_CONTENT_TYPE,
        data=made.data,
        tags=(),
    )
