"""The ``GET`` requests about the ledger: events, proofs, blocks, validators, genesis, the stream.

Only what the store holds durably is ever shown. Short reads run on the event loop, where they
cost less than handing them to a thread; pages and proofs run in threads.
"""

import re
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from ledger.core.errors import Forgotten
from ledger.core.event import OpenEntry, open_entry
from ledger.core.ids import Epoch, EventId, Height, Sequence
from ledger.core.limits import (
    GATEWAY_PAGE_BYTES_MAX,
    GATEWAY_PAGE_EVENTS,
    GATEWAY_PAGE_EVENTS_MAX,
    INT_MAX,
)
from ledger.core.proof import ProofBundle, build_bundle, bundle_json, encode_bundle
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.documents import block_document, validators_document
from pubsub.core.parameters import Parameters, choose_media_type
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal
from pubsub.io.answers import json_response
from pubsub.io.guard import FOR_EVER, kept_for_ever
from pubsub.io.pages import Page, first_held, read_page
from pubsub.io.publish import MEDIA_BATCH, MEDIA_EVENT
from pubsub.io.state import Gateway
from pubsub.io.wanted import (
    FILTER_NAMES,
    REPEATABLE_NAMES,
    read_interest,
    wanted_of,
)

__all__ = [
    "MEDIA_ENTRY",
    "MEDIA_PROOF",
    "find_event",
    "find_provable",
    "find_readable",
    "get_block",
    "get_event",
    "get_events",
    "get_genesis",
    "get_proof",
    "get_validators",
]

MEDIA_ENTRY: Final = "application/vnd.concordat.event+msgpack"
MEDIA_PROOF: Final = "application/vnd.concordat.proof+msgpack"
MEDIA_JSON: Final = "application/json"

_EVENT_ID: Final = re.compile(r"[0-9a-f]{64}\Z")
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)


async def get_event(gateway: Gateway, request: Request) -> Response:
    """Answer with one event, by id or sequence."""
    Parameters(request.query_params.multi_items(), ())
    principal: Principal = request.state.principal
    media_type = choose_media_type(_accept(request), (MEDIA_EVENT, MEDIA_JSON, MEDIA_ENTRY))
    with gateway.access.store.read() as reader:
        sequence, opened = find_readable(reader, request.path_params["id"], principal)
        height = reader.height_of(sequence)
    is_entry = media_type == MEDIA_ENTRY
    body = opened.entry if is_entry else cloudevent_json(opened, sequence, height)
    headers = {
        "concordat-sequence": str(sequence),
        "vary": "accept, authorization",
        **kept_for_ever(principal),
    }
    return Response(body, HTTPStatus.OK, headers, media_type)


async def get_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of one event."""
    Parameters(request.query_params.multi_items(), ())
    media_type = choose_media_type(_accept(request), (MEDIA_PROOF, MEDIA_JSON))
    id_, principal = request.path_params["id"], request.state.principal

    def read(store: ChainStore) -> ProofBundle | None:
        with store.read() as reader:
            return build_bundle(reader, find_provable(reader, id_, principal))

    bundle = await gateway.access.in_thread(read)
    if bundle is None:
        raise Refusal(
            HttpCode.PROOF_NOT_READY, "the event is final; its proof comes with the next blocks"
        )
    body = encode_bundle(bundle) if media_type == MEDIA_PROOF else bundle_json(bundle)
    return Response(body, HTTPStatus.OK, {"vary": "accept, authorization"}, media_type)


async def get_events(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of events."""
    parameters = Parameters(
        request.query_params.multi_items(), (*FILTER_NAMES, "after", "limit"), REPEATABLE_NAMES
    )
    wanted = wanted_of(read_interest(parameters), request.state.principal.may_read)
    after = parameters.integer("after", -1, INT_MAX)
    limit = parameters.integer("limit", 1, GATEWAY_PAGE_EVENTS_MAX) or GATEWAY_PAGE_EVENTS
    media_type = choose_media_type(_accept(request), (MEDIA_BATCH, MEDIA_JSON))

    def read(store: ChainStore) -> Page:
        cursor = first_held(store) - 1 if after is None else after
        return read_page(store, wanted, cursor, limit, GATEWAY_PAGE_BYTES_MAX)

    page = await gateway.access.in_thread(read)
    headers = {
        "concordat-cursor": str(page.cursor),
        "concordat-log-size": str(page.log_size),
        "cache-control": "no-store",
    }
    if page.cursor + 1 < page.log_size:
        query = [
            (name, value) for name, value in request.query_params.multi_items() if name != "after"
        ]
        target = f"/v1/events?{urlencode([*query, ('after', str(page.cursor))])}"
        headers["link"] = f'<{target}>; rel="next"'
    body = b"[" + b",".join(row.json for row in page.rows) + b"]"
    return Response(body, HTTPStatus.OK, headers, media_type)


async def get_block(gateway: Gateway, request: Request) -> Response:
    """Answer with one final block."""
    Parameters(request.query_params.multi_items(), ())
    text = request.path_params["height"]
    if not _NUMBER.match(text) or int(text) > INT_MAX:
        raise Refusal(HttpCode.INVALID_PARAMETER, f"a height is an integer from 0 to {INT_MAX}")
    height = Height(int(text))
    store = gateway.access.store
    with store.read() as reader:
        block = reader.block(height)
        root, certificate = reader.root(height), reader.certificate(height)
        first = reader.first_height()
        start = None if block is None else reader.epoch_start(block.epoch)
    if block is None and 0 < height < first:
        raise Refusal(
            HttpCode.BLOCK_NOT_FOUND,
            f"this member joined at height {first} and never had this block: ask another member",
        )
    if block is None or start is None:
        genesis = " (the genesis block has no content, see /v1/genesis)" if height == 0 else ""
        raise Refusal(HttpCode.BLOCK_NOT_FOUND, f"no final block has height {height}{genesis}")
    document = block_document(block, start.validator_set(), root, certificate)
    kept = kept_for_ever(request.state.principal) if certificate else {}
    return json_response(document, headers={"vary": "authorization", **kept})


async def get_validators(gateway: Gateway, request: Request) -> Response:
    """Answer with the validators of the present epoch, or of an earlier one."""
    parameters = Parameters(request.query_params.multi_items(), ("epoch",))
    number = parameters.integer("epoch", 0, INT_MAX)
    with gateway.access.store.read() as reader:
        try:
            start = reader.epoch_start(None if number is None else Epoch(number))
        except LookupError:
            raise Refusal(
                HttpCode.INVALID_PARAMETER, f"epoch {number} has not begun, or not seen from here"
            ) from None
    return json_response(validators_document(start))


async def get_genesis(gateway: Gateway, request: Request) -> Response:
    """Answer with the genesis file."""
    Parameters(request.query_params.multi_items(), ())
    body = gateway.access.store.genesis.to_json()
    return Response(body, HTTPStatus.OK, dict(FOR_EVER), MEDIA_JSON)


def find_readable(
    reader: ChainReader, text: str, principal: Principal
) -> tuple[Sequence, OpenEntry]:
    """Find the event of an id or a sequence; what may not be read is not there.

    Nobody here knows a forgotten event's topic any more: whoever may not read all of them does not
    learn that there is such an id.

    Raises:
        Refusal: there is none.
        Forgotten: its contents are not here any more.
    """
    try:
        sequence, entry = find_event(reader, text)
    except Forgotten:
        if principal.reads_all or not _EVENT_ID.match(text):
            raise
        raise _no_event() from None
    opened = open_entry(entry)
    if not principal.may_read(opened.event.topic):
        raise _no_event()
    return sequence, opened


def find_provable(reader: ChainReader, text: str, principal: Principal) -> Sequence:
    """Find where the event of an id or a sequence is, also a forgotten one. Raises Refusal.

    The proof of a forgotten one shows hashes alone, those that proofs of its neighbours show.
    """
    try:
        return find_readable(reader, text, principal)[0]
    except Forgotten as forgotten:
        return Sequence(forgotten.sequence)


def find_event(reader: ChainReader, text: str) -> tuple[Sequence, bytes]:
    """Find the event of an id or a sequence. Raises Refusal."""
    if _EVENT_ID.match(text):
        id_ = EventId(bytes.fromhex(text))
        receipt = reader.receipt(id_)
        if receipt is not None and receipt.sequence is None:
            raise Refusal(
                HttpCode.EVENT_REFUSED, f"refused at height {receipt.height}: {receipt.code}"
            )
        sequence = None if receipt is None else receipt.sequence
    elif _NUMBER.match(text) and int(text) <= INT_MAX:
        sequence = Sequence(int(text))
    else:
        raise Refusal(
            HttpCode.INVALID_PARAMETER,
            "an event is named by its id, 64 lower-case hexadecimal digits, or by its sequence",
        )
    entry = None if sequence is None else reader.entry(sequence)
    if sequence is None or entry is None:
        raise _no_event()
    return sequence, entry


def _no_event() -> Refusal:
    return Refusal(HttpCode.EVENT_NOT_FOUND, "no final event has this id or sequence")


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))
