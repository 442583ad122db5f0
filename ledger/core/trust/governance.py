"""Governors decide together: a proposal, k approvals of different governors, an expiry.

Owns what a proposal is in the state and when it is carried out. The approval that completes the
threshold, as it is then, carries the action out in the same block. Who was a governor when he
approved but is none any more does not count, and is forgotten by the next approval.

Invariant: every value fits the state. A proposal is an event's data and at most as many approvals
as there are governors at one time.
"""

from ledger.core.codec import Codec, Hash32, Record, UInt, encode
from ledger.core.errors import DecodeError, InvariantError, RejectCode
from ledger.core.event import Event
from ledger.core.genesis import Governors, Participant
from ledger.core.ids import EventId
from ledger.core.limits import PROPOSAL_LIFE_MS_MAX, PROPOSALS_OPEN_MAX
from ledger.core.signing import is_acceptable_key
from ledger.core.state import (
    GOVERNORS_KEY,
    PENDING_VALIDATORS_KEY,
    VALIDATORS_KEY,
    participant_key,
)
from ledger.core.trust.operations import (
    Action,
    Approve,
    Propose,
    SetGovernors,
    SetParameter,
    SetParticipant,
    SetTopicRule,
    SetValidators,
)
from ledger.core.trust.overlay import StateOverlay
from ledger.core.trust.topic_rules import rule_fault, set_rule
from ledger.core.validators import ValidatorSet

__all__ = [
    "OPEN_PROPOSALS_PREFIX",
    "PARAMETER_PREFIX",
    "PENDING_VALIDATORS_KEY",
    "Proposal",
    "approve",
    "governors",
    "open_proposals_codec",
    "parameter_codec",
    "parameter_key",
    "participant",
    "proposal_codec",
    "proposal_key",
    "propose",
]

OPEN_PROPOSALS_PREFIX = b"open proposals\0"
PARAMETER_PREFIX = b"parameter\0"
_governors = Codec(Governors)
_participants = Codec(Participant)


class Proposal(Record, frozen=True):
    """A proposal and what became of it.

    Attributes:
        approvals: the governors who approved, the proposer first as long as he governs.
        executed_ms: time of the block that carried it out, 0 while it is open.
    """

    action: Action
    proposer: str
    expires_ms: UInt
    approvals: tuple[str, ...]
    executed_ms: UInt


class ParameterValue(Record, frozen=True):
    """A parameter's value from a height on."""

    value: UInt
    height: UInt


class OpenProposal(Record, frozen=True):
    """A proposal that was not carried out, and when it expires."""

    id: Hash32
    expires_ms: UInt


class OpenProposals(Record, frozen=True):
    """The proposals of one governor that may still be open.

    With their ends, so that counting them reads no other value: refusing one too many must cost
    no more than refusing anything else.
    """

    proposals: tuple[OpenProposal, ...]

    @property
    def ids(self) -> tuple[bytes, ...]:
        """The names of the proposals."""
        return tuple(item.id for item in self.proposals)


proposal_codec = Codec(Proposal)
parameter_codec = Codec(ParameterValue)
open_proposals_codec = Codec(OpenProposals)


def proposal_key(proposal: bytes) -> bytes:
    """Give the key of a proposal, which is named by its event's id."""
    return b"proposal\0" + proposal


def parameter_key(name: str) -> bytes:
    """Give the key of a parameter."""
    return PARAMETER_PREFIX + name.encode()


def governors(state: StateOverlay) -> Governors:
    """Give who governs now."""
    encoded = state.get(GOVERNORS_KEY)
    try:
        return _governors.decode(encoded or b"")
    except DecodeError as error:
        raise InvariantError(f"the state names no governors: {error}") from error


def participant(state: StateOverlay, did: str) -> Participant | None:
    """Give the participant with this DID, or None."""
    encoded = state.get(participant_key(did))
    return None if encoded is None else _participants.decode(encoded)


def propose(
    state: StateOverlay, event: Event, event_id: EventId, operation: Propose, time_ms: int
) -> RejectCode | None:
    """Open a proposal; with a threshold of one it is carried out at once."""
    if event.publisher not in governors(state).members:
        return RejectCode.TOPIC_FORBIDDEN
    if not time_ms < operation.expires_ms <= time_ms + PROPOSAL_LIFE_MS_MAX:
        return RejectCode.OPERATION_REFUSED
    if _fault(state, operation.action):
        return RejectCode.OPERATION_REFUSED
    if not _note_open(state, event.publisher, event_id, operation.expires_ms, time_ms):
        return RejectCode.OVERLOADED
    proposal = Proposal(operation.action, event.publisher, operation.expires_ms, (), 0)
    return _add_approval(state, proposal, event.publisher, event_id, time_ms)


def approve(
    state: StateOverlay, event: Event, operation: Approve, time_ms: int
) -> RejectCode | None:
    """Add an approval to an open proposal."""
    if event.publisher not in governors(state).members:
        return RejectCode.TOPIC_FORBIDDEN
    encoded = state.get(proposal_key(operation.proposal))
    if encoded is None:
        return RejectCode.NO_SUCH_ENTRY
    proposal = proposal_codec.decode(encoded)
    if proposal.executed_ms or time_ms >= proposal.expires_ms:
        return RejectCode.CONFLICT
    if event.publisher in proposal.approvals:
        return RejectCode.DUPLICATE
    return _add_approval(state, proposal, event.publisher, EventId(operation.proposal), time_ms)


def _add_approval(
    state: StateOverlay, proposal: Proposal, governor: str, id_: EventId, time_ms: int
) -> RejectCode | None:
    now = governors(state)
    approvals = (*(name for name in proposal.approvals if name in now.members), governor)
    executed_ms = 0
    if len(approvals) >= now.threshold:
        # The world may have moved on since it was proposed.
        if _fault(state, proposal.action):
            return RejectCode.CONFLICT
        _carry_out(state, proposal.action)
        _forget_open(state, proposal.proposer, id_)
        executed_ms = time_ms
    new = Proposal(proposal.action, proposal.proposer, proposal.expires_ms, approvals, executed_ms)
    state.put(proposal_key(id_), encode(new))
    return None


def _open_proposals(state: StateOverlay, governor: str) -> tuple[OpenProposal, ...]:
    encoded = state.get(OPEN_PROPOSALS_PREFIX + governor.encode())
    return () if encoded is None else open_proposals_codec.decode(encoded).proposals


def _put_open(state: StateOverlay, governor: str, proposals: tuple[OpenProposal, ...]) -> None:
    state.put(OPEN_PROPOSALS_PREFIX + governor.encode(), encode(OpenProposals(proposals)))


def _note_open(
    state: StateOverlay, governor: str, id_: EventId, expires_ms: int, time_ms: int
) -> bool:
    """Count a governor's open proposals, and forget those that are over; False when too many."""
    before = _open_proposals(state, governor)
    still = tuple(item for item in before if time_ms < item.expires_ms)
    if len(still) >= PROPOSALS_OPEN_MAX:
        return False
    _put_open(state, governor, (*still, OpenProposal(id_, expires_ms)))
    return True


def _forget_open(state: StateOverlay, governor: str, id_: EventId) -> None:
    before = _open_proposals(state, governor)
    _put_open(state, governor, tuple(item for item in before if item.id != id_))


def _fault(state: StateOverlay, action: Action) -> bool:
    """Say whether an action is senseless as things stand.

    Such would leave a network that cannot run, bring a revoked key back, or change no rule.
    """
    match action:
        case SetGovernors(governing):
            people = [participant(state, did) for did in sorted(set(governing.members))]
            voices = sum(one is not None and _has_key(one) for one in people)
            return None in people or governing.threshold > voices
        case SetValidators(members):
            keys = [key for one in members for key in (one.key, one.peer_key)]
            try:
                ValidatorSet(members)
            except ValueError:
                return True
            waits = state.get(PENDING_VALIDATORS_KEY) not in (None, b"")
            return waits or not all(map(is_acceptable_key, keys))
        case SetParticipant(new):
            old = participant(state, new.did)
            revoked = () if old is None else [item.key for item in old.keys if item.revoked]
            if any(item.key in revoked and not item.revoked for item in new.keys):
                return True
            return not _has_key(new) and new.did in governors(state).members
        case SetTopicRule():
            return rule_fault(state, action)
        case _:
            return False


def _has_key(one: Participant) -> bool:
    return any(not item.revoked for item in one.keys)


def _carry_out(state: StateOverlay, action: Action) -> None:
    match action:
        case SetParticipant(new):
            state.put(participant_key(new.did), encode(new))
        case SetGovernors(governing):
            state.put(GOVERNORS_KEY, encode(governing))
        case SetValidators(members):
            if encode(members) != state.get(VALIDATORS_KEY):
                state.put(PENDING_VALIDATORS_KEY, encode(members))
        case SetParameter(name, value, height):
            state.put(parameter_key(name), encode(ParameterValue(value, height)))
        case SetTopicRule():
            set_rule(state, action)
