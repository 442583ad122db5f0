"""The validator set of one epoch, and the arithmetic of quorums."""

from typing import Annotated

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, encode
from ledger.core.event import DID_REGEX
from ledger.core.hashing import derived_digest
from ledger.core.ids import NodeIndex, PublicKey
from ledger.core.limits import ADDRESS_CHARS_MAX, DID_CHARS_MAX, VALIDATORS_COUNT_MAX

__all__ = ["Validator", "ValidatorSet", "members_codec", "set_hash"]

_digest = derived_digest("validator set")


class Validator(Record, frozen=True):
    """One member of the set.

    Attributes:
        name: short name for people, unique in the set.
        did: the organisation that runs it.
        key: Ed25519 key that signs votes, blocks and acknowledgements.
        peer_key: Ed25519 key of its TLS identity; never the same as ``key``.
        address: ``host:port`` of its peer port.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
    did: Annotated[str, Meta(pattern=DID_REGEX, max_length=DID_CHARS_MAX)]
    key: Hash32
    peer_key: Hash32
    address: Annotated[
        str,
        Meta(
            pattern=r"^[^\s:]+:[0-9]{1,5}\Z|^\[[^\s]+\]:[0-9]{1,5}\Z",
            max_length=ADDRESS_CHARS_MAX,
        ),
    ]


members_codec: Codec[tuple[Validator, ...]] = Codec(
    Annotated[  # type: ignore[arg-type] # an annotated type is no type[T] to mypy
        tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_COUNT_MAX)
    ]
)
"""The members of a set, as the state holds them."""


def set_hash(encoded: bytes) -> bytes:
    """Give the digest of a validator set from the encoding of its members."""
    return _digest(encoded)


class ValidatorSet:
    """An ordered set of n validators that tolerates f = (n - 1) // 3 Byzantine ones.

    Any two quorums share more than f members, and the honest ones alone are a quorum.
    """

    __slots__ = ("_index_of_key", "faulty_max", "hash", "members", "quorum")

    def __init__(self, members: tuple[Validator, ...]) -> None:
        """Hold ``members`` in their order: the position is the validator's index.

        Raises:
            ValueError: the set is empty or too large, or a name or key stands twice.
        """
        if not 1 <= len(members) <= VALIDATORS_COUNT_MAX:
            msg = f"a validator set has 1 to {VALIDATORS_COUNT_MAX} members, not {len(members)}"
            raise ValueError(msg)
        keys = [member.key for member in members] + [member.peer_key for member in members]
        if len(set(keys)) != len(keys) or len({m.name for m in members}) != len(members):
            msg = "validator names and keys must all differ"
            raise ValueError(msg)
        self.members = members
        self.faulty_max = (len(members) - 1) // 3
        # ceil((n + f + 1) / 2): right for every n, not only for n = 3f + 1.
        self.quorum = (len(members) + self.faulty_max + 2) // 2
        self.hash = set_hash(encode(members))
        self._index_of_key = {member.key: i for i, member in enumerate(members)}

    def __len__(self) -> int:
        return len(self.members)

    def key(self, index: NodeIndex) -> PublicKey | None:
        """Give the voting key of the validator at ``index``, or None when there is none."""
        if 0 <= index < len(self.members):
            return PublicKey(self.members[index].key)
        return None

    def index_of(self, key: PublicKey) -> NodeIndex | None:
        """Give the index of the validator that votes with ``key``, or None."""
        index = self._index_of_key.get(key)
        return None if index is None else NodeIndex(index)
