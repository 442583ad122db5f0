"""Who makes a request: the principal of an HTTP request or WebSocket, and what it lacks.

Owns the way from the ``Authorization`` header to a principal. Whoever shows nothing is the
anonymous principal; whoever shows something that does not hold is refused, never taken for
anonymous.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import ANONYMOUS_NAME, DEFAULT_ANONYMOUS, Principal, Scope

__all__ = ["Rights", "RightsSettings"]

_CHALLENGE: Final = 'Bearer realm="concordat"'


@dataclass(frozen=True)
class RightsSettings:
    """Who may do what at a gateway.

    Attributes:
        anonymous: the scopes of whoever shows no token.
        restricted: patterns of the topics that only principals may read to whom they are granted.
    """

    anonymous: frozenset[Scope] = DEFAULT_ANONYMOUS
    restricted: tuple[str, ...] = ()


class Rights:
    """Resolves principals."""

    def __init__(self, settings: RightsSettings) -> None:
        """Judge by ``settings``."""
        self._anonymous = Principal(
            ANONYMOUS_NAME, settings.anonymous, topics=(), restricted=settings.restricted
        )

    async def principal(self, connection: HTTPConnection) -> Principal:
        """Give who asks, for an HTTP request or a WebSocket before it is accepted.

        Raises:
            Refusal: UNAUTHENTICATED, it shows something that does not prove who it is.
        """
        if "authorization" in connection.headers:
            raise _unauthenticated("the token is not known here", "invalid_token")
        return self._anonymous

    async def require(self, connection: HTTPConnection, scope: Scope) -> Principal:
        """Give who asks, if it has ``scope``.

        Raises:
            Refusal: UNAUTHENTICATED or FORBIDDEN.
        """
        principal = await self.principal(connection)
        if not principal.may(scope):
            if principal is self._anonymous:
                raise _unauthenticated(f"show a token with the scope {scope}")
            raise Refusal(
                HttpCode.FORBIDDEN,
                f"the scope {scope} is needed",
                headers={
                    "www-authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
                },
            )
        return principal


def _unauthenticated(detail: str, error: str = "") -> Refusal:
    challenge = f'{_CHALLENGE}, error="{error}"' if error else _CHALLENGE
    return Refusal(HttpCode.UNAUTHENTICATED, detail, headers={"www-authenticate": challenge})
