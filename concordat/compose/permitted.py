"""Which keys a process of a member may use."""

import structlog

from concordat.config import Config
from ledger.io.keystore import KeyFileError, KeyInfo

__all__ = ["require_permitted_key"]

_log = structlog.get_logger("concordat")


def require_permitted_key(config: Config, info: KeyInfo) -> None:
    """Refuse a key without a password unless the configuration permits it.

    Raises:
        KeyFileError: it is not permitted.
    """
    if info.is_sealed:
        return
    if not config.keys.allow_unencrypted:
        raise KeyFileError(
            f"{info.path} has no password, and keys.allow_unencrypted is not set: make sealed keys "
            f"with `concordat keys new`, or permit it on a development network"
        )
    _log.warning("unencrypted key, for development only", file=str(info.path))
