"""Simulated publishers: signed events, most of them good, and requests that carry them.

Each event knows by construction whether a ledger may ever take it, so that a checker need not
trust admission. What kind a number stands for depends on the seed alone.
"""

from typing import Final, NamedTuple

import msgspec

from ledger.core.codec import encode
from ledger.core.event import Event, OpenEntry, SignedEvent, sign_event
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.limits import ENTRY_BYTES_MAX, EVENT_AGE_MS_MAX, EVENT_DATA_BYTES_MAX
from ledger.core.signing import SeedSigner
from ledger.core.trust.operations import CONTENT_TYPE, Operation, operation_codec, topic_of
from pubsub.core.cloudevents import cloudevent_json
from simnet.choices import Choices, Draw
from simnet.full.gateway import BATCH, BULK, EVENT

__all__ = ["OVERTAKING", "PARTICIPANTS", "Handed", "Publishers", "Request"]

_SIGNERS: Final = tuple(SeedSigner(bytes([11, i]) * 16) for i in range(4))
_STRANGER: Final = SeedSigner(bytes([13, 0]) * 16)
_CITY, _REVOKED, _ENERGY, _AIR = _SIGNERS


def _participant(
    did: str, *topics: str, valid: SeedSigner, revoked: tuple[bytes, ...] = ()
) -> Participant:
    keys = (
        ParticipantKey(valid.public_key, revoked=False),
        *(ParticipantKey(key, revoked=True) for key in revoked),
    )
    return Participant(did, did.rpartition(":")[2], keys, topics)


PARTICIPANTS: Final = (
    _participant("did:elsi:CITY", "city.>", valid=_CITY, revoked=(_REVOKED.public_key,)),
    _participant("did:elsi:ENERGY", "energy.*.meter", valid=_ENERGY),
    _participant("did:elsi:AIR", "city.air.*", valid=_AIR),
)

_GOOD: Final = (
    (_CITY, "did:elsi:CITY", "city.traffic"),
    (_CITY, "did:elsi:CITY", "city.air.north"),
    (_ENERGY, "did:elsi:ENERGY", "energy.east.meter"),
    (_AIR, "did:elsi:AIR", "city.air.south"),
)
_BAD: Final = (
    "forged",
    "stranger",
    "unknown key",
    "revoked key",
    "foreign topic",
    "reserved topic",
    "expired",
    "future",
    "other chain",
    "oversized",
    "garbage",
    "second signature",
)
_WRONG: Final = {
    "stranger": (_STRANGER, "did:elsi:NOBODY", "city.traffic"),
    "unknown key": (_STRANGER, "did:elsi:CITY", "city.traffic"),
    "revoked key": (_REVOKED, "did:elsi:CITY", "city.traffic"),
    "foreign topic": (_CITY, "did:elsi:CITY", "energy.east.meter"),
    "reserved topic": (_CITY, "did:elsi:CITY", "ledger.sim"),
}
_HOUR_MS: Final = 3_600_000
_WRONG_AGE_MS: Final = {"expired": -EVENT_AGE_MS_MAX - _HOUR_MS, "future": _HOUR_MS}
_EVENTS_MAX: Final = 6  # of one request
OVERTAKING: Final = "city.air.south"
"""On this topic events replace what others replace, so some are overtaken."""
_ASSETS: Final = 2
_UPDATES_NONCE: Final = 40_000_000  # beyond those of other events
_HASHES: Final = (b"", bytes([1]) * 32, bytes([2]) * 32)


class Handed(NamedTuple):
    """One thing that a client handed in.

    Attributes:
        kind: "good", or what is wrong with it.
        is_admissible: whether a ledger may take it.
    """

    entry: bytes
    id: bytes
    kind: str
    is_admissible: bool


class Request(NamedTuple):
    """A publish request: its media type and its body."""

    media_type: str
    body: bytes


class Publishers:
    """Everybody who publishes in one run.

    Attributes:
        handed: every event that was put into a request, in order.
    """

    def __init__(self, choices: Choices, chain_id: str) -> None:
        self._choices = choices
        self._chain_id = chain_id
        self.handed: list[Handed] = []

    def good(self, number: int, now_ms: int, size: int = 0) -> bytes:
        """Make an event that is admissible now; a number makes the same event once."""
        draw = self._choices.draw(f"good {number}")
        return self._note(self._good(draw, number, now_ms, size), "good").entry

    def request(self, number: int, size: int, now_ms: int) -> Request:
        """Make a request of a few events, some of them bad, of about ``size`` bytes each."""
        draw = self._choices.draw(f"request {number}")
        events = [
            self._event(draw, number * _EVENTS_MAX + i, size, now_ms)
            for i in range(draw.heavy(_EVENTS_MAX))
        ]
        if draw.below(3) == 0 or not all(isinstance(event, OpenEntry) for event in events):
            entries = [e.entry if isinstance(e, OpenEntry) else e for e in events]
            return Request(BULK, msgspec.msgpack.encode(entries))
        texts = [cloudevent_json(event) for event in events if isinstance(event, OpenEntry)]
        if len(texts) == 1 and draw.below(2) == 0:
            return Request(EVENT, texts[0])
        return Request(BATCH, b"[" + b",".join(texts) + b"]")

    def updates(self, number: int, now_ms: int) -> tuple[bytes, ...]:
        """Make a few events that replace some content of an asset with another, in any order."""
        draw = self._choices.draw(f"updates {number}")
        entries: list[bytes] = []
        for place in range(draw.heavy(_EVENTS_MAX)):
            nonce = _UPDATES_NONCE + number * _EVENTS_MAX + place
            event = msgspec.structs.replace(
                self._make(_AIR, "did:elsi:AIR", OVERTAKING, nonce, now_ms),
                subject=f"asset {draw.below(_ASSETS)}",
                previous_hash=_HASHES[draw.below(len(_HASHES))],
                entity_hash=_HASHES[draw.below(len(_HASHES))],
            )
            entries.append(self._note(sign_event(event, _AIR), "good").entry)
        return tuple(entries)

    def operation(
        self, who: tuple[SeedSigner, str], operation: Operation, nonce: int, now_ms: int, kind: str
    ) -> bytes:
        """Make an event that carries an operation; ``kind`` is "good", or why none may take it."""
        signer, did = who
        event = msgspec.structs.replace(
            self._make(signer, did, topic_of(operation), nonce, now_ms),
            content_type=CONTENT_TYPE,
            data=operation_codec.encode(operation),
        )
        return self._note(sign_event(event, signer), kind).entry

    # --- events -----------------------------------------------------------------------------

    def _event(self, draw: Draw, nonce: int, size: int, now_ms: int) -> OpenEntry | bytes:
        if draw.below(100) < 65:
            event = self._good(draw, nonce, now_ms, size)
            self._note(event, "good")
            return event
        if self.handed and draw.below(100) < 30:
            return self._again(draw)
        return self._bad(_BAD[draw.below(len(_BAD))], draw, nonce, now_ms)

    def _again(self, draw: Draw) -> OpenEntry | bytes:
        """Hand in once more what was handed in before."""
        earlier = self.handed[draw.below(len(self.handed))]
        self.handed.append(earlier)
        return earlier.entry

    def _good(self, draw: Draw, nonce: int, now_ms: int, size: int) -> OpenEntry:
        signer, did, topic = _GOOD[draw.below(len(_GOOD))]
        event = self._make(signer, did, topic, nonce, now_ms)
        data = b"." * min(size, EVENT_DATA_BYTES_MAX)
        return sign_event(msgspec.structs.replace(event, data=data), signer)

    def _make(self, signer: SeedSigner, did: str, topic: str, nonce: int, time_ms: int) -> Event:
        return Event(
            version=1,
            chain_id=self._chain_id,
            topic=topic,
            publisher=did,
            key=signer.public_key,
            nonce=nonce,
            time_ms=time_ms,
            type="org.example.changed",
            subject=f"entity {nonce % 5}",
            entity_hash=b"",
            previous_hash=b"",
            location="",
            content_type="application/octet-stream",
            data=b"",
            tags=(),
        )

    def _bad(self, kind: str, draw: Draw, nonce: int, now_ms: int) -> OpenEntry | bytes:
        """Make an event that no ledger may take (but "second signature": once, not twice)."""
        if kind == "garbage":
            good = self._good(draw, nonce, now_ms, 0).entry
            cut = good[: draw.below(len(good))]
            self.handed.append(Handed(cut, b"", kind, is_admissible=False))
            return cut
        if kind == "oversized":
            large = b"\x92" + bytes(ENTRY_BYTES_MAX)
            self.handed.append(Handed(large, b"", kind, is_admissible=False))
            return large
        if kind in ("forged", "second signature"):
            return self._signed_wrongly(kind, draw, nonce, now_ms)
        signer, did, topic = _WRONG.get(kind, _GOOD[0])
        event = self._make(signer, did, topic, nonce, now_ms + _WRONG_AGE_MS.get(kind, 0))
        if kind == "other chain":
            event = msgspec.structs.replace(event, chain_id="elsewhere-0123456789abcdef")
        return self._note(sign_event(event, signer), kind)

    def _signed_wrongly(self, kind: str, draw: Draw, nonce: int, now_ms: int) -> OpenEntry:
        """Put a signature that is not its publisher's under a good event."""
        good = self._good(draw, nonce, now_ms, 0)
        if kind == "second signature":
            # The true one is handed in too, and nothing may push it out.
            self._note(good, "good")
        forged = encode(SignedEvent(good.event, _STRANGER.sign(good.id)))
        return self._note(OpenEntry(forged, good.event, good.id), kind)

    def _note(self, opened: OpenEntry, kind: str) -> OpenEntry:
        self.handed.append(Handed(opened.entry, opened.id, kind, kind == "good"))
        return opened
