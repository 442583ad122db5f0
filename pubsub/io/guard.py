"""What handlers require of who asks, beyond the scope of their operation: the right to topics."""

from starlette.requests import HTTPConnection

from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal

__all__ = ["principal_of", "require_all_topics", "require_topic"]


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
