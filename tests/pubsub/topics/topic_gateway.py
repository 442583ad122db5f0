"""A gateway in memory whose topics are complete, and the ways in which it hides an event.

The rule, its chain and the rows are made naively here, as docs/proofs.md says them.
"""

from hashlib import sha256

import httpx
import msgspec
from blake3 import blake3

from ledger.core.event import OpenEntry, open_entry
from ledger.core.state_proof import build_state_bundle
from ledger.core.topics import TopicPattern
from pubsub.core.problems import HttpCode
from pubsub.core.sse import cursor_block, event_block, opening_block
from pubsub.core.topic_documents import (
    ChainStart,
    CompletenessPage,
    CompletenessRow,
    RuleDocument,
    TopicsDocument,
    page_codec,
)
from tests.support.memory_chain import MemoryChain, make_entry
from tests.support.memory_gateway import MemoryGateway, problem

RULE = "offering.>"
TOPICS = ("offering.created", "news", "offering.changed")
OTHER_KEY = b"topic-rule/another"  # of a rule that lacks the event FORGOTTEN, truly in the state
FORGOTTEN = 9
ROWS_MAX = 3  # of one page, so that there are several


class TopicChainSource(MemoryChain):
    """A chain whose state holds the rule, complete from sequence ``since`` on."""

    def __init__(self, since: int = 0) -> None:
        super().__init__()
        self.since = since
        self.until: int | None = None

    def add(self, *opened: OpenEntry) -> None:
        """Add a block, and with it what the state says of the rule."""
        digest, count, last = bytes(32), 0, None
        entries = [*self.entries, *(item.entry for item in opened)]
        for sequence, entry in enumerate(entries[: self.until]):
            topic = open_entry(entry).event.topic
            if sequence >= self.since and TopicPattern(RULE).matches(topic):
                digest = sha256(digest + row_bytes(sequence, topic, entry)).digest()
                count, last = count + 1, sequence
        chain = [self.since, self.until, count, last, digest]
        changes = {b"topic-rule/" + RULE.encode(): msgspec.msgpack.encode([chain, None])}
        other = self.value_without(entries, FORGOTTEN)
        self.grow(list(opened), changes={**changes, OTHER_KEY: other})

    def value_without(self, entries: list[bytes], left_out: int) -> bytes:
        """Give the value of a rule whose chain lacks one event."""
        digest, rows = bytes(32), []
        for sequence, entry in enumerate(entries):
            topic = open_entry(entry).event.topic
            if (
                sequence >= self.since
                and sequence != left_out
                and TopicPattern(RULE).matches(topic)
            ):
                rows.append(sequence)
                digest = sha256(digest + row_bytes(sequence, topic, entry)).digest()
        last = rows[-1] if rows else None
        return msgspec.msgpack.encode([[self.since, self.until, len(rows), last, digest], None])

    def fill(self, count: int, first: int = 0) -> None:
        """Add events on three topics in turn, two a block, and make them provable."""
        for number in range(first, first + count, 2):
            pair = range(number, min(number + 2, first + count))
            self.add(*(make_entry(self.genesis.chain_id, n, TOPICS[n % 3]) for n in pair))
        for _ in range(3):
            self.grow()


class TopicGateway(MemoryGateway):
    """Serves topics.

    Attributes:
        hidden: sequences that its pages and streams leave out.
        hides_rows: its rows leave them out, too.
        nameless: topics that rows name by their digest alone.
    """

    def __init__(self, chain: TopicChainSource) -> None:
        super().__init__(chain)
        self.source = chain
        self.hidden: set[int] = set()
        self.hides_rows = False
        self.nameless: set[str] = set()
        self.rules = [rule_of(RULE)]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path = request.url.path
        if path == "/v1/topics":
            body = msgspec.json.encode(TopicsDocument(1, self.rules, [], None))
            return httpx.Response(200, content=body)
        if path.endswith("/completeness"):
            self.requests.append(f"GET {request.url.raw_path.decode()}")
            for fault in self.faults:
                if (response := fault(request)) is not None:
                    return response
            page = self.page(request.url.params)
            if page is None:
                return problem(HttpCode.PROOF_NOT_READY)
            return httpx.Response(200, content=page_codec.encode(page))
        return super().answer(request)

    def page(self, parameters: httpx.QueryParams) -> CompletenessPage | None:
        """Make a page of rows."""
        bundle = build_state_bundle(self.source, b"topic-rule/" + RULE.encode())
        if bundle is None or bundle.root.log_size < int(parameters["size"]):
            return None
        rows = self.rows(bundle.root.log_size)
        first, start = int(parameters.get("after", -1)) + 1, None
        if "begin" in parameters:
            before = [row for row in rows if row.sequence < int(parameters["begin"])][:-1]
            first = before[-1].sequence + 1 if before else 0
            digest = bytes(32)
            for row in before:
                topic = row.topic or ""
                entry = self.source.entries[row.sequence]
                digest = sha256(digest + row_bytes(row.sequence, topic, entry)).digest()
            start = ChainStart(len(before), digest)
        given = [row for row in rows if row.sequence >= first]
        more = given[ROWS_MAX - 1].sequence if len(given) > ROWS_MAX else None
        return CompletenessPage(start, tuple(map(self.shown, given[:ROWS_MAX])), more, bundle)

    def rows(self, log_size: int) -> list[CompletenessRow]:
        """Give every row of the chain that this gateway admits."""
        rows = []
        for sequence in range(self.source.since, log_size):
            entry = self.source.entries[sequence]
            topic = open_entry(entry).event.topic
            is_hidden = self.hides_rows and sequence in self.hidden
            if TopicPattern(RULE).matches(topic) and not is_hidden:
                leaf = sha256(b"\0" + entry).digest()
                rows.append(CompletenessRow(sequence, topic, None, leaf))
        return rows

    def shown(self, row: CompletenessRow) -> CompletenessRow:
        """Hide the topic's name where it may not be known."""
        if row.topic not in self.nameless:
            return row
        return CompletenessRow(row.sequence, None, digest_of(row.topic or ""), row.leaf_hash)

    def stream_text(self, request: httpx.Request) -> bytes:
        """Give a stream that passes over what is hidden as over what does not match."""
        newest = len(self.chain.entries) - 1 - self.lag
        after = int(request.url.params.get("after", newest))
        text = opening_block(after)
        for number, json in self._wanted(request, after):
            is_left_out = json is None or number in self.hidden
            text += cursor_block(number) if is_left_out else event_block(number, json or b"")
        return text


def rule_of(pattern: str, **changes: object) -> RuleDocument:
    """Give what the gateway says of a rule; only the pattern and whether it holds matter."""
    rule = RuleDocument(pattern, True, False, 0, None, 0, None, "")
    return msgspec.structs.replace(rule, **changes)


def digest_of(topic: str) -> bytes:
    """Give a topic's digest."""
    return blake3(topic.encode(), derive_key_context="concordat v1 topic").digest()


def row_bytes(sequence: int, topic: str, entry: bytes) -> bytes:
    """Give what stands for an event in the chain."""
    return sequence.to_bytes(8, "big") + digest_of(topic) + sha256(b"\0" + entry).digest()
