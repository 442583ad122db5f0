"""Publishers and subscribers that remember what they were told, through the client library.

Owns the memory of a run as clients see it: what they signed, which events they were told are
final and where, what each subscriber was given. A gateway's answer that the client library calls
a fault, or a refusal of a good event, is a fault of the run; but a member whose clock is wrong may
find an event's time wrong.
"""

import secrets
import struct
from collections.abc import Sequence

import trio

from ledger.core.errors import PeerFault, ProofError, Rejected, Unavailable
from ledger.core.genesis import Genesis
from ledger.core.signing import Signer
from pubsub.client.answers import Receipt
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from simnet.checkers.promises import History

__all__ = ["Seen", "Witnesses"]

_EVENTS_PER_REQUEST = 20
_TYPE = "org.tmforum.productoffering.changed"
_ROW = struct.Struct("<q32s")
_GIVE_UP_MS = 20_000  # then the events are left as they are, final or not
_AGAIN_S = 1.0  # a subscriber whose proof failed on a damaged store tries again after this
_BY_A_WRONG_CLOCK = ("time_in_future", "time_too_old")


class Seen:
    """What one subscriber was given, in 40 bytes an event.

    Attributes:
        next: the sequence after the last event.
    """

    def __init__(self) -> None:
        self._rows = bytearray()
        self.next = 0

    def add(self, sequence: int, id_: bytes) -> None:
        """Note one event."""
        self._rows += _ROW.pack(sequence, id_)
        self.next = sequence + 1

    def rows(self) -> list[tuple[int, bytes]]:
        """Give all of them, in the order in which they came."""
        return list(_ROW.iter_unpack(self._rows))


class Witnesses:
    """All clients of one run.

    Attributes:
        history: what publishers know; the rest is filled in at the end.
        seen: by subscriber.
        faults: what clients have to complain about.
        unknown: events that were neither acknowledged nor refused in time.
        refused: events that a member with a wrong clock refused.
        damaged: members whose gateways read a store that we damaged, now.
        losses: connections of subscribers that were opened again.
    """

    def __init__(
        self, genesis: Genesis, urls: Sequence[str], data_bytes: int, *, clocks_move: bool = False
    ) -> None:
        """Use the gateways at ``urls`` for events with ``data_bytes`` of content."""
        self._genesis = genesis
        self._urls = urls
        self._data = secrets.token_bytes(data_bytes)
        self._excused = _BY_A_WRONG_CLOCK if clocks_move else ()
        self.history = History()
        self.seen: dict[str, Seen] = {}
        self.faults: list[str] = []
        self.unknown = 0
        self.refused = 0
        self.damaged: set[int] = set()
        self.losses = 0

    async def publish(self, number: int, identity: tuple[str, Signer], per_second: float) -> None:
        """Publish until cancelled, beginning with gateway ``number``, each event until final."""
        did, signer = identity
        publisher = Publisher(did, signer, self._genesis.chain_id)
        topic = f"publisher{number}.offerings.changed"
        first = number % len(self._urls)
        urls = [*self._urls[first:], *self._urls[:first]]
        interval_s = _EVENTS_PER_REQUEST / per_second
        async with AsyncClient(urls, give_up_ms=_GIVE_UP_MS) as client:
            next_at = trio.current_time()
            while True:
                entries = [
                    publisher.sign(topic, _TYPE, subject=f"urn:offering:{number}", data=self._data)
                    for _ in range(_EVENTS_PER_REQUEST)
                ]
                self.history.handed_in.update(opened.id for opened in entries)
                try:
                    self._acknowledge(await client.publish_many(entries, wait="final"))
                except Unavailable:
                    self.unknown += len(entries)
                except (PeerFault, ProofError, Rejected) as error:
                    self.faults.append(f"publisher {number}: {type(error).__name__}: {error}")
                # What was missed in an outage is not made up for: the rate is a ceiling.
                next_at = max(next_at + interval_s, trio.current_time())
                await trio.sleep_until(next_at)

    async def subscribe(self, member: int) -> None:
        """Follow the whole log at one member's gateway until cancelled, all proofs checked."""
        seen = self.seen[f"subscriber {member}"] = Seen()
        async with AsyncClient(self._urls[member], self._genesis) as client:
            while True:
                async with client.subscribe(after=seen.next - 1) as subscription:
                    try:
                        async for event in subscription:
                            seen.add(event.sequence, event.id)
                    except (PeerFault, ProofError, Rejected) as error:
                        if member not in self.damaged:
                            fault = f"{type(error).__name__}: {error}"
                            self.faults.append(f"subscriber {member}: {fault}")
                            return
                    finally:
                        self.losses += subscription.losses
                await trio.sleep(_AGAIN_S)

    def _acknowledge(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            if receipt.status == "refused" and receipt.code in self._excused:
                self.refused += 1
            elif receipt.status == "refused":
                self.faults.append(f"refused: {receipt.code} {receipt.detail}")
            elif receipt.sequence is not None:
                places = self.history.acknowledged.setdefault(receipt.id, set())
                places.add(receipt.sequence)
