"""What is sent to an endpoint because somebody asks for it: handshakes, pings, redeliveries.

Owns no state of its own. None of it changes an endpoint's health, and nothing is posted to an
endpoint whose receiver has not consented.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ledger.core.event import open_entry
from ledger.core.ids import Sequence as LedgerSequence
from ledger.io.chain_store import ChainStore
from pubsub.core.interest import interest_from_document
from pubsub.core.interest_match import compile_interest
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal
from pubsub.core.webhook.encoding import encode_batch, encode_one, encode_ping
from pubsub.core.webhook.handshake import Consent, Question, read_rate
from pubsub.core.webhook.registration import with_consent
from pubsub.core.webhook_documents import AttemptDocument
from pubsub.io.consumers.waiting import now_ms
from pubsub.io.feed import FeedRow
from pubsub.io.store_access import StoreAccess
from pubsub.io.webhooks.endpoint import Endpoint
from pubsub.io.webhooks.sending import Sending
from pubsub.io.webhooks.service import Webhooks
from pubsub.io.webhooks.settings import WebhookSettings

__all__ = ["Outreach"]

_TOKEN_BYTES: Final = 32
_PING_BYTES: Final = 16


class Outreach:
    """Speaks to endpoints for their owners."""

    def __init__(self, settings: WebhookSettings, webhooks: Webhooks, access: StoreAccess) -> None:
        self._settings = settings
        self._webhooks = webhooks
        self._access = access

    async def verify(self, endpoint: Endpoint) -> AttemptDocument:
        """Ask the receiver for its consent; give how it went.

        It is told a URL where it may consent later, when the gateway knows how it is called.
        """
        async with endpoint.verifying:
            registration = endpoint.registration
            callback = None
            if self._settings.base_url:
                token = secrets.token_urlsafe(_TOKEN_BYTES)
                callback = (
                    f"{self._settings.base_url}/v1/webhooks/{registration.id}/consent?token={token}"
                )
                asked = replace(endpoint.current, callback_digest=_digest(token))
                await self._webhooks.replace(endpoint, asked)
            question = Question(self._settings.origin, registration.plan.rate, callback)
            attempt, consent = await self._webhooks.sender.ask(endpoint, question)
            await self._consent(endpoint, consent, registration.plan.url)
            return attempt

    async def consent(self, id_: str, token: str, headers: Mapping[str, str]) -> None:
        """Take a receiver's consent that comes by itself.

        Raises:
            Refusal: nobody was told this token, or it was used.
            DecodeError: the rate that is allowed is none.
        """
        endpoint = self._webhooks.get(id_)
        registration = endpoint.registration
        if not registration.callback_digest or not hmac.compare_digest(
            registration.callback_digest, _digest(token)
        ):
            raise Refusal(HttpCode.WEBHOOK_NOT_FOUND, "nobody waits for this consent")
        allowed, wanted = read_rate(headers.get("webhook-allowed-rate")), registration.plan.rate
        rates = [rate for rate in (allowed, wanted) if rate is not None]
        consent = Consent(min(rates, default=None), now_ms())
        await self._consent(endpoint, consent, registration.plan.url)

    async def ping(self, endpoint: Endpoint) -> AttemptDocument:
        """Send a test event; give how it went. Raises Refusal without the receiver's consent."""
        registration = endpoint.registration
        _require_consent(endpoint)
        request = encode_ping(
            registration.plan.mode,
            registration.id,
            f"ping_{secrets.token_hex(_PING_BYTES)}",
            f"https://{self._settings.origin}",
            now_ms(),
        )
        return await self._webhooks.sender.post(endpoint, request, Sending("ping"))

    async def redeliver(
        self, endpoint: Endpoint, sequences: Sequence[int], principal: Principal
    ) -> list[AttemptDocument]:
        """Send events once more, each with its id and signed anew; give how each went.

        Raises:
            Refusal: the receiver has not consented, or an event is not one of the webhook's, or
                either its owner or ``principal`` may not read it now.
        """
        _require_consent(endpoint)
        plan = endpoint.registration.plan
        rows = await self._access.in_thread(lambda store: _rows(store, sequences))
        wants = compile_interest(interest_from_document(plan.interest))
        owner = self._webhooks.owner_of(endpoint)  # whose receiver it is, whoever asks
        for number, row in zip(sequences, rows, strict=True):
            if (
                row is None
                or owner is None
                or not wants(row.opened.event, row.opened.id)
                or not principal.may_read(row.opened.event.topic)
                or not owner.may_read(row.opened.event.topic)
            ):
                raise Refusal(HttpCode.EVENT_NOT_FOUND, f"the webhook has no event {number}")
        attempts = []
        for row in filter(None, rows):
            request = encode_batch([row]) if plan.mode == "batch" else encode_one(row, plan.mode)
            sending = Sending("redelivery", [row.sequence])
            attempts.append(await self._webhooks.sender.post(endpoint, request, sending))
        return attempts

    async def _consent(self, endpoint: Endpoint, consent: Consent | None, url: str) -> None:
        """Note a consent, unless the webhook has moved to another URL in between."""
        if consent is not None and endpoint.registration.plan.url == url:
            await self._webhooks.replace(endpoint, with_consent(endpoint.current, consent))


def _require_consent(endpoint: Endpoint) -> None:
    if endpoint.registration.consent is None:
        raise Refusal(HttpCode.WEBHOOK_UNVERIFIED, "its receiver has not consented yet")


def _rows(store: ChainStore, sequences: Sequence[int]) -> list[FeedRow | None]:
    with store.read() as reader:
        rows = []
        for number in sequences:
            sequence = LedgerSequence(number)
            entry = reader.entry(sequence)
            rows.append(
                None
                if entry is None
                else FeedRow(open_entry(entry), sequence, reader.height_of(sequence))
            )
        return rows


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
