"""What handlers require of who asks, beyond the scope of their operation: the right to topics.

And what follows from who asked for the answer: whose caches may keep it.
"""

from typing import Final

from starlette.requests import HTTPConnection

from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import ANONYMOUS_NAME, Principal

__all__ = ["FOR_EVER", "kept_for_ever", "principal_of", "require_all_topics", "require_topic"]

FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}
"""Headers of what never changes and is for everybody."""

_FOR_ONE: Final = {"cache-control": "private, max-age=31536000, immutable"}


def principal_of(connection: HTTPConnection) -> Principal:
    """Give who asks, as the gateway resolved it."""
    principal = connection.state.principal
    assert isinstance(principal, Principal), "the gateway resolves it before any handler"
    return principal


def require_topic(connection: HTTPConnection, topic: str) -> None:
    """Refuse whoever may not read ``topic``. Raises Refusal(FORBIDDEN)."""
    if not principal_of(connection).may_read(topic):
        raise Refusal(HttpCode.FORBIDDEN, f"the topic {topic} is restricted")


def require_all_topics(connection: HTTPConnection) -> None:
    """Refuse whoever may not read every topic, for what shows all. Raises Refusal(FORBIDDEN)."""
    if not principal_of(connection).reads_all:
        raise Refusal(
            HttpCode.FORBIDDEN, "this shows every topic: a grant of all restricted ones is needed"
        )


def kept_for_ever(principal: Principal) -> dict[str, str]:
    """Give whose caches may keep what never changes: everybody's if anybody gets it unasked."""
    is_for_all = principal.name == ANONYMOUS_NAME and not principal.restricted
    return FOR_EVER if is_for_all else _FOR_ONE
