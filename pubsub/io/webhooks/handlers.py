"""What answers requests about webhooks.

A webhook belongs to the principal that made it; to others it is not there, unless they operate the
gateway. A secret is in the answer to the request that made it and in no other.
"""

from http import HTTPStatus
from typing import Final, TypeVar

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from ledger.core.limits import INT_MAX
from pubsub.core.audit_documents import Action
from pubsub.core.consumer_event_documents import (
    LettersDocument,
    LettersReplay,
    LettersReplayed,
    letter_document,
)
from pubsub.core.documents import Health
from pubsub.core.limits import (
    CONSUMER_LIST,
    CONSUMER_LIST_MAX,
    WEBHOOK_BODY_BYTES_MAX,
    WEBHOOK_TOKEN_CHARS_MAX,
)
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal
from pubsub.core.webhook.registration import State, consumer_name
from pubsub.core.webhook.wishes import secrets
from pubsub.core.webhook_documents import (
    AttemptsDocument,
    CreatedWebhook,
    RedeliveryRequest,
    RotateRequest,
    SecretDocument,
    WebhookChange,
    WebhookRequest,
    WebhooksDocument,
)
from pubsub.io.answers import json_response
from pubsub.io.audit import act_of
from pubsub.io.egress import EgressError, require_endpoint
from pubsub.io.json_body import read_json_body
from pubsub.io.state import Gateway
from pubsub.io.webhooks.endpoint import Endpoint

__all__ = [
    "change_webhook",
    "create_webhook",
    "delete_webhook",
    "enable_webhook",
    "get_attempts",
    "get_letters",
    "get_webhook",
    "list_webhooks",
    "ping_webhook",
    "redeliver",
    "replay_letters",
    "rotate_key",
    "take_consent",
    "verify_webhook",
]

T = TypeVar("T")
_NO_STORE: Final = {"cache-control": "no-store"}


async def create_webhook(gateway: Gateway, request: Request) -> Response:
    """Make a webhook and ask its receiver for consent."""
    _no_parameters(request)
    webhooks = gateway.webhooks
    wish = await _body(gateway, request, WebhookRequest)
    _require_target(gateway, wish.url)
    endpoint, keys = await webhooks.create(wish, _principal(request))
    id_ = endpoint.registration.id
    await gateway.audit.record(act_of(request, Action.WEBHOOK_CREATED, id_))
    await gateway.outreach.verify(endpoint)
    document = CreatedWebhook(webhooks.view(endpoint), secrets(keys))
    headers = {"location": f"/v1/webhooks/{id_}", **_NO_STORE}
    return json_response(document, HTTPStatus.CREATED, headers)


async def list_webhooks(gateway: Gateway, request: Request) -> Response:
    """Answer with the principal's webhooks."""
    _no_parameters(request)
    views = gateway.webhooks.views(_principal(request).name)
    return json_response(WebhooksDocument(views), headers=_NO_STORE)


async def get_webhook(gateway: Gateway, request: Request) -> Response:
    """Answer with a webhook."""
    return _shown(gateway, _found(gateway, request))


async def change_webhook(gateway: Gateway, request: Request) -> Response:
    """Change a webhook; the receiver at another URL is asked for consent."""
    endpoint = _found(gateway, request)
    change = await _body(gateway, request, WebhookChange)
    if change.url is not UNSET:
        _require_target(gateway, change.url)
    await gateway.webhooks.change(endpoint, change)
    await _record(gateway, request, Action.WEBHOOK_UPDATED, endpoint)
    if change.url is not UNSET and endpoint.registration.state is State.PENDING:
        await gateway.outreach.verify(endpoint)
    return _shown(gateway, endpoint)


async def delete_webhook(gateway: Gateway, request: Request) -> Response:
    """Delete a webhook."""
    endpoint = _found(gateway, request)
    gateway.audit.put(act_of(request, Action.WEBHOOK_DELETED, endpoint.registration.id))
    await gateway.webhooks.delete(endpoint)
    return Response(None, HTTPStatus.NO_CONTENT)


async def verify_webhook(gateway: Gateway, request: Request) -> Response:
    """Ask the receiver for its consent again."""
    endpoint = _found(gateway, request)
    await gateway.outreach.verify(endpoint)
    return _shown(gateway, endpoint)


async def take_consent(gateway: Gateway, request: Request) -> Response:
    """Take a receiver's consent; looking at what is there (HEAD) is none."""
    parameters = Parameters(request.query_params.multi_items(), ("token",))
    token = parameters.text("token", WEBHOOK_TOKEN_CHARS_MAX)
    if token is None:
        raise Refusal(HttpCode.INVALID_PARAMETER, "token is missing")
    if request.method != "HEAD":
        await gateway.outreach.consent(request.path_params["id"], token, request.headers)
    return json_response(Health("ok"), headers=_NO_STORE)


async def enable_webhook(gateway: Gateway, request: Request) -> Response:
    """Deliver again."""
    endpoint = _found(gateway, request)
    await gateway.webhooks.enable(endpoint.registration.id)
    await _record(gateway, request, Action.WEBHOOK_UPDATED, endpoint)
    return _shown(gateway, endpoint)


async def rotate_key(gateway: Gateway, request: Request) -> Response:
    """Replace a key and show the new one."""
    endpoint = _found(gateway, request)
    rotation = await _body(gateway, request, RotateRequest)
    key = await gateway.webhooks.rotate(endpoint, rotation)
    await _record(gateway, request, Action.SECRET_ROTATED, endpoint)
    return json_response(SecretDocument(key.kind, key.text()), headers=_NO_STORE)


async def ping_webhook(gateway: Gateway, request: Request) -> Response:
    """Send a test event and say how it went."""
    attempt = await gateway.outreach.ping(_found(gateway, request))
    return json_response(attempt, headers=_NO_STORE)


async def redeliver(gateway: Gateway, request: Request) -> Response:
    """Send events once more and say how each went."""
    endpoint = _found(gateway, request)
    wish = await _body(gateway, request, RedeliveryRequest)
    attempts = await gateway.outreach.redeliver(endpoint, wish.sequences, _principal(request))
    return json_response(AttemptsDocument(attempts), headers=_NO_STORE)


async def get_attempts(gateway: Gateway, request: Request) -> Response:
    """Answer with the last attempts."""
    id_ = _found(gateway, request).registration.id
    return json_response(AttemptsDocument(gateway.webhooks.attempts(id_)), headers=_NO_STORE)


async def get_letters(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of dead letters."""
    parameters = Parameters(request.query_params.multi_items(), ("after", "limit"))
    after = parameters.integer("after", -1, INT_MAX)
    limit = parameters.integer("limit", 1, CONSUMER_LIST_MAX) or CONSUMER_LIST
    name = _consumer(gateway, request)
    found = gateway.consumers.dead_letters(name, -1 if after is None else after, limit + 1)
    letters = [letter_document(letter) for letter in found[:limit]]
    following = letters[-1].sequence if len(found) > limit else None
    return json_response(LettersDocument(letters, following), headers=_NO_STORE)


async def replay_letters(gateway: Gateway, request: Request) -> Response:
    """Have dead letters tried again."""
    _no_parameters(request)
    name = _consumer(gateway, request)
    wish = await _body(gateway, request, LettersReplay)
    count = await gateway.consumers.replay(name, wish.sequences)
    await gateway.audit.record(act_of(request, Action.DEAD_LETTERS_REPLAYED, name))
    return json_response(LettersReplayed(count), headers=_NO_STORE)


def _shown(gateway: Gateway, endpoint: Endpoint) -> Response:
    return json_response(gateway.webhooks.view(endpoint), headers=_NO_STORE)


def _found(gateway: Gateway, request: Request) -> Endpoint:
    """Give the webhook of the path. Raises Refusal."""
    _no_parameters(request)
    return gateway.webhooks.find(request.path_params["id"], _principal(request))


def _consumer(gateway: Gateway, request: Request) -> str:
    """Give the name of the consumer of the path's webhook. Raises Refusal."""
    endpoint = gateway.webhooks.find(request.path_params["id"], _principal(request))
    return consumer_name(endpoint.registration.id)


def _require_target(gateway: Gateway, url: str) -> None:
    try:
        require_endpoint(gateway.settings.webhooks.egress, url)
    except EgressError as error:
        raise Refusal(HttpCode.WEBHOOK_TARGET_FORBIDDEN, str(error)) from None


def _principal(request: Request) -> Principal:
    principal = request.state.principal
    assert isinstance(principal, Principal)
    return principal


def _no_parameters(request: Request) -> None:
    Parameters(request.query_params.multi_items(), ())


async def _record(gateway: Gateway, request: Request, what: Action, endpoint: Endpoint) -> None:
    await gateway.audit.record(act_of(request, what, endpoint.registration.id))


async def _body(gateway: Gateway, request: Request, type_: type[T]) -> T:
    return await read_json_body(gateway.bodies, request, WEBHOOK_BODY_BYTES_MAX, type_)
