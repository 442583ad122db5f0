"""The ledger as a transparency log: checkpoint, tiles, policy and proofs, as C2SP has them.

Owns the paths below ``/log/`` and their descriptions. Everything is from the store: the newest
checkpoint that a quorum of validators has cosigned, and the tiles that execution wrote. Tiles never
change, and a partial one is the beginning of a whole one; so all are kept by caches for ever.

What a log says of itself (sizes, hashes, who signs) anybody may see. Whole entries need the right
to every restricted topic, because a bundle cannot leave one out.
"""

import gzip
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ledger.core.epoch import EpochStart
from ledger.core.errors import Forgotten
from ledger.core.ids import Epoch, Sequence
from ledger.core.limits import ENTRY_BYTES_MAX, HASH_BYTES, INT_MAX
from ledger.core.merkle import TILE_WIDTH
from ledger.core.tlog.policy import policy_of, write_policy
from ledger.core.tlog.proof import TlogProof, build_tlog_proof, write_tlog_proof
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.core.api_examples import EVENT_ID
from pubsub.core.openapi import Answer, Json, Operation, Parameter
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Scope
from pubsub.core.tlog.paths import (
    LEVEL_PATTERN,
    TILE_PATTERN,
    TileName,
    entry_bundle,
    parse_level,
    parse_tile,
)
from pubsub.io.endpoint import Endpoint
from pubsub.io.guard import FOR_EVER, kept_for_ever, principal_of, require_all_topics
from pubsub.io.reads import find_provable
from pubsub.io.state import Gateway

__all__ = ["TLOG_ENDPOINTS"]

_TAG: Final = "Transparency log"
_TEXT: Final = "text/plain"
_OCTETS: Final = "application/octet-stream"
_SHORTLY: Final = {"cache-control": "public, max-age=1"}
_GZIP_LEVEL: Final = 1  # entries are mostly keys, digests and signatures: more is in vain
_NEEDS_STORE: Final = (
    HttpCode.STORE_UNAVAILABLE,
    HttpCode.INTERNAL_ERROR,
    HttpCode.INVALID_PARAMETER,
)


async def get_checkpoint(gateway: Gateway, request: Request) -> Response:
    """Answer with the newest cosigned checkpoint."""
    Parameters(request.query_params.multi_items(), ())
    with gateway.access.store.read() as reader:
        stored = reader.checkpoint()
    if stored is None:
        raise Refusal(HttpCode.PROOF_NOT_READY, "no quorum has cosigned a checkpoint yet")
    headers = {"concordat-epoch": str(stored.epoch), **_SHORTLY}
    return Response(stored.note, HTTPStatus.OK, headers, _TEXT)


async def get_policy(gateway: Gateway, request: Request) -> Response:
    """Answer with the policy that the newest checkpoint meets, or with that of an epoch."""
    parameters = Parameters(request.query_params.multi_items(), ("epoch",))
    number = parameters.integer("epoch", 0, INT_MAX)
    with gateway.access.store.read() as reader:
        stored = reader.checkpoint()
        if number is None and stored is not None:
            number = stored.epoch
        try:
            start = reader.epoch_start(None if number is None else Epoch(number))
        except LookupError:
            raise Refusal(
                HttpCode.INVALID_PARAMETER, f"epoch {number} has not begun, or not seen from here"
            ) from None
    headers = {"concordat-epoch": str(start.number), **_SHORTLY}
    origin = gateway.access.store.chain_id
    return Response(_policy(start, origin), HTTPStatus.OK, headers, _TEXT)


async def get_tile(gateway: Gateway, request: Request) -> Response:
    """Answer with the hashes of a tile."""
    Parameters(request.query_params.multi_items(), ())
    level = parse_level(request.path_params["level"])
    name = _tile_name(request)
    if level is None:
        raise Refusal(HttpCode.NOT_FOUND, "a level is a number from 0 to 63")
    with gateway.access.store.read() as reader:
        hashes = reader.read_tile(level, name.number)[: name.width * HASH_BYTES]
    if len(hashes) < name.width * HASH_BYTES:
        raise _not_so_long()
    return Response(hashes, HTTPStatus.OK, dict(FOR_EVER), _OCTETS)


async def get_entries(gateway: Gateway, request: Request) -> Response:
    """Answer with a bundle of entries."""
    Parameters(request.query_params.multi_items(), ())
    name = _tile_name(request)
    require_all_topics(request)
    is_zipped = "gzip" in request.headers.get("accept-encoding", "")

    def read(store: ChainStore) -> bytes | None:
        with store.read() as reader:
            bundle = _entries(reader, name)
        return gzip.compress(bundle, _GZIP_LEVEL, mtime=0) if bundle and is_zipped else bundle

    try:
        bundle = await gateway.access.in_bulk_thread(read)
    except Forgotten as error:  # C2SP: a log answers 404 for entries that it has pruned
        raise Refusal(HttpCode.NOT_FOUND, str(error)) from None
    if bundle is None:
        raise _not_so_long()
    headers = {"vary": "accept-encoding, authorization", **kept_for_ever(principal_of(request))}
    if is_zipped:
        headers["content-encoding"] = "gzip"
    return Response(bundle, HTTPStatus.OK, headers, _OCTETS)


async def get_tlog_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of one event under the newest checkpoint."""
    Parameters(request.query_params.multi_items(), ())
    id_, principal = request.path_params["id"], principal_of(request)

    def read(store: ChainStore) -> TlogProof | None:
        with store.read() as reader:
            sequence = find_provable(reader, id_, principal)
            return build_tlog_proof(reader, sequence, reader.checkpoint())

    proof = await gateway.access.in_thread(read)
    if proof is None:
        raise Refusal(
            HttpCode.PROOF_NOT_READY, "the event is final; validators sign for it within seconds"
        )
    headers = {"cache-control": "no-store", "concordat-sequence": str(proof.sequence)}
    return Response(write_tlog_proof(proof), HTTPStatus.OK, headers, _TEXT)


def _policy(start: EpochStart, origin: str) -> bytes:
    validators = start.validator_set()
    return write_policy(
        policy_of(origin, validators),
        f"Transparency log of the ledger {origin}, epoch {start.number}, which began at height "
        f"{start.height}.",
        f"Any {validators.quorum} of its {len(validators)} validators must have cosigned.",
        "Do not believe a gateway: `concordat log policy` derives this from the genesis file.",
    )


def _entries(reader: ChainReader, name: TileName) -> bytes | None:
    first = Sequence(name.number * TILE_WIDTH)
    entries = reader.entries(first, name.width, name.width * ENTRY_BYTES_MAX + 1)
    return entry_bundle(entries) if len(entries) == name.width else None


def _tile_name(request: Request) -> TileName:
    name = parse_tile(request.path_params["tile"])
    if name is None:
        raise Refusal(HttpCode.NOT_FOUND, "a tile is named as in x001/x234/067 or 008.p/17")
    return name


def _not_so_long() -> Refusal:
    return Refusal(HttpCode.NOT_FOUND, "the log is not so long")


_BYTES: Final[Json] = {"type": "string", "format": "binary"}
_LINES: Final[Json] = {"type": "string"}
_TILE = Parameter(
    "tile",
    "path",
    "Index of the tile in groups of three digits, each but the last behind `x`; for a partial tile "
    "`.p/` and its width behind it.",
    {"type": "string", "pattern": TILE_PATTERN},
    "000.p/1",
)
_LEVEL = Parameter(
    "level", "path", "Level of the tile.", {"type": "string", "pattern": LEVEL_PATTERN}, "0"
)
_EPOCH_HEADER = {"Concordat-Epoch": "The epoch whose validators it is of."}

_CHECKPOINT = Operation(
    "GET",
    "/log/checkpoint",
    "getCheckpoint",
    _TAG,
    "Get the newest checkpoint",
    "A signed note (C2SP tlog-checkpoint): size and root of the log, cosigned by a quorum of "
    "validators. A log that grows has a new one each second, another one each minute.",
    (Answer(200, "The checkpoint.", {_TEXT: _LINES}, headers=_EPOCH_HEADER),),
    (HttpCode.PROOF_NOT_READY, *_NEEDS_STORE),
)
_POLICY = Operation(
    "GET",
    "/log/policy",
    "getLogPolicy",
    _TAG,
    "Get the policy that a checkpoint must meet",
    "The validators of an epoch and how many make a quorum, as a C2SP tlog-policy. Who does not "
    "want to believe the gateway derives it from the genesis file: `concordat log policy`.",
    (Answer(200, "The policy.", {_TEXT: _LINES}, headers=_EPOCH_HEADER),),
    _NEEDS_STORE,
    (
        Parameter(
            "epoch",
            "query",
            "Number of the epoch; that of the newest checkpoint by default.",
            {"type": "integer", "minimum": 0},
        ),
    ),
)
_ENTRIES = Operation(
    "GET",
    "/log/tile/entries/{tile:path}",
    "getEntryBundle",
    _TAG,
    "Get a bundle of entries",
    "The entries below one tile of level 0 (C2SP tlog-tiles): signed events, the length of each in "
    "2 bytes before it. Needs the right to read every topic. `not_found` also where this member "
    "has forgotten one of them.",
    (Answer(200, "The entries.", {_OCTETS: _BYTES}),),
    (HttpCode.NOT_FOUND, HttpCode.FORBIDDEN, *_NEEDS_STORE),
    (_TILE,),
)
_TILES = Operation(
    "GET",
    "/log/tile/{level}/{tile:path}",
    "getTile",
    _TAG,
    "Get a tile of hashes",
    "Up to 256 hashes of the Merkle tree (C2SP tlog-tiles; RFC 6962, SHA-256). Any proof of "
    "inclusion or consistency can be computed from tiles.",
    (Answer(200, "The hashes, 32 bytes each.", {_OCTETS: _BYTES}),),
    (HttpCode.NOT_FOUND, *_NEEDS_STORE),
    (_LEVEL, _TILE),
)
_PROOF = Operation(
    "GET",
    "/v1/events/{id}/tlog-proof",
    "getTlogProof",
    _TAG,
    "Get the transparency log's proof of one event",
    "A C2SP tlog-proof: index, path and the newest checkpoint, with the event itself as extra "
    "data. `concordat verify` checks it offline. It is ready some seconds after the event; until "
    "then the answer is `proof_not_ready`. Where this member has forgotten the event, the entry in "
    "it is empty: add the one that you kept.",
    (
        Answer(
            200,
            "The proof.",
            {_TEXT: _LINES},
            headers={"Concordat-Sequence": "The event's sequence, its index in the log."},
        ),
    ),
    (
        HttpCode.EVENT_NOT_FOUND,
        HttpCode.EVENT_REFUSED,
        HttpCode.PROOF_NOT_READY,
        *_NEEDS_STORE,
    ),
    (
        Parameter(
            "id",
            "path",
            "Event id (64 hexadecimal digits) or sequence.",
            {"type": "string", "pattern": "^([0-9a-f]{64}|0|[1-9][0-9]{0,17})$"},
            EVENT_ID,
        ),
    ),
)

TLOG_ENDPOINTS: Final = (
    Endpoint(_CHECKPOINT, get_checkpoint, Scope.PUBLIC),
    Endpoint(_POLICY, get_policy, Scope.PUBLIC),
    Endpoint(_ENTRIES, get_entries, Scope.READ),
    Endpoint(_TILES, get_tile, Scope.PUBLIC),
    Endpoint(_PROOF, get_tlog_proof, Scope.READ),
)
