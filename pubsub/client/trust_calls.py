"""What a client can ask about the state, as flows: lists, participants, governance, with proofs.

Owns the paths and media types of that part of the HTTP API. A single value is always read as its
state bundle, so that it can be checked and kept; a page of a list is read as it is.
"""

from itertools import pairwise
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from ledger.core.codec import Codec
from ledger.core.errors import DecodeError, Offence, PeerFault, ProofError
from ledger.core.genesis import Governors, Participant
from ledger.core.ids import EventId, Height
from ledger.core.state import GOVERNORS_KEY, VALIDATORS_KEY, participant_key
from ledger.core.state_proof import StateProofBundle, decode_state_bundle, verify_state
from ledger.core.trust.governance import Proposal, proposal_codec, proposal_key
from ledger.core.trust.lists import ListEntry, entry_codec, entry_key, revision_key
from ledger.core.validators import Validator, members_codec
from pubsub.client.answers import Answer, raise_problem
from pubsub.client.calls import Calls
from pubsub.client.exchange import Flow, Request
from pubsub.core.trust_documents import (
    GovernanceDocument,
    ListPage,
    ListsDocument,
    ListSummary,
    list_page_codec,
)

__all__ = ["ListQuestion", "Reading", "TrustCalls"]

T = TypeVar("T")

_MEDIA_JSON: Final = "application/json"
_MEDIA_PAGE: Final = "application/vnd.concordat.list-page+msgpack"
_MEDIA_PROOF: Final = "application/vnd.concordat.state-proof+msgpack"
_OK: Final = 200

_participants = Codec(Participant)
_governors = Codec(Governors)
_read_lists = msgspec.json.Decoder(ListsDocument).decode
_read_governance = msgspec.json.Decoder(GovernanceDocument).decode


class Reading(NamedTuple, Generic[T]):
    """What the network's state held for one key.

    Attributes:
        value: None when it held nothing.
        height: the state is that after this block.
        time_ms: it was so by this time, that of a later block. A gateway can show an old state,
            never a wrong one: compare this with the clock.
        bundle: the proof; anybody can check it with ``concordat.verify_state``.
        is_verified: whether this client checked it against genesis.
    """

    value: T | None
    height: Height
    time_ms: int
    bundle: StateProofBundle
    is_verified: bool


class ListQuestion(NamedTuple):
    """Which entries of a list, and from where on."""

    list_name: str
    prefix: str = ""
    also_revoked: bool = False
    after: str = ""


class TrustCalls:
    """The flows about the state of one client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def require_genesis(self) -> None:
        """Raise ValueError when the client was made without genesis."""
        if self._calls.verifier is None:
            raise ValueError("checking proofs needs genesis: Client(url, genesis=...)")

    def lists(self) -> Flow[list[ListSummary]]:
        """Read the lists and how many entries they hold, as the gateway says."""
        answer = yield from self._get("/v1/lists", _MEDIA_JSON)
        try:
            return _read_lists(answer.body).lists
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PeerFault(Offence.MALFORMED, f"not the lists: {error}") from None

    def governance(self) -> Flow[GovernanceDocument]:
        """Read who governs and what is proposed, as the gateway says."""
        answer = yield from self._get("/v1/governance", _MEDIA_JSON)
        try:
            return _read_governance(answer.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PeerFault(Offence.MALFORMED, f"not the governance: {error}") from None

    def page(self, question: ListQuestion) -> Flow[ListPage]:
        """Read a page of a list, as the gateway says."""
        parameters = {
            name: text
            for name, text in (
                ("prefix", question.prefix),
                ("after", question.after),
                ("status", "all" if question.also_revoked else ""),
            )
            if text
        }
        path = f"/v1/lists/{quote(question.list_name, safe='')}"
        answer = yield from self._get(path, _MEDIA_PAGE, parameters)
        try:
            page = list_page_codec.decode(answer.body)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not a page of a list: {error}") from None
        ids = [question.after, *(row.id for row in page.rows)]
        is_ordered = all(low < high for low, high in pairwise(ids))
        if not is_ordered or (page.next_id is not None and page.next_id <= question.after):
            raise PeerFault(Offence.MALFORMED, "a page out of order")
        return page

    def entry(
        self,
        list_name: str,
        id_: str,
        revision: int | None,
        at_least: Height | None,
        *,
        check: bool,
    ) -> Flow[Reading[ListEntry]]:
        """Read an entry's newest or a numbered revision."""
        key = entry_key(list_name, id_)
        parameters = {}
        if revision is not None:
            key = revision_key(list_name, id_, revision)
            parameters["revision"] = str(revision)
        path = f"/v1/lists/{quote(list_name, safe='')}/entries/{quote(id_, safe='')}"
        bundle = yield from self._bundle(path, key, parameters, at_least)
        return self._reading(bundle, entry_codec, check=check)

    def participant(
        self, did: str, at_least: Height | None, *, check: bool
    ) -> Flow[Reading[Participant]]:
        """Read a participant."""
        path = f"/v1/participants/{quote(did, safe='')}"
        bundle = yield from self._bundle(path, participant_key(did), {}, at_least)
        return self._reading(bundle, _participants, check=check)

    def governors(self, at_least: Height | None, *, check: bool) -> Flow[Reading[Governors]]:
        """Read who governs."""
        bundle = yield from self._bundle("/v1/governance", GOVERNORS_KEY, {}, at_least)
        return self._reading(bundle, _governors, check=check)

    def validators(
        self, at_least: Height | None, *, check: bool
    ) -> Flow[Reading[tuple[Validator, ...]]]:
        """Read who the validators are."""
        bundle = yield from self._bundle("/v1/validators", VALIDATORS_KEY, {}, at_least)
        return self._reading(bundle, members_codec, check=check)

    def proposal(
        self, id_: EventId, at_least: Height | None, *, check: bool
    ) -> Flow[Reading[Proposal]]:
        """Read a proposal."""
        path = f"/v1/governance/proposals/{id_.hex()}"
        bundle = yield from self._bundle(path, proposal_key(id_), {}, at_least)
        return self._reading(bundle, proposal_codec, check=check)

    def _bundle(
        self, path: str, key: bytes, parameters: dict[str, str], at_least: Height | None
    ) -> Flow[StateProofBundle]:
        if at_least is not None:
            parameters = {**parameters, "height": str(at_least)}
        answer = yield from self._get(f"{path}/proof", _MEDIA_PROOF, parameters)
        try:
            bundle = decode_state_bundle(answer.body)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not a proof: {error}") from None
        if bundle.key != key:
            raise ProofError("the proof is of another key than the one asked for")
        if at_least is not None and bundle.root.height < at_least:
            raise ProofError(f"the proof is of height {bundle.root.height}, not of {at_least}")
        return bundle

    def _reading(self, bundle: StateProofBundle, codec: Codec[T], *, check: bool) -> Reading[T]:
        if check:
            self.require_genesis()
            assert self._calls.verifier is not None
            verify_state(self._calls.verifier, bundle)
        try:
            value = None if bundle.value is None else codec.decode(bundle.value)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not such a value: {error}") from None
        return Reading(value, bundle.root.height, bundle.header.time_ms, bundle, check)

    def _get(
        self, path: str, accept: str, parameters: dict[str, str] | None = None
    ) -> Flow[Answer]:
        request = Request("GET", path, accept, parameters or {})
        answer = yield from self._calls.gateways.exchange(request)
        if answer.status != _OK:
            raise_problem(answer)
        return answer
