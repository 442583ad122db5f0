"""The ``GET`` requests about the state: lists, participants, governance, and proofs of each.

Only what the store holds durably is ever shown, read in one snapshot whose height the answer says.
An entry's id may hold slashes; what follows it in the path is told apart by the slash that the
client did not encode, so that an entry whose id ends in ``/proof`` can be named, too.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from ledger.core.event import DID_REGEX
from ledger.core.ids import Height
from ledger.core.limits import (
    DID_CHARS_MAX,
    GATEWAY_PAGE_EVENTS,
    GATEWAY_PAGE_EVENTS_MAX,
    INT_MAX,
    LIST_ID_CHARS_MAX,
)
from ledger.core.state import GOVERNORS_KEY, VALIDATORS_KEY, participant_key
from ledger.core.state_proof import build_state_bundle, encode_state_bundle, state_bundle_json
from ledger.core.trust.bodies import LISTS
from ledger.core.trust.governance import proposal_key
from ledger.core.trust.lists import ListEntry, entry_codec, entry_key, revision_key
from ledger.core.trust.operations import GOVERNANCE_TOPIC, LIST_TOPIC_PREFIX, PARTICIPANTS_TOPIC
from ledger.io.chain_store import ChainStore
from pubsub.core.parameters import Parameters, choose_media_type
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.trust_documents import (
    EntriesDocument,
    ListsDocument,
    ParticipantsDocument,
    RevisionsDocument,
    entry_document,
    list_page_codec,
    participant_document,
    proposal_document,
)
from pubsub.io.answers import json_response
from pubsub.io.guard import principal_of, require_topic
from pubsub.io.state import Gateway
from pubsub.io.state_pages import StateReader

__all__ = [
    "MEDIA_ENTRIES",
    "MEDIA_LIST_ENTRY",
    "MEDIA_STATE_PROOF",
    "get_entries",
    "get_entry",
    "get_entry_proof",
    "get_governance",
    "get_governance_proof",
    "get_lists",
    "get_participant",
    "get_participant_proof",
    "get_participants",
    "get_proposal",
    "get_proposal_proof",
    "get_revisions",
    "get_validators_proof",
]

T = TypeVar("T")

MEDIA_LIST_ENTRY: Final = "application/vnd.concordat.list-entry+msgpack"
MEDIA_ENTRIES: Final = "application/vnd.concordat.list-page+msgpack"
MEDIA_STATE_PROOF: Final = "application/vnd.concordat.state-proof+msgpack"
_JSON: Final = "application/json"

_ENTRY_ID: Final = re.compile(r"[!-~]+\Z")
_DID: Final = re.compile(DID_REGEX)
_EVENT_ID: Final = re.compile(r"[0-9a-f]{64}\Z")
_FRESH: Final = {"cache-control": "no-cache", "vary": "accept"}


async def get_lists(gateway: Gateway, request: Request) -> Response:
    """Answer with the lists and how many entries stand in each."""
    _parameters(request)
    principal = principal_of(request)

    def read(state: StateReader) -> ListsDocument:
        root, counts = gateway.list_counts
        if root != state.root:
            counts = state.lists()
            gateway.list_counts = (state.root, counts)
        shown = [row for row in counts if principal.may_read(row.topic)]
        return ListsDocument(state.height, shown)

    return json_response(await _in_thread(gateway, read), headers=dict(_FRESH))


async def get_entries(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of a list."""
    parameters = _parameters(request, "prefix", "after", "limit", "status")
    list_name = _list_name(request)
    prefix = parameters.text("prefix", LIST_ID_CHARS_MAX) or ""
    after = parameters.text("after", LIST_ID_CHARS_MAX) or ""
    for text in filter(None, (prefix, after)):
        _require(_ENTRY_ID, text, "prefix and after are printable ASCII without spaces")
    limit = parameters.integer("limit", 1, GATEWAY_PAGE_EVENTS_MAX) or GATEWAY_PAGE_EVENTS
    also_revoked = parameters.choice("status", ("active", "all")) == "all"
    media_type = choose_media_type(_accept(request), (_JSON, MEDIA_ENTRIES))
    height, page = await _in_thread(
        gateway,
        lambda state: (
            state.height,
            state.page(list_name, prefix, after, limit, also_revoked=also_revoked),
        ),
    )
    headers = {"concordat-height": str(height), **_FRESH, **_next(request, page.next_id)}
    if media_type == MEDIA_ENTRIES:
        return Response(list_page_codec.encode(page), HTTPStatus.OK, headers, media_type)
    rows = tuple(entry_document(list_name, row.id, row.entry) for row in page.rows)
    document = EntriesDocument(list_name, height, rows, page.next_id)
    return json_response(document, headers=headers)


async def get_entry(gateway: Gateway, request: Request) -> Response:
    """Answer with an entry: its newest revision, a numbered one, or the one valid at a time."""
    parameters = _parameters(request, "revision", "valid-at")
    list_name, id_ = _list_name(request), _entry_id(request)
    number = parameters.integer("revision", 1, INT_MAX)
    time_ms = parameters.integer("valid-at", 0, INT_MAX)
    if number is not None and time_ms is not None:
        raise Refusal(HttpCode.INVALID_PARAMETER, "give revision or valid-at, not both")
    media_type = choose_media_type(_accept(request), (_JSON, MEDIA_LIST_ENTRY))

    def read(state: StateReader) -> tuple[Height, ListEntry]:
        if time_ms is not None:
            entry = state.revision_at(list_name, id_, time_ms)
            entry = entry if entry is not None and entry.is_valid_at(time_ms) else None
        elif number is not None:
            entry = state.revision(list_name, id_, number)
        else:
            entry = state.entry(list_name, id_)
        if entry is None:
            raise Refusal(HttpCode.ENTRY_NOT_FOUND, f"{list_name} holds no such entry or revision")
        return state.height, entry

    height, entry = await _in_thread(gateway, read)
    headers = {"concordat-height": str(height), **_FRESH}
    if media_type == MEDIA_LIST_ENTRY:
        return Response(entry_codec.encode(entry), HTTPStatus.OK, headers, media_type)
    return json_response(entry_document(list_name, id_, entry), headers=headers)


async def get_revisions(gateway: Gateway, request: Request) -> Response:
    """Answer with the history of an entry."""
    if _is_part_of_id(request, b"/revisions"):
        return await get_entry(gateway, request)
    parameters = _parameters(request, "after", "limit")
    list_name, id_ = _list_name(request), _entry_id(request)
    after = parameters.integer("after", 0, INT_MAX) or 0
    limit = parameters.integer("limit", 1, GATEWAY_PAGE_EVENTS_MAX) or GATEWAY_PAGE_EVENTS

    def read(state: StateReader) -> RevisionsDocument:
        newest = state.entry(list_name, id_)
        if newest is None:
            raise Refusal(HttpCode.ENTRY_NOT_FOUND, f"{list_name} never held such an entry")
        found = state.revisions(list_name, id_, after, limit)
        last = after + len(found)
        return RevisionsDocument(
            list=list_name,
            id=id_,
            height=state.height,
            revisions=tuple(entry_document(list_name, id_, entry) for entry in found),
            next=last if last < newest.revision else None,
        )

    document = await _in_thread(gateway, read)
    return json_response(document, headers={**_FRESH, **_next(request, document.next)})


async def get_entry_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of an entry or a revision, or that there is none."""
    if _is_part_of_id(request, b"/proof"):
        return await get_entry(gateway, request)
    parameters = _parameters(request, "height", "revision")
    list_name, id_ = _list_name(request), _entry_id(request)
    number = parameters.integer("revision", 1, INT_MAX)
    key = entry_key(list_name, id_) if number is None else revision_key(list_name, id_, number)
    return await _prove(gateway, request, parameters, key)


async def get_participants(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of the participants."""
    require_topic(request, PARTICIPANTS_TOPIC)
    parameters = _parameters(request, "after", "limit")
    after = parameters.text("after", DID_CHARS_MAX) or ""
    if after:
        _require(_DID, after, "after is a DID")
    limit = parameters.integer("limit", 1, GATEWAY_PAGE_EVENTS_MAX) or GATEWAY_PAGE_EVENTS

    def read(state: StateReader) -> ParticipantsDocument:
        found, next_did = state.participants(after, limit)
        return ParticipantsDocument(state.height, [*map(participant_document, found)], next_did)

    document = await _in_thread(gateway, read)
    return json_response(document, headers={**_FRESH, **_next(request, document.next)})


async def get_participant(gateway: Gateway, request: Request) -> Response:
    """Answer with one participant."""
    require_topic(request, PARTICIPANTS_TOPIC)
    _parameters(request)
    did = _did(request)
    found = await _in_thread(gateway, lambda state: state.participant(did))
    if found is None:
        raise Refusal(HttpCode.PARTICIPANT_NOT_FOUND, "nobody with this DID is a participant")
    return json_response(participant_document(found), headers=dict(_FRESH))


async def get_participant_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of a participant, or that there is none."""
    require_topic(request, PARTICIPANTS_TOPIC)
    parameters = _parameters(request, "height")
    return await _prove(gateway, request, parameters, participant_key(_did(request)))


async def get_governance(gateway: Gateway, request: Request) -> Response:
    """Answer with the governors and the open proposals."""
    require_topic(request, GOVERNANCE_TOPIC)
    _parameters(request)
    document = await _in_thread(gateway, lambda state: state.governance())
    return json_response(document, headers=dict(_FRESH))


async def get_governance_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of who governs."""
    require_topic(request, GOVERNANCE_TOPIC)
    return await _prove(gateway, request, _parameters(request, "height"), GOVERNORS_KEY)


async def get_proposal(gateway: Gateway, request: Request) -> Response:
    """Answer with one proposal, open or decided."""
    require_topic(request, GOVERNANCE_TOPIC)
    _parameters(request)
    id_ = _proposal_id(request)
    time_ms, found = await _in_thread(gateway, lambda state: (state.time_ms, state.proposal(id_)))
    if found is None:
        raise Refusal(HttpCode.PROPOSAL_NOT_FOUND, "no event with this id made a proposal")
    return json_response(proposal_document(id_, found, time_ms), headers=dict(_FRESH))


async def get_proposal_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of a proposal and its approvals, or that there is none."""
    require_topic(request, GOVERNANCE_TOPIC)
    parameters = _parameters(request, "height")
    return await _prove(gateway, request, parameters, proposal_key(_proposal_id(request)))


async def get_validators_proof(gateway: Gateway, request: Request) -> Response:
    """Answer with the proof of who the validators are."""
    parameters = _parameters(request, "height")
    return await _prove(gateway, request, parameters, VALIDATORS_KEY)


# --- proofs ---------------------------------------------------------------------------------


async def _prove(
    gateway: Gateway, request: Request, parameters: Parameters, key: bytes
) -> Response:
    number = parameters.integer("height", 0, INT_MAX)
    at_least = None if number is None else Height(number)
    media_type = choose_media_type(_accept(request), (MEDIA_STATE_PROOF, _JSON))

    def build(store: ChainStore) -> bytes | None:
        with store.read() as reader:
            bundle = build_state_bundle(reader, key, at_least)
        if bundle is None:
            return None
        write = encode_state_bundle if media_type == MEDIA_STATE_PROOF else state_bundle_json
        return write(bundle)

    body = await gateway.access.in_thread(build)
    if body is None:
        raise Refusal(HttpCode.PROOF_NOT_READY, "the proof of this height comes with later blocks")
    return Response(body, HTTPStatus.OK, dict(_FRESH), media_type)


# --- reading requests -----------------------------------------------------------------------


async def _in_thread(gateway: Gateway, read: Callable[[StateReader], T]) -> T:
    def run(store: ChainStore) -> T:
        with store.read() as reader:
            return read(StateReader(reader))

    return await gateway.access.in_thread(run)


def _parameters(request: Request, *allowed: str) -> Parameters:
    return Parameters(request.query_params.multi_items(), allowed)


def _list_name(request: Request) -> str:
    """Give the name of a list that whoever asks may read. Raises Refusal."""
    name: str = request.path_params["list"]
    if name not in LISTS:
        raise Refusal(HttpCode.LIST_NOT_FOUND, f"there are: {', '.join(LISTS)}")
    require_topic(request, LIST_TOPIC_PREFIX + name)
    return name


def _entry_id(request: Request) -> str:
    id_: str = request.path_params["id"]
    if len(id_) > LIST_ID_CHARS_MAX:
        raise Refusal(HttpCode.INVALID_PARAMETER, f"an id has at most {LIST_ID_CHARS_MAX} bytes")
    return _require(_ENTRY_ID, id_, "an entry's id is printable ASCII without spaces")


def _did(request: Request) -> str:
    return _require(_DID, request.path_params["did"], "a participant is named by its DID")


def _proposal_id(request: Request) -> bytes:
    text = _require(
        _EVENT_ID,
        request.path_params["id"],
        "a proposal is named by its event's id, 64 lower-case hexadecimal digits",
    )
    return bytes.fromhex(text)


def _require(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    if pattern.match(text) is None:
        raise Refusal(HttpCode.INVALID_PARAMETER, otherwise)
    return text


def _is_part_of_id(request: Request, suffix: bytes) -> bool:
    """Say whether the client encoded the slash in front of a suffix, and put it back if so."""
    raw_path: bytes = request.scope.get("raw_path") or b""
    if not raw_path or raw_path.partition(b"?")[0].endswith(suffix):
        return False
    request.path_params["id"] += suffix.decode()
    return True


def _next(request: Request, cursor: str | int | None) -> dict[str, str]:
    """Give the header that links the next page, if there is one."""
    if cursor is None:
        return {}
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    path = raw_path.partition(b"?")[0].decode("latin-1")
    return {"link": f'<{path}?{urlencode([*query, ("after", str(cursor))])}>; rel="next"'}


def _accept(request: Request) -> str:
    return ",".join(request.headers.getlist("accept"))
