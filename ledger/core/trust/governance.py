"""Governors decide together: a proposal, k approvals of different governors, an expiry.

Owns what a proposal is in the state and when it is carried out. The approval that completes the
threshold, as it is then, carries the action out in the same block. Who was a governor when he
approved but is none any more does not count.
"""

from ledger.core.codec import Codec, Hash32, Record, UInt, encode
from ledger.core.errors import DecodeError, InvariantError, RejectCode
from ledger.core.event import Event
from ledger.core.genesis import Governors
from ledger.core.ids import EventId
from ledger.core.limits import PROPOSAL_LIFE_MS_MAX, PROPOSALS_OPEN_MAX
from ledger.core.state import GOVERNORS_KEY, VALIDATORS_KEY, participant_key
from ledger.core.trust.operations import (
    Action,
    Approve,
    Propose,
    SetGovernors,
    SetParameter,
    SetParticipant,
    SetValidators,
)
from ledger.core.trust.overlay import StateOverlay
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
    "proposal_codec",
    "proposal_key",
    "propose",
]

PENDING_VALIDATORS_KEY = b"pending validators"
OPEN_PROPOSALS_PREFIX = b"open proposals\0"
PARAMETER_PREFIX = b"parameter\0"
_governors = Codec(Governors)


class Proposal(Record, frozen=True):
    """A proposal and what became of it.

    Attributes:
        approvals: the governors who approved, the proposer first.
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


class OpenProposals(Record, frozen=True):
    """The proposals of one governor that may still be open."""

    ids: tuple[Hash32, ...]


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
    if not _note_open(state, event.publisher, event_id, time_ms):
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
    approvals = (*proposal.approvals, governor)
    executed_ms = 0
    if sum(name in now.members for name in approvals) >= now.threshold:
        # The world may have moved on since it was proposed.
        if _fault(state, proposal.action):
            return RejectCode.CONFLICT
        _carry_out(state, proposal.action)
        executed_ms = time_ms
    new = Proposal(proposal.action, proposal.proposer, proposal.expires_ms, approvals, executed_ms)
    state.put(proposal_key(id_), encode(new))
    return None


def _note_open(state: StateOverlay, governor: str, id_: EventId, time_ms: int) -> bool:
    """Count a governor's open proposals, and forget those that are over; False when too many."""
    key = OPEN_PROPOSALS_PREFIX + governor.encode()
    encoded = state.get(key)
    ids = () if encoded is None else open_proposals_codec.decode(encoded).ids
    still = tuple(item for item in ids if _is_open(state, item, time_ms))
    if len(still) >= PROPOSALS_OPEN_MAX:
        return False
    state.put(key, encode(OpenProposals((*still, id_))))
    return True


def _is_open(state: StateOverlay, id_: bytes, time_ms: int) -> bool:
    encoded = state.get(proposal_key(id_))
    if encoded is None:
        return False
    proposal = proposal_codec.decode(encoded)
    return not proposal.executed_ms and time_ms < proposal.expires_ms


def _fault(state: StateOverlay, action: Action) -> bool:
    """Say whether an action would leave a network that cannot run."""
    match action:
        case SetGovernors(new):
            known = all(state.get(participant_key(did)) is not None for did in new.members)
            return not known or new.threshold > len(set(new.members))
        case SetValidators(members):
            try:
                ValidatorSet(members)
            except ValueError:
                return True
            return state.get(PENDING_VALIDATORS_KEY) not in (None, b"")
        case SetParticipant(participant):
            now = governors(state)
            useless = all(item.revoked for item in participant.keys)
            return useless and participant.did in now.members
        case _:
            return False


def _carry_out(state: StateOverlay, action: Action) -> None:
    match action:
        case SetParticipant(participant):
            state.put(participant_key(participant.did), encode(participant))
        case SetGovernors(new):
            state.put(GOVERNORS_KEY, encode(new))
        case SetValidators(members):
            if encode(members) != state.get(VALIDATORS_KEY):
                state.put(PENDING_VALIDATORS_KEY, encode(members))
        case SetParameter(name, value, height):
            state.put(parameter_key(name), encode(ParameterValue(value, height)))
