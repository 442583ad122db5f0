"""What subscribers ask for, beside a naive predicate that says what they must get.

The predicates look at CloudEvents as JSON and share nothing with the product's filters.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["SUBJECTS", "TOPICS", "TYPES", "WANTS", "Want"]

CloudEventJson = Mapping[str, Any]

TOPICS: Final = ("publisher0.a.x", "publisher0.a.y", "publisher0.b.x", "publisher0.c.d.e")
TYPES: Final = ("created", "changed", "deleted")
SUBJECTS: Final = tuple(f"urn:entity:{number}" for number in range(20))


class Want(NamedTuple):
    """What one subscriber asks for.

    Attributes:
        topics, filters: as the API takes them. holds: the same, naively.
    """

    topics: list[str]
    filters: list[dict[str, Any]]
    holds: Callable[[CloudEventJson], bool]


WANTS: Final = (
    Want(["publisher0.>"], [], lambda _: True),
    Want(["publisher0.a.*"], [], lambda event: event["topic"].startswith("publisher0.a.")),
    Want(
        ["publisher0.b.x", "publisher0.*.y"],
        [],
        lambda event: event["topic"] in ("publisher0.b.x", "publisher0.a.y"),
    ),
    Want([], [{"exact": {"type": "changed"}}], lambda event: event["type"] == "changed"),
    Want(
        ["publisher0.*.x"],
        [{"prefix": {"subject": "urn:entity:1"}}],
        lambda event: (
            event["topic"].endswith(".x")
            and event["topic"].count(".") == 2
            and event["subject"].startswith("urn:entity:1")
        ),
    ),
    Want(
        [],
        [{"any": [{"suffix": {"subject": ":7"}}, {"exact": {"type": "deleted"}}]}],
        lambda event: event["subject"].endswith(":7") or event["type"] == "deleted",
    ),
    Want(
        [],
        [{"not": {"prefix": {"topic": "publisher0.a"}}}],
        lambda event: not event["topic"].startswith("publisher0.a"),
    ),
)
