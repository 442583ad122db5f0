"""What the gateway says about topics: their rules, and which events a complete topic has.

They are the API's contract like those of ``documents``. What a program should rely on is the
canonical ``CompletenessPage``; the documents show the same to people.
"""

from typing import Annotated

from msgspec import Meta, Struct

from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.limits import TOPIC_CHARS_MAX
from ledger.core.state_proof import StateProofBundle
from ledger.core.topic_rules import TopicRule, topic_digest
from pubsub.core.limits import COMPLETENESS_ROWS_MAX

__all__ = [
    "ChainStart",
    "CompletenessDocument",
    "CompletenessPage",
    "CompletenessRow",
    "RowDocument",
    "RuleDocument",
    "TopicDocument",
    "TopicsDocument",
    "completeness_document",
    "page_codec",
    "rule_document",
]


class CompletenessRow(Record, frozen=True):
    """One event of a complete topic, without its content.

    Attributes:
        topic: its name; None where whoever asks may not read the topic.
        hidden_topic: the digest of such a topic; None where the name is given.
        leaf_hash: SHA-256 of a zero byte and the entry: its leaf in the log.
    """

    sequence: UInt
    topic: Annotated[str, Meta(max_length=TOPIC_CHARS_MAX)] | None
    hidden_topic: Hash32 | None
    leaf_hash: Hash32

    def __post_init__(self) -> None:
        """Refuse rows that name their topic in both ways or in none."""
        if (self.topic is None) is (self.hidden_topic is None):
            msg = "a row names its topic once"
            raise ValueError(msg)

    @property
    def topic_digest(self) -> bytes:
        """The digest that stands for the topic in the chain."""
        if self.topic is not None:
            return topic_digest(self.topic)
        assert self.hidden_topic is not None
        return self.hidden_topic


class ChainStart(Record, frozen=True):
    """A chain in front of the first row of a page; shown by the rows up to a proven end."""

    count: UInt
    digest: Hash32


class CompletenessPage(Record, frozen=True):
    """Consecutive rows of a rule's chain, and the proof of its end.

    Attributes:
        start: where the chain stands in front of the first row, when that was asked for.
        rows: ascending; none of them left out, which only the chain shows.
        next: look for more behind this sequence; None when these are all up to the proven end.
        bundle: what the state holds of the rule.
    """

    start: ChainStart | None
    rows: Annotated[tuple[CompletenessRow, ...], Meta(max_length=COMPLETENESS_ROWS_MAX)]
    next: UInt | None
    bundle: StateProofBundle


page_codec = Codec(CompletenessPage)


class RuleDocument(Struct, frozen=True):
    """What holds for the topics that a pattern names.

    Attributes:
        is_complete: every event is in the chain, so that none can be left out unnoticed.
        expects_previous: events must name, as previous hash, the hash that their entity has.
        since: sequence from which on the topics are, or were, complete; null when they never were.
        until: sequence in front of which they ceased to be.
        count: events in the chain; last: sequence of the newest of them.
        digest: of the chain.
    """

    pattern: str
    is_complete: bool
    expects_previous: bool
    since: int | None
    until: int | None
    count: int
    last: int | None
    digest: str | None


class TopicDocument(Struct, frozen=True):
    """A topic that has events."""

    topic: str
    events: int


class TopicsDocument(Struct, frozen=True):
    """Topics by name, and every rule, after the block at ``height``; ``next`` is null at the end.

    Topics that whoever asks may not read are left out.
    """

    height: int
    rules: list[RuleDocument]
    topics: list[TopicDocument]
    next: str | None


class RowDocument(Struct, frozen=True):
    """One event of a complete topic; ``topic`` is null where it may not be read."""

    sequence: int
    topic: str | None
    topic_digest: str
    leaf_hash: str


class StartDocument(Struct, frozen=True):
    """A chain in front of the first row of a page: how many events it covers."""

    count: int
    digest: str


class CompletenessDocument(Struct, frozen=True):
    """A page of a chain for people.

    Attributes:
        height: at which the chain's end is proven; log_size: of the log then.
    """

    start: StartDocument | None
    rows: list[RowDocument]
    next: int | None
    height: int
    log_size: int


def rule_document(pattern: str, rule: TopicRule) -> RuleDocument:
    """Describe a rule, in force or ended."""
    chain = rule.chain
    return RuleDocument(
        pattern=pattern,
        is_complete=rule.is_complete,
        expects_previous=rule.expects_since is not None,
        since=None if chain is None else chain.since,
        until=None if chain is None else chain.until,
        count=0 if chain is None else chain.count,
        last=None if chain is None else chain.last,
        digest=None if chain is None else chain.digest.hex(),
    )


def completeness_document(page: CompletenessPage) -> CompletenessDocument:
    """Describe a page."""
    start = page.start
    return CompletenessDocument(
        start=None if start is None else StartDocument(start.count, start.digest.hex()),
        rows=[
            RowDocument(
                row.sequence,
                row.topic,
                row.topic_digest.hex(),
                row.leaf_hash.hex(),
            )
            for row in page.rows
        ],
        next=page.next,
        height=page.bundle.root.height,
        log_size=page.bundle.root.log_size,
    )
