"""What an event on a reserved topic asks the state machine to do.

Owns the canonical form of every operation (the event's ``data``) and the topic that it belongs to.
A change of several entries of one list is one operation: it happens whole or not at all.
"""

from typing import Annotated, Final

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, Signature64, UInt
from ledger.core.genesis import Governors, Participant
from ledger.core.ids import PublicKey
from ledger.core.limits import (
    EVENT_DATA_BYTES_MAX,
    LIST_CHANGES_COUNT_MAX,
    LIST_ID_CHARS_MAX,
    LIST_KIND_CHARS_MAX,
    PARAMETER_NAME_CHARS_MAX,
    TOPIC_CHARS_MAX,
    VALIDATORS_COUNT_MAX,
)
from ledger.core.signing import signable
from ledger.core.topics import RESERVED_PREFIX, is_topic_pattern
from ledger.core.validators import Validator

__all__ = [
    "CONTENT_TYPE",
    "GOVERNANCE_TOPIC",
    "IDENTITY_TOPIC",
    "LIST_TOPIC_PREFIX",
    "OPERATION_TYPE",
    "PARTICIPANTS_TOPIC",
    "Action",
    "AddKey",
    "Approve",
    "ChangeList",
    "Operation",
    "Propose",
    "PutEntry",
    "RegisterParticipant",
    "RevokeEntry",
    "RevokeKey",
    "SetGovernors",
    "SetParameter",
    "SetParticipant",
    "SetTopicRule",
    "SetValidators",
    "key_possession_message",
    "operation_codec",
    "topic_of",
]

CONTENT_TYPE: Final = "application/vnd.concordat.operation"
OPERATION_TYPE: Final = "org.concordat.ledger.operation"  # of the event that carries one
LIST_TOPIC_PREFIX: Final = RESERVED_PREFIX + "lists."
PARTICIPANTS_TOPIC: Final = RESERVED_PREFIX + "participants"
IDENTITY_TOPIC: Final = RESERVED_PREFIX + "identity"
GOVERNANCE_TOPIC: Final = RESERVED_PREFIX + "governance"

_ListName = Annotated[str, Meta(pattern=r"^[a-z][a-z-]{0,31}\Z")]
_EntryId = Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=LIST_ID_CHARS_MAX)]


class PutEntry(Record, frozen=True, tag=0):
    """Make an entry, or give it a new revision.

    Attributes:
        id: of the entry in its list.
        kind: what the body is; each list knows its kinds.
        body: the entry's content, exactly as it is to be served and hashed.
        valid_from_ms: 0 for the beginning of time.
        valid_to_ms: 0 for no end.
        expected_revision: the newest revision that the writer knows, 0 for "there is none": another
            one is a conflict. None to write in any case.
    """

    id: _EntryId
    kind: Annotated[str, Meta(max_length=LIST_KIND_CHARS_MAX)]
    body: Annotated[bytes, Meta(max_length=EVENT_DATA_BYTES_MAX)]
    valid_from_ms: UInt
    valid_to_ms: UInt
    expected_revision: UInt | None


class RevokeEntry(Record, frozen=True, tag=1):
    """End an entry. Its history stays."""

    id: _EntryId
    expected_revision: UInt | None


class ChangeList(Record, frozen=True, tag=0):
    """Change entries of one list, all or none."""

    list: _ListName
    changes: Annotated[
        tuple[PutEntry | RevokeEntry, ...], Meta(min_length=1, max_length=LIST_CHANGES_COUNT_MAX)
    ]


class RegisterParticipant(Record, frozen=True, tag=1):
    """Let a new participant publish, or change the name and topics of a known one.

    A registrar can give no reserved topic and take over nobody's keys; governors can.
    """

    participant: Participant


class AddKey(Record, frozen=True, tag=2):
    """Add a key to the publisher's own; ``proof`` signs ``key_possession_message`` with it."""

    key: Hash32
    proof: Signature64


class RevokeKey(Record, frozen=True, tag=3):
    """Revoke one of the publisher's own keys, never the last."""

    key: Hash32


class SetParticipant(Record, frozen=True, tag=0):
    """Set a participant as it stands here: name, keys and topics, reserved ones too."""

    participant: Participant


class SetGovernors(Record, frozen=True, tag=1):
    """Set who governs."""

    governors: Governors


class SetValidators(Record, frozen=True, tag=2):
    """Set the validators of the next epoch."""

    validators: Annotated[tuple[Validator, ...], Meta(max_length=VALIDATORS_COUNT_MAX)]


class SetParameter(Record, frozen=True, tag=3):
    """Set a parameter from a height on."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*\Z", max_length=PARAMETER_NAME_CHARS_MAX)]
    value: UInt
    height: UInt


class SetTopicRule(Record, frozen=True, tag=4):
    """Set what holds for the topics that a pattern names, from the next block on.

    Attributes:
        is_complete: every event is added to a chain in the state, so that nobody can leave one out.
        expects_previous: an event must name the hash that its entity has now. With neither option
            the rule ends.
    """

    pattern: Annotated[str, Meta(max_length=TOPIC_CHARS_MAX)]
    is_complete: bool
    expects_previous: bool

    def __post_init__(self) -> None:
        """Refuse what is no pattern."""
        if not is_topic_pattern(self.pattern):
            msg = f"not a topic pattern: {self.pattern!r}"
            raise ValueError(msg)


Action = SetParticipant | SetGovernors | SetValidators | SetParameter | SetTopicRule


class Propose(Record, frozen=True, tag=4):
    """Propose an action to the governors; the event's id names the proposal."""

    action: Action
    expires_ms: UInt


class Approve(Record, frozen=True, tag=5):
    """Approve a proposal; the approval that completes the threshold carries it out."""

    proposal: Hash32


Operation = ChangeList | RegisterParticipant | AddKey | RevokeKey | Propose | Approve

operation_codec: Codec[Operation] = Codec(Operation)  # type: ignore[arg-type] # a union is no type[T]


def topic_of(operation: Operation) -> str:
    """Give the only topic on which an operation is accepted."""
    match operation:
        case ChangeList(list=name):
            return LIST_TOPIC_PREFIX + name
        case RegisterParticipant():
            return PARTICIPANTS_TOPIC
        case AddKey() | RevokeKey():
            return IDENTITY_TOPIC
        case _:
            return GOVERNANCE_TOPIC


def key_possession_message(chain_id: str, did: str, key: PublicKey) -> bytes:
    """Give what a new key signs to show that its holder wants it to speak for ``did``."""
    return signable("key possession", b"\0".join((chain_id.encode(), did.encode(), key)))
