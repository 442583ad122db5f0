"""The ``GET`` requests about topics: which there are, their rules, and what completeness rests on.

Only what the store holds durably is ever shown. Whoever may not read a topic learns neither its
name nor anything of its events but digests, without which no other topic's chain could be checked.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ledger.core import statemap
from ledger.core.event import open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import GATEWAY_SCAN_ENTRIES, GATEWAY_SCAN_MS_MAX, INT_MAX, TOPIC_CHARS_MAX
from ledger.core.merkle import leaf_hash
from ledger.core.state_proof import StateProofBundle, build_state_bundle
from ledger.core.topic_rules import (
    CHAIN_START,
    RULE_PREFIX,
    TopicChain,
    rule_codec,
    rule_key,
    topic_digest,
)
from ledger.core.topics import is_topic, is_topic_pattern
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_scan import Selection
from ledger.io.chain_store import ChainStore
from pubsub.core.limits import COMPLETENESS_ROWS, COMPLETENESS_ROWS_MAX, TOPICS_PAGE_MAX
from pubsub.core.parameters import Parameters, choose_media_type
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.topic_documents import (
    ChainStart,
    CompletenessPage,
    CompletenessRow,
    TopicDocument,
    TopicsDocument,
    completeness_document,
    page_codec,
    rule_document,
)
from pubsub.io.answers import json_response
from pubsub.io.guard import principal_of
from pubsub.io.pages import require_held
from pubsub.io.state import Gateway

__all__ = [
    "MEDIA_COMPLETENESS",
    "Question",
    "completeness_page",
    "get_completeness",
    "get_topics",
]

T = TypeVar("T")
Readable = Callable[[str], bool]

MEDIA_COMPLETENESS: Final = "application/vnd.concordat.completeness+msgpack"
_JSON: Final = "application/json"
_FRESH: Final = {"cache-control": "no-cache", "vary": "accept"}
_ROWS: Final = 256  # entries that are read before the clock is looked at


async def get_topics(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of topics, and the rules."""
    parameters = Parameters(request.query_params.multi_items(), ("after", "limit"))
    after = parameters.text("after", TOPIC_CHARS_MAX) or ""
    if after and not is_topic(after):
        raise Refusal(HttpCode.INVALID_PARAMETER, "after is a topic")
    limit = parameters.integer("limit", 1, TOPICS_PAGE_MAX) or TOPICS_PAGE_MAX
    readable = principal_of(request).may_read

    def read(reader: ChainReader) -> TopicsDocument:
        topics: list[TopicDocument] = []
        next_topic = None
        for topic, count in reader.topic_counts(after):
            if readable(topic):
                if len(topics) == limit:
                    next_topic = topics[-1].topic
                    break
                topics.append(TopicDocument(topic, count))
        rules = [
            rule_document(key.removeprefix(RULE_PREFIX).decode(), rule_codec.decode(value))
            for key, value in reader.flat_state(RULE_PREFIX)
        ]
        return TopicsDocument(reader.head_height(), rules, topics, next_topic)

    return json_response(await _in_thread(gateway, read), headers=dict(_FRESH))


async def get_completeness(gateway: Gateway, request: Request) -> Response:
    """Answer with rows of a complete pattern's chain, and the proof of its end."""
    parameters = Parameters(request.query_params.multi_items(), ("after", "begin", "limit", "size"))
    pattern = request.path_params["pattern"]
    if not is_topic_pattern(pattern):
        raise Refusal(HttpCode.INVALID_PARAMETER, "no topic pattern")
    after = parameters.integer("after", 0, INT_MAX)
    begin = parameters.integer("begin", 0, INT_MAX)
    if after is not None and begin is not None:
        raise Refusal(HttpCode.INVALID_PARAMETER, "give after or begin, not both")
    limit = parameters.integer("limit", 1, COMPLETENESS_ROWS_MAX) or COMPLETENESS_ROWS
    size = parameters.integer("size", 0, INT_MAX) or 0
    media_type = choose_media_type(_accept(request), (MEDIA_COMPLETENESS, _JSON))
    readable = principal_of(request).may_read

    question = Question(after, begin or 0, limit, size)
    page = await _in_thread(
        gateway, lambda reader: completeness_page(reader, pattern, question, readable)
    )
    if media_type == MEDIA_COMPLETENESS:
        return Response(page_codec.encode(page), HTTPStatus.OK, dict(_FRESH), media_type)
    return json_response(completeness_document(page), headers=dict(_FRESH))


# --- completeness ---------------------------------------------------------------------------


class Question(NamedTuple):
    """Which rows are asked for.

    Attributes:
        after: those behind this sequence; None for those from ``begin`` on, and where they begin.
        limit: at most so many; size: of the log whose end is proven, at least.
    """

    after: int | None
    begin: int
    limit: int
    size: int


def completeness_page(
    reader: ChainReader, pattern: str, question: Question, readable: Readable
) -> CompletenessPage:
    """Read rows of the chain of a rule, and prove its end. Raises Refusal."""
    bundle = build_state_bundle(reader, rule_key(pattern))
    if bundle is None or bundle.root.log_size < question.size:
        raise Refusal(
            HttpCode.PROOF_NOT_READY, "the proof of so long a log comes with later blocks"
        )
    chain = _chain(bundle)
    if question.after is not None:
        start, first = None, question.after + 1
    else:
        start, first = _start(reader, pattern, chain, question.begin)
    end = bundle.root.log_size if chain.until is None else chain.until
    window = range(max(first, chain.since), end)
    rows, position = _rows(reader, pattern, window, question.limit, readable)
    return CompletenessPage(start, rows, position - 1 if position < end else None, bundle)


def _chain(bundle: StateProofBundle) -> TopicChain:
    """Give the chain that a bundle shows. Raises Refusal when there is none."""
    rule = None if bundle.value is None else rule_codec.decode(bundle.value)
    if rule is None or rule.chain is None:
        raise Refusal(
            HttpCode.RULE_NOT_FOUND, "no rule of exactly this pattern makes topics complete"
        )
    return rule.chain


def _start(
    reader: ChainReader, pattern: str, chain: TopicChain, begin: int
) -> tuple[ChainStart, int]:
    """Give where the chain is known in front of ``begin``, and the first sequence behind that.

    At least one row in front of ``begin`` is behind it, or it is the chain's very start: so that
    whoever checks the rows sees that none between is left out.
    """
    known = _before_block_of(reader, pattern, chain, begin - 1)
    if known is not None and known[0].last is not None:
        known = _before_block_of(reader, pattern, chain, known[0].last)
    if known is None:
        return ChainStart(0, CHAIN_START), chain.since
    return ChainStart(known[0].count, known[0].digest), known[1]


def _before_block_of(
    reader: ChainReader, pattern: str, chain: TopicChain, sequence: int
) -> tuple[TopicChain, int] | None:
    """Give the chain, and the log's size, before the block that took the event at a sequence.

    None when there was no such chain then, or nobody here knows how it stood.
    """
    if sequence < chain.since or not reader.has_entry(Sequence(sequence)):
        return None
    root = reader.root(Height(reader.height_of(Sequence(sequence)) - 1))
    read = reader.read_node
    encoded = None if root is None else statemap.get(read, root.state_root, rule_key(pattern))
    known = None if encoded is None else rule_codec.decode(encoded).chain
    if root is None or known is None:
        return None
    return known, root.log_size


def _rows(
    reader: ChainReader, pattern: str, window: range, limit: int, readable: Readable
) -> tuple[tuple[CompletenessRow, ...], int]:
    """Read up to ``limit`` rows of a window of the log; give them and where to go on."""
    deadline = time.monotonic() + GATEWAY_SCAN_MS_MAX / 1_000
    position = window.start
    require_held(reader, position)
    rows: list[CompletenessRow] = []
    while position < window.stop and len(rows) < limit and time.monotonic() < deadline:
        until = min(window.stop, position + GATEWAY_SCAN_ENTRIES)
        wanted = min(limit - len(rows), _ROWS)
        found = reader.scan(Selection(pattern), position - 1, wanted, until=until)
        rows += [_row(sequence, entry, readable) for sequence, entry in found]
        position = found[-1][0] + 1 if len(found) == wanted else until
    return tuple(rows), position


def _row(sequence: int, entry: bytes, readable: Readable) -> CompletenessRow:
    topic = open_entry(entry).event.topic
    if readable(topic):
        return CompletenessRow(sequence, topic, None, leaf_hash(entry))
    return CompletenessRow(sequence, None, topic_digest(topic), leaf_hash(entry))


# --- helpers --------------------------------------------------------------------------------


async def _in_thread(gateway: Gateway, read: Callable[[ChainReader], T]) -> T:
    def run(store: ChainStore) -> T:
        with store.read() as reader:
            return read(reader)

    return await gateway.access.in_thread(run)


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))
