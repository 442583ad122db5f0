"""What a client asks about topics, as flows: their rules, and rows until a chain's end is proven.

Owns the paths and media types of that part of the HTTP API. What is believed of the answers is
``completeness``'s concern.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from ledger.core.errors import DecodeError, Offence, PeerFault, ProofError
from ledger.core.merkle import leaf_hash
from ledger.core.proof import Verifier
from ledger.core.topics import TopicPattern
from pubsub.client.answers import Answer, LedgerEvent, raise_problem
from pubsub.client.checking import check_signatures
from pubsub.client.completeness import CompletenessChecker, ProvenRange, choose_rule
from pubsub.client.exchange import Flow, Gateways, Request
from pubsub.core.cloudevents import ReceivedEvent
from pubsub.core.topic_documents import RuleDocument, TopicsDocument, page_codec

__all__ = ["TopicChecker", "prove_complete", "rules", "topics"]

_JSON: Final = "application/json"
_PAGE: Final = "application/vnd.concordat.completeness+msgpack"
_OK: Final = 200

_read_topics = msgspec.json.Decoder(TopicsDocument).decode


class TopicChecker:
    """Checks the batches of a subscription whose topics are complete, in order."""

    __slots__ = ("_begin", "_checker", "_pattern", "_verifier")

    def __init__(self, verifier: Verifier, pattern: str, begin: int | None) -> None:
        """Check from the sequence ``begin`` on, or from the first batch on."""
        self._verifier = verifier
        self._pattern = pattern
        self._begin = begin
        self._checker: CompletenessChecker | None = None

    def check(
        self, gateways: Gateways, events: Sequence[ReceivedEvent], cursor: int | None
    ) -> Flow[None]:
        """Check what a gateway sent on the way to ``cursor``.

        Raises:
            ProofError: it left an event out, or the ledger does not hold what it sent.
        """
        if cursor is None:
            return
        if self._begin is None:
            self._begin = _sequence(events[0]) if events else cursor + 1
        if cursor < self._begin:
            return
        if self._checker is None:
            rule = choose_rule((yield from rules(gateways)), self._pattern)
            self._checker = CompletenessChecker(self._verifier, rule, self._pattern, self._begin)
        if cursor >= self._checker.proven:
            yield from _prove(gateways, self._checker, cursor + 1)
        check_signatures(events, self._verifier.chain_id)
        leaves = [(_sequence(event), leaf_hash(event.opened.entry)) for event in events]
        self._checker.check(leaves, cursor)


def prove_complete(
    gateways: Gateways,
    verifier: Verifier,
    pattern: str,
    events: Iterable[LedgerEvent],
    begin: int | None,
) -> Flow[ProvenRange]:
    """Show that ``events`` are all that the ledger holds on a pattern's topics.

    Raises:
        ProofError: one is missing, or the ledger does not hold what is there, or nothing shows it.
    """
    topics = TopicPattern(pattern)
    leaves = {
        int(event.sequence): leaf_hash(event.entry)
        for event in events
        if topics.matches(event.event.topic) and event.sequence >= (begin or 0)
    }
    rule = choose_rule((yield from rules(gateways)), pattern)
    checker = CompletenessChecker(verifier, rule, pattern, begin)
    proven = yield from _prove(gateways, checker, max(leaves, default=-1) + 1)
    known = [
        (sequence, leaf) for sequence, leaf in sorted(leaves.items()) if sequence >= proven.begin
    ]
    checker.check(known, proven.end - 1)
    return proven


def rules(gateways: Gateways) -> Flow[list[RuleDocument]]:
    """Read the rules of topics, as the gateway says."""
    return (yield from topics(gateways, limit=1)).rules


def topics(gateways: Gateways, after: str = "", limit: int | None = None) -> Flow[TopicsDocument]:
    """Read a page of the topics behind ``after`` that may be read, as the gateway says."""
    parameters = {"after": after} if after else {}
    if limit is not None:
        parameters["limit"] = str(limit)
    answer = yield from _get(gateways, "/v1/topics", _JSON, parameters)
    try:
        return _read_topics(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PeerFault(Offence.MALFORMED, f"not the topics: {error}") from None


def _prove(gateways: Gateways, checker: CompletenessChecker, size: int) -> Flow[ProvenRange]:
    """Read rows until a log of at least ``size`` events is proven."""
    path = f"/v1/topics/{quote(checker.rule, safe='')}/completeness"
    while True:
        answer = yield from _get(gateways, path, _PAGE, checker.question(size))
        try:
            page = page_codec.decode(answer.body)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not rows of topics: {error}") from None
        proven = checker.take(page, size)
        if proven is not None:
            return proven


def _sequence(event: ReceivedEvent) -> int:
    if event.sequence is None:
        raise ProofError("an event without a sequence")
    return event.sequence


def _get(gateways: Gateways, path: str, accept: str, parameters: dict[str, str]) -> Flow[Answer]:
    answer = yield from gateways.exchange(Request("GET", path, accept, parameters))
    if answer.status != _OK:
        raise_problem(answer)
    return answer
