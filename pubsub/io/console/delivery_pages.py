"""The console's pages about delivery: consumers with their lag, webhooks, dead letters and replay.

Owns what these pages show, and the few orders that they give; what becomes of an order is the
engine's business, and who gave it stands in the audit trail.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

from pubsub.core.audit_documents import Action
from pubsub.core.consumer.settlement import DeadLetter
from pubsub.core.interest import interest_document
from pubsub.core.limits import CONSOLE_FORM_BYTES_MAX, CONSOLE_LETTERS
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal
from pubsub.core.webhook.registration import consumer_name
from pubsub.io.audit import act_of
from pubsub.io.state import Gateway

__all__ = [
    "consumer_values",
    "consumers_values",
    "order_consumer",
    "order_webhook",
    "webhook_values",
    "webhooks_values",
]

_SEQUENCE_DIGITS_MAX: Final = 19


async def consumers_values(
    gateway: Gateway, request: Request, reader: Principal
) -> dict[str, object]:
    """Give what the page of consumers shows, without those that belong to webhooks."""
    del request
    views = [
        view.shown_to(reader, gateway.feed.end)
        for view in gateway.consumers.views(None)
        if not view.config.is_internal
    ]
    return {"consumers": views}


async def consumer_values(
    gateway: Gateway, request: Request, reader: Principal
) -> dict[str, object]:
    """Give what the page of one consumer shows. Raises Refusal when there is none."""
    name = request.path_params["name"]
    view = gateway.consumers.get(name).shown_to(reader, gateway.feed.end)
    return {
        "consumer": view,
        "interest": interest_document(view.config.interest),
        **_letters(gateway, name, f"/console/consumers/{name}/replay"),
    }


async def webhooks_values(
    gateway: Gateway, request: Request, reader: Principal
) -> dict[str, object]:
    """Give what the page of webhooks shows."""
    del request, reader
    return {"webhooks": gateway.webhooks.views(None)}


async def webhook_values(
    gateway: Gateway, request: Request, reader: Principal
) -> dict[str, object]:
    """Give what the page of one webhook shows. Raises Refusal when there is none."""
    del reader
    id_ = request.path_params["id"]
    return {
        "webhook": gateway.webhooks.view(gateway.webhooks.get(id_)),
        "attempts": gateway.webhooks.attempts(id_),
        **_letters(gateway, consumer_name(id_), f"/console/webhooks/{id_}/replay"),
    }


async def order_consumer(gateway: Gateway, request: Request) -> str:
    """Replay dead letters of a consumer; give the page that shows it."""
    name = request.path_params["name"]
    await _replay(gateway, request, name, name)
    return f"/console/consumers/{name}"


async def order_webhook(gateway: Gateway, request: Request) -> str:
    """Carry out an order about a webhook; give the page that shows it."""
    id_, order = request.path_params["id"], request.path_params["order"]
    match order:
        case "replay":
            await _replay(gateway, request, consumer_name(id_), id_)
        case "ping":
            await gateway.outreach.ping(gateway.webhooks.get(id_))
        case "enable":
            await gateway.webhooks.enable(id_)
        case _:
            raise Refusal(HttpCode.NOT_FOUND, f"{order} is no order")
    return f"/console/webhooks/{id_}"


def _letters(gateway: Gateway, name: str, action: str) -> dict[str, object]:
    letters: Sequence[DeadLetter] = gateway.consumers.dead_letters(name, -1, CONSOLE_LETTERS)
    return {"letters": letters, "replay": action}


async def _replay(gateway: Gateway, request: Request, name: str, target: str) -> None:
    """Have one dead letter, or all, given out again. Raises Refusal."""
    async with gateway.bodies.read(request, CONSOLE_FORM_BYTES_MAX) as body:
        text = parse_qs(body.decode("ascii", "replace")).get("sequence", [""])[0]
    if text and not (text.isascii() and text.isdigit() and len(text) <= _SEQUENCE_DIGITS_MAX):
        raise Refusal(HttpCode.INVALID_PARAMETER, "sequence is a number")
    gateway.audit.put(act_of(request, Action.DEAD_LETTERS_REPLAYED, target))
    await gateway.consumers.replay(name, [int(text)] if text else None)
