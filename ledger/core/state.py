"""The state that events are judged by: who may publish, with which key, to which topics.

Owns the names of its keys in the authenticated map and the decoded view of what stands there.
It changes nothing: changes are computed here or by the state machine and applied with
``statemap.update``.

Invariant: a view depends on its root alone, so its memory of decoded participants and topic rules
may be shared by every view of the same root, in any thread, and never has to be thrown away. It
serves the next root, too, when nothing that it may hold was changed.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from ledger.core import statemap
from ledger.core.codec import Codec, encode
from ledger.core.errors import DecodeError, InvariantError
from ledger.core.genesis import Genesis, Participant
from ledger.core.limits import PARTICIPANTS_COUNT_MAX, TOPIC_RIGHTS_REMEMBERED_MAX
from ledger.core.statemap_node import EMPTY_HASH, NodeReader
from ledger.core.topic_rules import RULES_KEY, TopicRules, rules_codec
from ledger.core.topics import RESERVED_PREFIX, TopicPattern
from ledger.core.trust.operations import GOVERNANCE_TOPIC, IDENTITY_TOPIC

__all__ = [
    "GOVERNORS_KEY",
    "PARTICIPANT_PREFIX",
    "PENDING_VALIDATORS_KEY",
    "VALIDATORS_KEY",
    "Rights",
    "StateMemory",
    "StateView",
    "genesis_changes",
    "genesis_state",
    "participant_key",
]

VALIDATORS_KEY: Final = b"validators"
PENDING_VALIDATORS_KEY: Final = b"pending validators"
GOVERNORS_KEY: Final = b"governors"
PARTICIPANT_PREFIX: Final = b"participant/"

_REMEMBERED: Final = frozenset({RULES_KEY, PENDING_VALIDATORS_KEY})
_OPEN_TOPICS: Final = frozenset({GOVERNANCE_TOPIC, IDENTITY_TOPIC})

_participants = Codec(Participant)


class Rights:
    """A participant's keys and topic patterns, compiled for many questions.

    Attributes:
        participant: what the state holds.
        revoked: each key that was ever registered -> is it revoked?
    """

    __slots__ = ("_allowed", "_patterns", "participant", "revoked")

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.revoked: Mapping[bytes, bool] = {item.key: item.revoked for item in participant.keys}
        self._patterns = tuple(TopicPattern(text) for text in participant.topics)
        self._allowed: dict[str, bool] = {}

    def may_publish(self, topic: str) -> bool:
        """Say whether one of the participant's patterns names ``topic``.

        A reserved topic must be named by a pattern that itself begins as reserved: ``>`` gives no
        power over the lists. Its own keys are everybody's business, and who governs is known to
        the state machine alone.
        """
        allowed = self._allowed.get(topic)
        if allowed is None:
            is_reserved = topic.startswith(RESERVED_PREFIX)
            allowed = topic in _OPEN_TOPICS or any(
                pattern.matches(topic)
                for pattern in self._patterns
                if not is_reserved or pattern.text.startswith(RESERVED_PREFIX)
            )
            if len(self._allowed) >= TOPIC_RIGHTS_REMEMBERED_MAX:
                self._allowed.clear()
            self._allowed[topic] = allowed
        return allowed


class StateMemory:
    """What views decoded of one state.

    Attributes:
        rights: DID -> rights of participants.
        rules: of topics, or None when nobody asked for them yet.
        pending_validators: the set that waits (``b""``: none), or None when nobody asked.
    """

    __slots__ = ("pending_validators", "rights", "rules")

    def __init__(self) -> None:
        self.rights: dict[str, Rights] = {}
        self.rules: TopicRules | None = None
        self.pending_validators: bytes | None = None

    def after(self, changes: Iterable[bytes]) -> "StateMemory":
        """Give the memory of the state in which these keys have changed."""
        for key in changes:
            # Whether it was asked for or not: older views of this memory may ask for it later.
            if key.startswith(PARTICIPANT_PREFIX) or key in _REMEMBERED:
                return StateMemory()
        return self


class StateView:
    """The state under one root.

    Args:
        read_node: hash -> encoded node of the map; raises or gives ``b""`` when there is none.
        root: root of the map, 32 bytes.
        memory: what earlier views of *this* root decoded.
    """

    __slots__ = ("_read_node", "memory", "root")

    def __init__(
        self, read_node: NodeReader, root: bytes, memory: StateMemory | None = None
    ) -> None:
        self.root = root
        self._read_node = read_node
        self.memory = StateMemory() if memory is None else memory

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key of the state, or None."""
        return statemap.get(self._read_node, self.root, key)

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the values of those of the keys that the state holds."""
        return statemap.get_many(self._read_node, self.root, keys)

    def participant(self, did: str) -> Participant | None:
        """Give the participant with this DID, or None.

        Raises:
            InvariantError: the stored state is broken.
        """
        rights = self.rights(did)
        return None if rights is None else rights.participant

    def rights(self, did: str) -> Rights | None:
        """Give what the participant with this DID may do, or None when there is none.

        Raises:
            InvariantError: the stored state is broken.
        """
        remembered = self.memory.rights
        rights = remembered.get(did)
        if rights is not None:
            return rights
        encoded = self.get(participant_key(did))
        if encoded is None:
            return None  # Not remembered: anybody may ask for any number of names.
        try:
            rights = Rights(_participants.decode(encoded))
        except DecodeError as error:
            raise InvariantError(f"the state holds no participant for {did}: {error}") from error
        if len(remembered) >= PARTICIPANTS_COUNT_MAX:
            remembered.clear()
        remembered[did] = rights
        return rights

    def pending_validators(self) -> bytes:
        """Give the encoded validator set that waits for its epoch; ``b""`` when none does."""
        pending = self.memory.pending_validators
        if pending is None:
            pending = self.memory.pending_validators = self.get(PENDING_VALIDATORS_KEY) or b""
        return pending

    def topic_rules(self) -> TopicRules:
        """Give the patterns of the topic rules in force.

        Raises:
            InvariantError: the stored state is broken.
        """
        rules = self.memory.rules
        if rules is None:
            encoded = self.get(RULES_KEY)
            try:
                rules = TopicRules(() if encoded is None else rules_codec.decode(encoded))
            except (DecodeError, ValueError) as error:
                raise InvariantError(f"the state holds no topic rules: {error}") from error
            self.memory.rules = rules
        return rules


def genesis_changes(genesis: Genesis) -> Mapping[bytes, bytes]:
    """Give the keys and values of the state at height 0."""
    changes = {
        participant_key(participant.did): encode(participant)
        for participant in genesis.participants
    }
    changes[VALIDATORS_KEY] = encode(genesis.validators)
    changes[GOVERNORS_KEY] = encode(genesis.governors)
    return changes


def genesis_state(genesis: Genesis) -> tuple[bytes, dict[bytes, bytes]]:
    """Give the root of the state at height 0 and its nodes (hash -> encoding)."""
    return statemap.update(lambda _: b"", EMPTY_HASH, genesis_changes(genesis))


def participant_key(did: str) -> bytes:
    """Give the key of a participant."""
    return PARTICIPANT_PREFIX + did.encode()
