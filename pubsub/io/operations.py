"""What operators ask: status, health, metrics."""

import time
from http import HTTPStatus

import msgspec
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response

from ledger.core.errors import Rejected, Unavailable
from ledger.io.release import VERSION
from pubsub.core.documents import ChainStatus, GatewayStatus, Health, Status
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.progress import explain_progress
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["get_livez", "get_metrics", "get_readyz", "get_status", "read_status"]

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NO_STORE = {"cache-control": "no-store"}


async def get_status(gateway: Gateway, request: Request) -> Response:
    """Answer with what is known, also when the node or the store is not there."""
    Parameters(request.query_params.multi_items(), ())
    return json_response(await read_status(gateway), headers=_NO_STORE)


async def read_status(gateway: Gateway) -> Status:
    """Give what is known, also when the node or the store is not there."""
    node, node_error = await _ask_node(gateway)
    chain = _chain_status(gateway)
    is_open = gateway.access.is_open
    return Status(
        chain_id=gateway.access.store.genesis.chain_id if is_open else None,
        progress=explain_progress(chain, gateway.access.error, node, node_error),
        chain=chain,
        gateway=GatewayStatus(
            name=gateway.settings.name,
            version=VERSION,
            node_connected=gateway.link.is_connected,
            node_error=node_error,
            streams=gateway.streams_count,
            waits=len(gateway.finality),
        ),
        node=msgspec.Raw(node or b"null"),
    )


async def get_livez(gateway: Gateway, request: Request) -> Response:
    """Answer that the process serves requests."""
    del gateway, request
    return json_response(Health("ok"), headers=_NO_STORE)


async def get_readyz(gateway: Gateway, request: Request) -> Response:
    """Answer whether events can be read and published here now."""
    del request
    if gateway.is_closing:
        raise Refusal(HttpCode.SHUTTING_DOWN, "send requests elsewhere")
    _ = gateway.access.store
    if not gateway.link.is_connected:
        raise Refusal(HttpCode.NODE_UNAVAILABLE, str(gateway.link.error))
    return json_response(Health("ok"), headers=_NO_STORE)


async def get_metrics(gateway: Gateway, request: Request) -> Response:
    """Answer with the gateway's metrics and, when it can be reached, the node's."""
    del request
    metrics = gateway.metrics
    try:
        node = await gateway.link.metrics()
    except (Rejected, Unavailable):
        node = b""
    own = generate_latest(metrics.registry)
    return Response(own + node, HTTPStatus.OK, _NO_STORE, _METRICS_TYPE)


async def _ask_node(gateway: Gateway) -> tuple[bytes | None, str | None]:
    """Give the node's status document, or why there is none."""
    try:
        document = await gateway.link.status()
        msgspec.json.decode(document)
    except (Rejected, Unavailable) as error:
        return None, str(error)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, "the node's status is not JSON"
    return document, None


def _chain_status(gateway: Gateway) -> ChainStatus | None:
    if not gateway.access.try_open():
        return None
    with gateway.access.store.read() as reader:
        head, first = reader.head(), reader.first_held()
    return ChainStatus(
        height=head.height,
        block_id=head.block_id.hex(),
        time_ms=head.time_ms,
        age_ms=max(0, time.time_ns() // 1_000_000 - head.time_ms),
        log_size=head.log_size,
        first_sequence=first,
    )
