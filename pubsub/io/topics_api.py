"""The gateway's operations about topics: which there are, their rules, and completeness.

Owns their descriptions; ``api`` joins them to the table that everything is made from.
"""

from typing import Final

from ledger.core.limits import INT_MAX, TOPIC_CHARS_MAX
from pubsub.core.limits import COMPLETENESS_ROWS, COMPLETENESS_ROWS_MAX, TOPICS_PAGE_MAX
from pubsub.core.openapi import Answer, Json, Operation, Parameter, reference
from pubsub.core.problems import HttpCode
from pubsub.core.rights import Scope
from pubsub.core.topic_documents import CompletenessDocument, TopicsDocument
from pubsub.io import topic_reads
from pubsub.io.endpoint import Endpoint

__all__ = ["TOPICS_ENDPOINTS"]

_TAG: Final = "Topics"
_JSON: Final = "application/json"
_BINARY: Final[Json] = {"type": "string", "format": "binary"}
_NEEDS_STORE = (HttpCode.STORE_UNAVAILABLE, HttpCode.INTERNAL_ERROR, HttpCode.INVALID_PARAMETER)
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0, "maximum": INT_MAX}
_TOKEN: Final = "[A-Za-z0-9_-]{1,64}"  # noqa: S105 - a pattern, not a password


def _text(pattern: str) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": TOPIC_CHARS_MAX, "pattern": pattern}


_TOPICS = Operation(
    "GET",
    "/v1/topics",
    "getTopics",
    _TAG,
    "See the topics and their rules",
    "Gives topics that have events, by name, with how many; those that you may not read are left "
    "out. `rules` are all that governors have set, the ended ones too.",
    (Answer(200, "A page of topics.", {_JSON: reference(TopicsDocument)}),),
    _NEEDS_STORE,
    (
        Parameter(
            "after",
            "query",
            "Only topics behind this one.",
            _text(f"^{_TOKEN}([.]{_TOKEN}){{0,15}}$"),
            "dome.catalogue.offering",
        ),
        Parameter(
            "limit",
            "query",
            "At most so many topics.",
            {"type": "integer", "minimum": 1, "maximum": TOPICS_PAGE_MAX},
        ),
    ),
)
_COMPLETENESS = Operation(
    "GET",
    "/v1/topics/{pattern}/completeness",
    "getCompleteness",
    _TAG,
    "Get what shows that no event was left out",
    "Gives the sequence, topic and leaf hash of the events on complete topics, in order, and a "
    "state bundle that shows the digest of all of them at a height; docs/proofs.md says how to "
    "check it. Topics that you may not read are named by a digest. With `begin` the answer says "
    "where the chain stands in front of its first row, which is at or before that sequence; give "
    "`next` as `after` until it is null.",
    (
        Answer(
            200,
            "Rows and the proof; as JSON for people, without the proof.",
            {topic_reads.MEDIA_COMPLETENESS: _BINARY, _JSON: reference(CompletenessDocument)},
        ),
    ),
    (
        HttpCode.RULE_NOT_FOUND,
        HttpCode.PROOF_NOT_READY,
        HttpCode.NOT_ACCEPTABLE,
        *_NEEDS_STORE,
    ),
    (
        Parameter(
            "pattern",
            "path",
            "Pattern of the rule, exactly; encode `>`.",
            _text(f"^(([*]|{_TOKEN})[.]){{0,15}}(>|[*]|{_TOKEN})$"),
            "dome.catalogue.>",
        ),
        Parameter("begin", "query", "Begin at or before this sequence; 0 when not given.", _NUMBER),
        Parameter("after", "query", "Only rows behind this sequence.", _NUMBER),
        Parameter(
            "limit",
            "query",
            "At most so many rows.",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": COMPLETENESS_ROWS_MAX,
                "default": COMPLETENESS_ROWS,
            },
        ),
        Parameter("size", "query", "Prove the end of a log of at least so many events.", _NUMBER),
    ),
)

TOPICS_ENDPOINTS: Final = (
    Endpoint(_TOPICS, topic_reads.get_topics, Scope.READ),
    Endpoint(_COMPLETENESS, topic_reads.get_completeness, Scope.READ),
)
