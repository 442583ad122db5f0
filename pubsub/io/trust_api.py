"""The gateway's operations about the state: lists, participants, governance, and their proofs.

Owns their descriptions; ``api`` joins them to the table that everything is made from.
"""

from typing import Final

from ledger.core.limits import (
    DID_CHARS_MAX,
    GATEWAY_PAGE_EVENTS,
    GATEWAY_PAGE_EVENTS_MAX,
    INT_MAX,
    LIST_ID_CHARS_MAX,
)
from ledger.core.trust.bodies import LISTS
from pubsub.core.api_examples import EVENT_ID
from pubsub.core.openapi import Answer, Json, Operation, Parameter, reference
from pubsub.core.problems import HttpCode
from pubsub.core.rights import Scope
from pubsub.core.trust_documents import (
    EntriesDocument,
    EntryDocument,
    GovernanceDocument,
    ListsDocument,
    ParticipantDocument,
    ParticipantsDocument,
    ProposalDocument,
    RevisionsDocument,
)
from pubsub.io import trust_reads
from pubsub.io.endpoint import Endpoint

__all__ = ["TRUST_ENDPOINTS"]

_TAG: Final = "Trusted lists"
_JSON: Final = "application/json"
_BINARY: Final[Json] = {"type": "string", "format": "binary"}
_NEEDS_STORE = (HttpCode.STORE_UNAVAILABLE, HttpCode.INTERNAL_ERROR, HttpCode.INVALID_PARAMETER)
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0, "maximum": INT_MAX}
_NUMBER_1: Final[Json] = {**_NUMBER, "minimum": 1}
_ID: Final[Json] = {
    "type": "string",
    "pattern": "^[!-~]+$",
    "minLength": 1,
    "maxLength": LIST_ID_CHARS_MAX,
}
_DID: Final[Json] = {
    "type": "string",
    "pattern": "^did:[a-z0-9]{1,32}:[A-Za-z0-9._:%-]{1,200}$",
    "maxLength": DID_CHARS_MAX,
}
_HEIGHT_HEADER = {"Concordat-Height": "The newest block: what is answered is the state after it."}
_LINK_HEADER = {"Link": "The next page, `rel=next`; absent at the end."}

_LIST = Parameter(
    "list", "path", "Name of the list.", {"type": "string", "enum": [*LISTS]}, "issuers"
)
_ENTRY = Parameter(
    "id",
    "path",
    "Id of the entry. Encode `%`; encode `/` too, or what follows the last one may be taken for "
    "a part of the path.",
    _ID,
    "did:web:issuer.example",
)
_PARTICIPANT = Parameter(
    "did", "path", "DID of the participant; encode `%`.", _DID, "did:web:market.example"
)
_PROPOSAL = Parameter(
    "id",
    "path",
    "Id of the event that made the proposal.",
    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    EVENT_ID,
)
_LIMIT = Parameter(
    "limit",
    "query",
    "At most so many of them.",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": GATEWAY_PAGE_EVENTS_MAX,
        "default": GATEWAY_PAGE_EVENTS,
    },
)
_REVISION = Parameter("revision", "query", "This revision instead of the newest.", _NUMBER_1)
_HEIGHT = Parameter(
    "height",
    "query",
    "Prove the state after the block at this height, or after the first one behind it that a "
    "certified header carries. The newest provable state when not given.",
    _NUMBER,
)

_LISTS = Operation(
    "GET",
    "/v1/lists",
    "getLists",
    _TAG,
    "See the trusted lists",
    "Gives every list with the number of entries that stand in it. A list changes by events on its "
    "topic, which subscribers see as any others; who may publish there may write it.",
    (Answer(200, "The lists.", {_JSON: reference(ListsDocument)}),),
    _NEEDS_STORE,
)
_ENTRIES = Operation(
    "GET",
    "/v1/lists/{list}",
    "getListEntries",
    _TAG,
    "Read a list",
    "Gives newest revisions in the order of their ids, also of what belongs to an entry and stands "
    f"below it, as `<id>/<name>`. Follow `Link`, or give `next` as `after`. With "
    f"`{trust_reads.MEDIA_ENTRIES}` the page is a canonical `ListPage`. Nothing shows that a "
    "gateway left none out: who must know follows the list's topic.",
    (
        Answer(
            200,
            "A page of entries.",
            {_JSON: reference(EntriesDocument), trust_reads.MEDIA_ENTRIES: _BINARY},
            None,
            {**_LINK_HEADER, **_HEIGHT_HEADER},
        ),
    ),
    (HttpCode.LIST_NOT_FOUND, HttpCode.NOT_ACCEPTABLE, *_NEEDS_STORE),
    (
        _LIST,
        Parameter("prefix", "query", "Only ids that begin so, such as `<id>/`.", _ID),
        Parameter("after", "query", "Only ids behind this one.", _ID),
        _LIMIT,
        Parameter(
            "status",
            "query",
            "Entries that stand, or revoked ones too.",
            {"type": "string", "enum": ["active", "all"], "default": "active"},
        ),
    ),
)
_ONE_ENTRY = Operation(
    "GET",
    "/v1/lists/{list}/entries/{id:path}",
    "getListEntry",
    _TAG,
    "Get one entry",
    "Gives the newest revision of an entry, also of one that was revoked, or the revision that is "
    f"asked for. With `{trust_reads.MEDIA_LIST_ENTRY}` it is the canonical `ListEntry` that the "
    "state holds.",
    (
        Answer(
            200,
            "The entry.",
            {_JSON: reference(EntryDocument), trust_reads.MEDIA_LIST_ENTRY: _BINARY},
            None,
            _HEIGHT_HEADER,
        ),
    ),
    (
        HttpCode.LIST_NOT_FOUND,
        HttpCode.ENTRY_NOT_FOUND,
        HttpCode.NOT_ACCEPTABLE,
        *_NEEDS_STORE,
    ),
    (
        _LIST,
        _ENTRY,
        _REVISION,
        Parameter(
            "valid-at",
            "query",
            "The revision that stood at this time, in ms since 1970 UTC, if it was valid then.",
            _NUMBER,
        ),
    ),
)
_REVISIONS = Operation(
    "GET",
    "/v1/lists/{list}/entries/{id:path}/revisions",
    "getListEntryRevisions",
    _TAG,
    "See the history of an entry",
    "Gives all revisions, oldest first; nothing is ever deleted.",
    (Answer(200, "Revisions.", {_JSON: reference(RevisionsDocument)}, None, _LINK_HEADER),),
    (HttpCode.LIST_NOT_FOUND, HttpCode.ENTRY_NOT_FOUND, *_NEEDS_STORE),
    (
        _LIST,
        _ENTRY,
        Parameter("after", "query", "Only revisions behind this one.", _NUMBER),
        _LIMIT,
    ),
)
_PARTICIPANTS = Operation(
    "GET",
    "/v1/participants",
    "getParticipants",
    _TAG,
    "See who may publish",
    "Gives participants by DID, with keys and rights: topics, or patterns of them.",
    (Answer(200, "A page.", {_JSON: reference(ParticipantsDocument)}, None, _LINK_HEADER),),
    _NEEDS_STORE,
    (Parameter("after", "query", "Only DIDs behind this one.", _DID), _LIMIT),
)
_ONE_PARTICIPANT = Operation(
    "GET",
    "/v1/participants/{did}",
    "getParticipant",
    _TAG,
    "Get one participant",
    "Gives keys, revoked ones too, and rights.",
    (Answer(200, "The participant.", {_JSON: reference(ParticipantDocument)}),),
    (HttpCode.PARTICIPANT_NOT_FOUND, *_NEEDS_STORE),
    (_PARTICIPANT,),
)
_GOVERNANCE = Operation(
    "GET",
    "/v1/governance",
    "getGovernance",
    _TAG,
    "See who governs, and what is proposed",
    "Gives the governors, how many of them decide, and the open proposals. Decided ones are found "
    "by id.",
    (Answer(200, "The governance.", {_JSON: reference(GovernanceDocument)}),),
    _NEEDS_STORE,
)
_ONE_PROPOSAL = Operation(
    "GET",
    "/v1/governance/proposals/{id}",
    "getProposal",
    _TAG,
    "Get one proposal",
    "Gives a proposal, open, carried out or expired.",
    (Answer(200, "The proposal.", {_JSON: reference(ProposalDocument)}),),
    (HttpCode.PROPOSAL_NOT_FOUND, *_NEEDS_STORE),
    (_PROPOSAL,),
)


def _proof(
    path: str,
    name: str,
    what: str,
    parameters: tuple[Parameter, ...],
    errors: tuple[HttpCode, ...] = (),
) -> Operation:
    return Operation(
        "GET",
        f"{path}/proof",
        name,
        _TAG,
        f"Prove {what}",
        "Gives a bundle that shows, with the genesis file alone, what the network's state held at "
        "a height, or that it held nothing. Until a certified header carries that state the answer "
        "is `proof_not_ready`.",
        (
            Answer(
                200,
                "The state bundle; as JSON for people, whose member `bundle` holds the bytes.",
                {trust_reads.MEDIA_STATE_PROOF: _BINARY, _JSON: {"type": "object"}},
            ),
        ),
        (*errors, HttpCode.PROOF_NOT_READY, HttpCode.NOT_ACCEPTABLE, *_NEEDS_STORE),
        (*parameters, _HEIGHT),
    )


TRUST_ENDPOINTS: Final = (
    Endpoint(_LISTS, trust_reads.get_lists, Scope.READ),
    Endpoint(_ENTRIES, trust_reads.get_entries, Scope.READ),
    # Before the entries themselves, whose ids may hold slashes: the first path that fits counts.
    Endpoint(_REVISIONS, trust_reads.get_revisions, Scope.READ),
    Endpoint(
        _proof(
            _ONE_ENTRY.path,
            "getListEntryProof",
            "an entry, or its absence",
            (_LIST, _ENTRY, _REVISION),
            (HttpCode.LIST_NOT_FOUND,),
        ),
        trust_reads.get_entry_proof,
        Scope.READ,
    ),
    Endpoint(_ONE_ENTRY, trust_reads.get_entry, Scope.READ),
    Endpoint(_PARTICIPANTS, trust_reads.get_participants, Scope.READ),
    Endpoint(_ONE_PARTICIPANT, trust_reads.get_participant, Scope.READ),
    Endpoint(
        _proof(
            _ONE_PARTICIPANT.path,
            "getParticipantProof",
            "a participant, or that there is none",
            (_PARTICIPANT,),
        ),
        trust_reads.get_participant_proof,
        Scope.READ,
    ),
    Endpoint(_GOVERNANCE, trust_reads.get_governance, Scope.READ),
    Endpoint(
        _proof(_GOVERNANCE.path, "getGovernanceProof", "who governs", ()),
        trust_reads.get_governance_proof,
        Scope.READ,
    ),
    Endpoint(
        _proof("/v1/validators", "getValidatorsProof", "who the validators are", ()),
        trust_reads.get_validators_proof,
        Scope.READ,
    ),
    Endpoint(_ONE_PROPOSAL, trust_reads.get_proposal, Scope.READ),
    Endpoint(
        _proof(
            _ONE_PROPOSAL.path, "getProposalProof", "a proposal and its approvals", (_PROPOSAL,)
        ),
        trust_reads.get_proposal_proof,
        Scope.READ,
    ),
)
