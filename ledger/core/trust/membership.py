"""The validator set that governors approved, until the epoch in which it takes over begins."""

from collections.abc import Mapping

from ledger.core.errors import DecodeError, InvariantError
from ledger.core.state import PENDING_VALIDATORS_KEY, VALIDATORS_KEY, StateView
from ledger.core.validators import Validator, members_codec, set_hash

__all__ = ["end_of_epoch", "pending_set_hash"]


def pending_set_hash(
    state: StateView, changes: Mapping[bytes, bytes] | None = None
) -> bytes | None:
    """Give the digest of the set that waits in ``state`` after ``changes``, or None."""
    encoded = (changes or {}).get(PENDING_VALIDATORS_KEY)
    if encoded is None:
        encoded = state.pending_validators()
    return set_hash(encoded) if encoded else None


def end_of_epoch(
    state: StateView, next_set_hash: bytes
) -> tuple[tuple[Validator, ...], dict[bytes, bytes]]:
    """Give the members of the next set, and the state's changes: they are the set from now on.

    Raises:
        InvariantError: another set than the named one waits in ``state``, or none.
    """
    encoded = state.pending_validators()
    if set_hash(encoded) != next_set_hash:
        raise InvariantError("a final block ends the epoch with a set that nobody approved")
    try:
        members = members_codec.decode(encoded)
    except DecodeError as error:
        raise InvariantError(f"the state holds no validator set: {error}") from error
    return members, {VALIDATORS_KEY: encoded, PENDING_VALIDATORS_KEY: b""}
