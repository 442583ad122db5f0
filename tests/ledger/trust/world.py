"""A state of three governors, a registrar, a list writer and a plain publisher, for trust tests."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.core.codec import encode
from ledger.core.errors import RejectCode
from ledger.core.event import Event
from ledger.core.genesis import Governors, Participant, ParticipantKey
from ledger.core.ids import EventId, PublicKey
from ledger.core.signing import SeedSigner
from ledger.core.state import GOVERNORS_KEY, VALIDATORS_KEY, participant_key
from ledger.core.trust.governance import Proposal, proposal_codec, proposal_key
from ledger.core.trust.lists import ListEntry, entry_codec, entry_key
from ledger.core.trust.machine import apply
from ledger.core.trust.operations import Operation, operation_codec, topic_of
from ledger.core.trust.overlay import StateOverlay

NOW_MS = 1_800_000_000_000
GOVERNORS = ("did:elsi:G0", "did:elsi:G1", "did:elsi:G2")
REGISTRAR = "did:elsi:REGISTRAR"
WRITER = "did:elsi:WRITER"
PLAIN = "did:elsi:PLAIN"
CHAIN = "test-0011223344556677"


def signer_of(number: int) -> SeedSigner:
    """Give a key of the test world."""
    return SeedSigner(bytes([40 + number]) * 32)


def participant(did: str, number: int, topics: Iterable[str] = ("market.>",)) -> Participant:
    """Make a participant with one key."""
    key = ParticipantKey(signer_of(number).public_key, revoked=False)
    return Participant(did, did[-8:], (key,), tuple(topics))


@dataclass
class TrustWorld:
    """A state, and somebody who hands in operations."""

    base: dict[bytes, bytes] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        people = [participant(did, i) for i, did in enumerate(GOVERNORS)]
        people.append(participant(REGISTRAR, 3, ("ledger.participants",)))
        people.append(participant(WRITER, 4, ("ledger.lists.issuers",)))
        people.append(participant(PLAIN, 5))
        self.base |= {participant_key(p.did): encode(p) for p in people}
        self.base[GOVERNORS_KEY] = encode(Governors(2, GOVERNORS))
        self.base[VALIDATORS_KEY] = encode(())
        self.state = StateOverlay(self.base.get)

    def do(
        self, did: str, operation: Operation, *, now_ms: int = NOW_MS, topic: str = ""
    ) -> RejectCode | None:
        """Have somebody hand in an operation."""
        data = operation_codec.encode(operation)
        return self.do_raw(did, topic or topic_of(operation), data, now_ms)

    def do_raw(self, did: str, topic: str, data: bytes, now_ms: int = NOW_MS) -> RejectCode | None:
        """Have somebody hand in any bytes on a topic."""
        self.count += 1
        key = PublicKey(bytes(32))
        event = Event(1, CHAIN, topic, did, key, 0, now_ms, "t", "", b"", b"", "", "", data, ())
        return apply(self.state, event, self.last_id, now_ms)

    @property
    def last_id(self) -> EventId:
        """The id of the last event."""
        return EventId(self.count.to_bytes(32))

    def entry(self, list_name: str, id_: str) -> ListEntry | None:
        """Give an entry's newest revision."""
        encoded = self.state.get(entry_key(list_name, id_))
        return None if encoded is None else entry_codec.decode(encoded)

    def proposal(self, id_: bytes) -> Proposal | None:
        """Give a proposal."""
        encoded = self.state.get(proposal_key(id_))
        return None if encoded is None else proposal_codec.decode(encoded)
