"""How one notification is sent, and what became of it.

Where it may go is the business of ``pubsub/io/egress.py``; of an answer nothing but the status is
believed.
"""

from enum import Enum
from http import HTTPStatus
from typing import Final, NamedTuple

from ledger.core.errors import Unavailable
from ledger.core.limits import DLT_NOTIFY_ANSWER_BYTES_MAX, DLT_NOTIFY_MS_MAX
from pubsub.io.egress import Courier, Egress, EgressError, Errand

__all__ = ["Outcome", "Sender", "Verdict"]

_HEADERS: Final = {"content-type": "application/json"}
_FINAL_REFUSALS: Final = frozenset({400, 401, 403, 410, 413, 415, 422})


class Verdict(Enum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Outcome(NamedTuple):
    """What became of one attempt, and why, for people."""

    verdict: Verdict
    reason: str


class Sender:
    """Sends notifications to one endpoint over connections that it keeps; close it in the end."""

    def __init__(self, egress: Egress, endpoint: str) -> None:
        """Prepare to send; each attempt checks the endpoint again."""
        self._endpoint = endpoint
        self._courier = Courier(egress, DLT_NOTIFY_MS_MAX)

    async def close(self) -> None:
        """Close the connections."""
        await self._courier.close()

    async def send(self, body: bytes) -> Outcome:
        """Send one notification and say what became of it; never raises for the outside's sake."""
        errand = Errand("POST", self._endpoint, DLT_NOTIFY_ANSWER_BYTES_MAX, _HEADERS, body)
        try:
            status = (await self._courier.run(errand)).status
        except EgressError as error:
            return Outcome(Verdict.UNAVAILABLE, f"not allowed: {error}")
        except Unavailable as error:
            return Outcome(Verdict.UNAVAILABLE, str(error))
        reason = f"answered {status}"
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return Outcome(Verdict.DELIVERED, reason)
        return Outcome(
            Verdict.REFUSED if status in _FINAL_REFUSALS else Verdict.UNAVAILABLE, reason
        )
