"""The gateway's operations for members that join: pieces of a ledger, each of which proves itself.

Every answer is read in one short snapshot of the store and is at most some MiB. Nothing is kept
between two requests: what is asked for names the ledger that it belongs to, and the entries,
blocks and state of a past ledger never change.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ledger.core.codec import encode
from ledger.core.errors import Forgotten
from ledger.core.ids import Height, Sequence
from ledger.core.limits import HASH_BYTES, INT_MAX
from ledger.core.snapshot import (
    Blocks,
    LogPart,
    StatePart,
    read_blocks,
    read_log,
    read_state,
)
from ledger.core.snapshot_manifest import Manifest, new_manifest
from ledger.core.statemap_node import KEY_BITS
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.core.openapi import Answer, Json, Operation, Parameter
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Scope
from pubsub.io.endpoint import Endpoint
from pubsub.io.guard import require_all_topics
from pubsub.io.state import Gateway

__all__ = ["MEDIA_SNAPSHOT", "SNAPSHOT_ENDPOINTS"]

MEDIA_SNAPSHOT: Final = "application/vnd.concordat.snapshot+msgpack"

_TAG: Final = "Ledger"
_BINARY: Final[Json] = {"type": "string", "format": "binary"}
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0, "maximum": INT_MAX}
_HASH_PATTERN: Final = f"^[0-9a-f]{{{2 * HASH_BYTES}}}$"
_PATH_PATTERN: Final = "^[01]+$"
_NEEDS_STORE: Final = (
    HttpCode.STORE_UNAVAILABLE,
    HttpCode.INTERNAL_ERROR,
    HttpCode.INVALID_PARAMETER,
)

_SHOWS_ALL: Final = (
    "The whole ledger is shown: where the operator restricts topics, all of these must be granted."
)

_Part = Blocks | LogPart | Manifest | StatePart


async def get_manifest(gateway: Gateway, request: Request) -> Response:
    """Answer with the newest certified ledger."""
    Parameters(request.query_params.multi_items(), ())
    manifest = await _read(gateway, request, new_manifest)
    if manifest is None:
        raise Refusal(HttpCode.PROOF_NOT_READY, "no certified header carries a ledger yet")
    return _answer(manifest)


async def get_blocks(gateway: Gateway, request: Request) -> Response:
    """Answer with blocks, the highest first."""
    parameters = Parameters(request.query_params.multi_items(), ("highest",))
    highest = Height(_required(parameters, "highest"))
    return _found(await _read(gateway, request, lambda reader: read_blocks(reader, highest)))


async def get_state(gateway: Gateway, request: Request) -> Response:
    """Answer with nodes of one state."""
    parameters = Parameters(request.query_params.multi_items(), ("root", "path"))
    root = parameters.text("root", 2 * HASH_BYTES) or ""
    path = parameters.text("path", KEY_BITS) or ""
    if not re.match(_HASH_PATTERN, root) or (path and not re.match(_PATH_PATTERN, path)):
        raise Refusal(HttpCode.INVALID_PARAMETER, "a state has a root and a path of 0 and 1")
    state_root = bytes.fromhex(root)
    return _found(
        await _read(gateway, request, lambda reader: read_state(reader.read_node, state_root, path))
    )


async def get_log(gateway: Gateway, request: Request) -> Response:
    """Answer with entries, and the proof that they are those of the log of that size."""
    parameters = Parameters(request.query_params.multi_items(), ("first", "size"))
    first, size = Sequence(_required(parameters, "first")), _required(parameters, "size")

    def read(reader: ChainReader) -> LogPart | None:
        return read_log(reader, first, size) if size <= reader.head().log_size else None

    try:
        return _found(await _read(gateway, request, read))
    except Forgotten as error:
        raise Refusal(HttpCode.NOT_FOUND, f"{error}: ask another member") from None


async def _read(
    gateway: Gateway, request: Request, read: Callable[[ChainReader], _Part | None]
) -> _Part | None:
    """Read a piece of the ledger; only for those who may read every topic. Raises Refusal."""
    require_all_topics(request)

    def in_store(store: ChainStore) -> _Part | None:
        with store.read() as reader:
            return read(reader)

    return await gateway.access.in_bulk_thread(in_store)


def _found(part: _Part | None) -> Response:
    if part is None:
        raise Refusal(HttpCode.NOT_FOUND, "this member does not hold that: ask another one")
    return _answer(part)


def _answer(part: _Part) -> Response:
    return Response(encode(part), HTTPStatus.OK, {"cache-control": "no-store"}, MEDIA_SNAPSHOT)


def _required(parameters: Parameters, name: str) -> int:
    value = parameters.integer(name, 0, INT_MAX)
    if value is None:
        raise Refusal(HttpCode.INVALID_PARAMETER, f"{name} is missing")
    return value


def _parameter(name: str, text: str, schema: Json) -> Parameter:
    return Parameter(name, "query", text, schema)


def _operation(
    path: str, name: str, texts: tuple[str, str], code: HttpCode, *parameters: Parameter
) -> Operation:
    answer = Answer(200, "Canonical MessagePack.", {MEDIA_SNAPSHOT: _BINARY})
    summary, text = texts[0], f"{texts[1]} {_SHOWS_ALL}"
    return Operation(
        "GET", path, name, _TAG, summary, text, (answer,), (code, *_NEEDS_STORE), parameters
    )


_MANIFEST = _operation(
    "/v1/snapshot",
    "getSnapshot",
    (
        "Begin to copy the ledger",
        (
            "Gives the newest ledger root that a final header carries, with the certificate of a "
            "quorum. `concordat join` reads everything else below it and verifies each piece."
        ),
    ),
    HttpCode.PROOF_NOT_READY,
)
_BLOCKS = _operation(
    "/v1/snapshot/blocks",
    "getSnapshotBlocks",
    (
        "Get blocks, the highest first",
        "Gives as many consecutive blocks as fit one answer. Each names the id of the next.",
    ),
    HttpCode.NOT_FOUND,
    _parameter("highest", "Height of the first block; required.", _NUMBER),
)
_STATE = _operation(
    "/v1/snapshot/state",
    "getSnapshotState",
    (
        "Get nodes of the state map",
        (
            "Gives as many nodes as fit one answer, each before what is below it, left before "
            "right. Each is named by its hash in the node above."
        ),
    ),
    HttpCode.NOT_FOUND,
    _parameter("root", "State root; required.", {"type": "string", "pattern": _HASH_PATTERN}),
    _parameter(
        "path",
        "Path of the first node: `0` for left, `1` for right; absent for the root.",
        {"type": "string", "pattern": _PATH_PATTERN, "maxLength": KEY_BITS},
    ),
)
_LOG = _operation(
    "/v1/snapshot/log",
    "getSnapshotLog",
    (
        "Get entries with their proof",
        (
            "Gives as many consecutive entries as fit one answer, and an RFC 9162 consistency "
            "proof from the log that ends with them to the log of `size` entries."
        ),
    ),
    HttpCode.NOT_FOUND,
    _parameter("first", "Sequence of the first entry; required.", _NUMBER),
    _parameter("size", "Size of the log that they are proven for; required.", _NUMBER),
)

SNAPSHOT_ENDPOINTS: Final = (
    Endpoint(_MANIFEST, get_manifest, Scope.READ),
    Endpoint(_BLOCKS, get_blocks, Scope.READ),
    Endpoint(_STATE, get_state, Scope.READ),
    Endpoint(_LOG, get_log, Scope.READ),
)
