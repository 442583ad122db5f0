"""One request to an endpoint: signed, sent under the rules of egress, judged, noted, counted.

Owns the bounds of requests on their way in all: those to endpoints that failed the last time have
few places of their own, so that they hold up nobody else.
"""

import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import anyio
from prometheus_client import CollectorRegistry, Counter, Histogram

from ledger.core.errors import Unavailable
from pubsub.core.limits import (
    WEBHOOK_ANSWER_BYTES_MAX,
    WEBHOOK_DELIVERIES_MAX,
    WEBHOOK_RETRIES_MAX,
)
from pubsub.core.webhook.attempt import Outcome, Verdict, judge
from pubsub.core.webhook.encoding import Request
from pubsub.core.webhook.handshake import Consent, Question, read_consent
from pubsub.core.webhook.signing import signed_headers
from pubsub.core.webhook_documents import AttemptDocument
from pubsub.io.consumers.waiting import now_ms
from pubsub.io.egress import EgressError, Errand, Late, Reply
from pubsub.io.webhooks.endpoint import Endpoint

__all__ = ["Sender", "Sending"]

Purpose = Literal["delivery", "redelivery", "ping"]

_AGENT: Final = {"user-agent": "concordat"}


class Sending(NamedTuple):
    """What a request is for.

    Attributes:
        sequences: of the events in it.
        attempt: how often they have been tried with this; 0 where that does not count.
    """

    purpose: Purpose
    sequences: Sequence[int] = ()
    attempt: int = 0


class Sender:
    """Sends the requests of all endpoints."""

    def __init__(self, origin: str, registry: CollectorRegistry) -> None:
        """Send in the name of ``origin``; count in ``registry``."""
        self._origin = origin
        self._well = anyio.CapacityLimiter(WEBHOOK_DELIVERIES_MAX)
        self._failing = anyio.CapacityLimiter(WEBHOOK_RETRIES_MAX)
        self._attempts = Counter(
            "concordat_gateway_webhook_attempts",
            "Requests to webhook endpoints",
            ("purpose", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "concordat_gateway_webhook_seconds",
            "Time from the name's lookup to the answer's end",
            registry=registry,
        )

    async def post(self, endpoint: Endpoint, request: Request, sending: Sending) -> AttemptDocument:
        """Post one request and say how it went; never raises for the outside's sake."""
        return (await self.attempt(endpoint, request, sending))[0]

    async def attempt(
        self, endpoint: Endpoint, request: Request, sending: Sending
    ) -> tuple[AttemptDocument, Verdict]:
        """Post one request; say how it went, and what that means."""
        async with self._failing if endpoint.health.trips else self._well:
            begun_ms, begun = now_ms(), time.perf_counter()
            headers = {
                **request.headers,
                **_AGENT,
                **signed_headers(endpoint.ring, request.id, request.body, begun_ms),
                "webhook-request-origin": self._origin,
            }
            reply = await self._run(endpoint, "POST", headers, request.body)
            elapsed = time.perf_counter() - begun
        verdict = reply if isinstance(reply, Verdict) else _judged(reply)
        self._seconds.observe(elapsed)
        self._attempts.labels(sending.purpose, verdict.outcome).inc()
        document = AttemptDocument(
            at_ms=begun_ms,
            purpose=sending.purpose,
            id=request.id,
            sequences=list(sending.sequences),
            attempt=sending.attempt,
            outcome=verdict.outcome,
            status=verdict.status,
            ms=int(elapsed * 1000),
        )
        endpoint.attempts.append(document)
        return document, verdict

    async def ask(
        self, endpoint: Endpoint, question: Question
    ) -> tuple[AttemptDocument, Consent | None]:
        """Ask a receiver for its consent; None when it does not give it now."""
        async with self._failing:
            begun_ms, begun = now_ms(), time.perf_counter()
            reply = await self._run(endpoint, "OPTIONS", {**_AGENT, **question.headers()}, b"")
        if isinstance(reply, Verdict):
            consent, outcome, status = None, reply.outcome, None
        else:
            consent, status = read_consent(question, reply.headers, now_ms()), reply.status
            outcome = Outcome.REFUSED if consent is None else Outcome.DELIVERED
        self._attempts.labels("handshake", outcome).inc()
        document = AttemptDocument(
            at_ms=begun_ms,
            purpose="handshake",
            id="",
            sequences=[],
            attempt=0,
            outcome=outcome,
            status=status,
            ms=int((time.perf_counter() - begun) * 1000),
        )
        endpoint.attempts.append(document)
        return document, consent

    async def _run(
        self, endpoint: Endpoint, method: str, headers: dict[str, str], body: bytes
    ) -> Reply | Verdict:
        """Run an errand: what came back, or why nothing did."""
        plan = endpoint.registration.plan
        if plan.authorization:
            headers = {**headers, "authorization": plan.authorization}
        errand = Errand(method, plan.url, WEBHOOK_ANSWER_BYTES_MAX, headers, body)
        try:
            return await endpoint.run(errand)
        except EgressError:
            return Verdict(Outcome.FORBIDDEN)
        except Late:
            return Verdict(Outcome.TIMEOUT)
        except Unavailable:
            return Verdict(Outcome.UNREACHABLE)


def _judged(reply: Reply) -> Verdict:
    return judge(reply.status, reply.headers, now_ms())
