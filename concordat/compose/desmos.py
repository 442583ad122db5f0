"""From [desmos] to the settings of Desmos-compatible replication, with its credential and key."""

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.credentials.access import AccessRefused
from adapters.credentials.credential import read_credential
from adapters.credentials.jose import parse_jws
from adapters.tmf.desmos.machine import Machine
from adapters.tmf.desmos.parts import DesmosSettings
from concordat.home import Home, HomeError
from ledger.core.limits import KEY_FILE_BYTES_MAX, TOKEN_CHARS_MAX
from ledger.io.keystore import KeyFileError

__all__ = ["desmos_settings"]

_ENVIRONMENTS: Final = ("prd", "dev", "sbx", "local")


def desmos_settings(home: Home) -> DesmosSettings | None:
    """Put the settings together; None when it is not enabled.

    Raises:
        HomeError: the configuration contradicts itself, or the credential is none.
        KeyFileError: the machine's key cannot be used.
    """
    section = home.config.desmos
    if not section.enabled:
        return None
    if home.config.access_node.environment not in _ENVIRONMENTS:
        raise HomeError(
            f"desmos.enabled needs access_node.environment: one of {', '.join(_ENVIRONMENTS)}"
        )
    machine = _machine(home) if section.credential else None
    return DesmosSettings(section.organisation, section.peers, machine, section.native_too)


def _machine(home: Home) -> Machine:
    section = home.config.desmos
    if not section.token_url or not section.verifier:
        raise HomeError("desmos.credential needs desmos.token_url and desmos.verifier")
    path = home.resolve(section.credential)
    try:
        with path.open() as file:
            token = file.read(TOKEN_CHARS_MAX).strip()
        credential = read_credential(parse_jws(token, "credential").payload)
    except (OSError, UnicodeDecodeError) as error:
        raise HomeError(f"cannot read {path}: {error}") from None
    except AccessRefused as refused:
        raise HomeError(f"{path}: {refused}") from None
    holder = next(iter(sorted(credential.holders)), "")
    organisation = credential.organisation.removeprefix("did:elsi:")
    key = _private_key(home.resolve(section.key))
    return Machine(organisation, holder, token, key, section.token_url, section.verifier)


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(KEY_FILE_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"other users may read the key {path}: chmod 600 it")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} is no PEM key without a password: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(f"{path} is no key on the curve P-256")
    return key
