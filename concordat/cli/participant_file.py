"""A participant as a file: what `concordat keys export-public` prints, read strictly."""

from pathlib import Path

import msgspec

from concordat.home import HomeError
from ledger.core.genesis import Participant
from ledger.core.limits import KEY_FILE_BYTES_MAX

__all__ = ["participant_of"]


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    revoked: bool = False


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    did: str
    name: str
    keys: list[_Key]
    topics: list[str]


def participant_of(path: Path) -> Participant:
    """Read a participant entry, as `concordat keys export-public` prints it.

    Raises:
        HomeError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            entry = msgspec.json.decode(file.read(KEY_FILE_BYTES_MAX), type=_Entry)
        keys = [[bytes.fromhex(item.key), item.revoked] for item in entry.keys]
        return msgspec.convert([entry.did, entry.name, keys, entry.topics], Participant)
    except OSError as error:
        raise HomeError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise HomeError(f"{path} is no participant entry: {error}") from None
