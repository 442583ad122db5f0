"""Genesis: what every member agrees on before the first block.

The file is JSON that people can read, with keys in hexadecimal. What counts is its canonical
form: the genesis hash is the digest of that, every signature is bound to it, and the chain id
ends with its first bytes, so that an event for one network can never be valid in another.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from ledger.core.codec import Hash32, Record, UInt, encode
from ledger.core.errors import DecodeError
from ledger.core.event import DID_REGEX
from ledger.core.hashing import derived_digest
from ledger.core.ids import BlockId
from ledger.core.limits import (
    DID_CHARS_MAX,
    GENESIS_BYTES_MAX,
    PARTICIPANT_KEYS_COUNT_MAX,
    PARTICIPANT_TOPICS_COUNT_MAX,
    PARTICIPANTS_COUNT_MAX,
)
from ledger.core.signing import is_acceptable_key
from ledger.core.topics import is_topic_pattern
from ledger.core.validators import Validator, ValidatorSet

__all__ = ["Genesis", "Governors", "Participant", "ParticipantKey", "read_genesis"]

_genesis_digest = derived_digest("genesis")
_genesis_block_digest = derived_digest("genesis block")
_DidField = Annotated[str, Meta(pattern=DID_REGEX, max_length=DID_CHARS_MAX)]


class ParticipantKey(Record, frozen=True):
    """A key of a participant. A revoked key stays listed so that the refusal can say so."""

    key: Hash32
    revoked: bool


class Participant(Record, frozen=True):
    """Who may publish, with which keys, to which topics (patterns)."""

    did: _DidField
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    keys: Annotated[tuple[ParticipantKey, ...], Meta(max_length=PARTICIPANT_KEYS_COUNT_MAX)]
    topics: Annotated[
        tuple[Annotated[str, Meta(max_length=255)], ...],
        Meta(max_length=PARTICIPANT_TOPICS_COUNT_MAX),
    ]

    def __post_init__(self) -> None:
        """Refuse patterns and keys that could never be used."""
        for pattern in self.topics:
            if not is_topic_pattern(pattern):
                msg = f"{self.did}: not a topic pattern: {pattern!r}"
                raise ValueError(msg)
        for item in self.keys:
            if not is_acceptable_key(item.key):
                msg = f"{self.did}: not an acceptable Ed25519 key: {item.key.hex()}"
                raise ValueError(msg)
        if len({item.key for item in self.keys}) != len(self.keys):
            msg = f"{self.did}: a key is listed twice"
            raise ValueError(msg)


class Governors(Record, frozen=True):
    """Who may change the lists: any ``threshold`` of ``members``."""

    threshold: Annotated[int, Meta(ge=1, le=100)]
    members: Annotated[tuple[_DidField, ...], Meta(min_length=1, max_length=100)]


class Genesis(Record, frozen=True):
    """The agreed beginning of one network."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,47}\Z")]
    time_ms: UInt
    validators: tuple[Validator, ...]
    participants: Annotated[tuple[Participant, ...], Meta(max_length=PARTICIPANTS_COUNT_MAX)]
    governors: Governors

    def __post_init__(self) -> None:
        """Refuse a network that could not run."""
        for key in (k for v in self.validators for k in (v.key, v.peer_key)):
            if not is_acceptable_key(key):
                msg = f"not an acceptable Ed25519 key: {key.hex()}"
                raise ValueError(msg)
        if len({p.did for p in self.participants}) != len(self.participants):
            msg = "a participant is listed twice"
            raise ValueError(msg)
        if self.governors.threshold > len(set(self.governors.members)):
            msg = "the governors' threshold exceeds their number"
            raise ValueError(msg)
        ValidatorSet(self.validators)

    def validator_set(self) -> ValidatorSet:
        """Give the validators of epoch 0."""
        return ValidatorSet(self.validators)

    @property
    def hash(self) -> bytes:
        """Digest of the canonical form; bound into every signature of the network."""
        return _genesis_digest(encode(self))

    @property
    def chain_id(self) -> str:
        """The network's name and the first 8 bytes of its hash, in hexadecimal."""
        return f"{self.name}-{self.hash[:8].hex()}"

    @property
    def block_id(self) -> BlockId:
        """Identity of the block at height 0, which has no other content."""
        return BlockId(_genesis_block_digest(self.hash))

    def to_json(self) -> bytes:
        """Write the file's form: indented JSON, keys in hexadecimal."""
        document = {
            "name": self.name,
            "time_ms": self.time_ms,
            "validators": [
                {
                    "name": v.name,
                    "did": v.did,
                    "key": v.key.hex(),
                    "peer_key": v.peer_key.hex(),
                    "address": v.address,
                }
                for v in self.validators
            ],
            "participants": [
                {
                    "did": p.did,
                    "name": p.name,
                    "keys": [{"key": k.key.hex(), "revoked": k.revoked} for k in p.keys],
                    "topics": list(p.topics),
                }
                for p in self.participants
            ],
            "governors": {
                "threshold": self.governors.threshold,
                "members": list(self.governors.members),
            },
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


class _ValidatorJson(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    did: str
    key: str
    peer_key: str
    address: str


class _KeyJson(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    revoked: bool = False


class _ParticipantJson(msgspec.Struct, forbid_unknown_fields=True):
    did: str
    name: str
    keys: list[_KeyJson]
    topics: list[str]


class _GovernorsJson(msgspec.Struct, forbid_unknown_fields=True):
    threshold: int
    members: list[str]


class _GenesisJson(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    time_ms: int
    validators: list[_ValidatorJson]
    participants: list[_ParticipantJson]
    governors: _GovernorsJson


def _key(text: str) -> str | bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text  # the typed conversion refuses it and says where it stands


def read_genesis(data: bytes) -> Genesis:
    """Read a genesis file.

    Raises:
        DecodeError: it is not a genesis file, or names a network that could not run.
    """
    if len(data) > GENESIS_BYTES_MAX:
        msg = "the genesis file is too large"
        raise DecodeError(msg)
    try:
        file = msgspec.json.decode(data, type=_GenesisJson)
        rows = (
            file.name,
            file.time_ms,
            tuple(
                (v.name, v.did, _key(v.key), _key(v.peer_key), v.address) for v in file.validators
            ),
            tuple(
                (p.did, p.name, tuple((_key(k.key), k.revoked) for k in p.keys), tuple(p.topics))
                for p in file.participants
            ),
            (file.governors.threshold, tuple(file.governors.members)),
        )
        return msgspec.convert(rows, Genesis)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        msg = f"not a genesis file: {error}"
        raise DecodeError(msg) from None
