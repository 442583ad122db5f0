"""Key files: one Ed25519 key each, sealed with a password, or open for development.

Owns the only place where private keys touch a disk. A key file is JSON that tells whose key it
is and for what; the seed in it is sealed with XChaCha20-Poly1305 under a key that scrypt derives
from the password, and the readable fields are authenticated with it. The development form holds
the seed as it is and says so.

Invariants: a file is created whole or not at all, never overwrites another, is readable by its
owner only, and is refused when it belongs to another user or others may read it. Nothing here
writes a seed or a password anywhere else. Deriving takes about a second of computing and 256 MiB:
call ``create_key`` and ``open_key`` before an event loop runs, or in a thread.
"""

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _unseal,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _seal,
)
from nacl.exceptions import CryptoError

from ledger.core.errors import ConcordatError
from ledger.core.ids import PublicKey
from ledger.core.limits import (
    KEY_FILE_BYTES_MAX,
    KEY_SCRYPT_N,
    KEY_SCRYPT_P,
    KEY_SCRYPT_R,
    PASSWORD_BYTES_MAX,
)
from ledger.core.signing import SeedSigner

__all__ = [
    "KeyFileError",
    "KeyInfo",
    "KeyPurpose",
    "OpenKey",
    "WrongPasswordError",
    "create_key",
    "open_key",
    "read_key_info",
    "reseal_key",
    "write_private_file",
]

_SEED_BYTES = 32
_SALT_BYTES = 32
_NONCE_BYTES = 24
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(ConcordatError):
    """A key file cannot be used; the message names the file, the cause and the remedy."""


class WrongPasswordError(KeyFileError):
    """The password does not open the file (or the file was altered: the two look alike)."""


class KeyPurpose(StrEnum):
    """What a key is for. A key of one purpose is never accepted for another."""

    VALIDATOR = "validator"
    PEER = "peer"
    PUBLISHER = "publisher"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The readable part of a key file.

    Attributes:
        owner: DID of the organisation whose key it is.
        is_sealed: False for the development form.
    """

    path: Path
    purpose: KeyPurpose
    owner: str
    public_key: PublicKey
    is_sealed: bool


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A key ready for use. ``seed`` (32 bytes) is secret and left out of ``repr``."""

    info: KeyInfo
    seed: bytes = field(repr=False)

    @property
    def signer(self) -> SeedSigner:
        """A signer with this key."""
        return SeedSigner(self.seed)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="protection"):
    format: Literal["concordat-key-1"]
    purpose: KeyPurpose
    owner: str
    public_key: str


class _SealedFile(_File, frozen=True, tag="password"):
    scrypt_n: int
    scrypt_r: int
    scrypt_p: int
    salt: str
    nonce: str
    sealed_seed: str


class _DevelopmentFile(_File, frozen=True, tag="none, for development only"):
    seed: str


_KeyFile = _SealedFile | _DevelopmentFile
_decoder: msgspec.json.Decoder[_KeyFile] = msgspec.json.Decoder(_KeyFile)


def create_key(
    path: Path,
    purpose: KeyPurpose,
    owner: str,
    *,
    password: bytes | None,
    scrypt_n: int = KEY_SCRYPT_N,
) -> KeyInfo:
    """Make a new random key and write its file.

    Args:
        path: where; must not exist, its directory must.
        purpose: what the key is for.
        owner: DID of the organisation whose key it is.
        password: 1 to PASSWORD_BYTES_MAX bytes, or None for the development form.
        scrypt_n: cost of one guess, a power of two; tests take a small one.

    Raises:
        KeyFileError: the file exists, cannot be written, or the password is unusable.
    """
    return _write_key(path, (purpose, owner), secrets.token_bytes(_SEED_BYTES), password, scrypt_n)


def reseal_key(
    path: Path,
    *,
    password: bytes | None,
    new_password: bytes,
    scrypt_n: int = KEY_SCRYPT_N,
) -> KeyInfo:
    """Seal the key of ``path`` with another password. The old file stays until the new one opens.

    Raises:
        WrongPasswordError: ``password`` does not open it.
        KeyFileError: it cannot be used or written, or the new password is unusable.
    """
    info = read_key_info(path)
    seed = open_key(path, info.purpose, password=password).seed
    fresh = path.with_name(f"{path.name}.resealed")
    fresh.unlink(missing_ok=True)  # of a run that was cut short
    _write_key(fresh, (info.purpose, info.owner), seed, new_password, scrypt_n)
    try:
        open_key(fresh, info.purpose, password=new_password)
        fresh.rename(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"cannot replace {path}: {error.strerror}") from error
    return read_key_info(path)


def _write_key(
    path: Path,
    whose: tuple[KeyPurpose, str],
    seed: bytes,
    password: bytes | None,
    scrypt_n: int,
) -> KeyInfo:
    purpose, owner = whose
    public_key = SeedSigner(seed).public_key
    file: _KeyFile
    if password is None:
        file = _DevelopmentFile("concordat-key-1", purpose, owner, public_key.hex(), seed.hex())
    else:
        file = _sealed_file(purpose, owner, seed, _check_password(password, path), scrypt_n)
    write_private_file(path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
    return KeyInfo(path, purpose, owner, public_key, is_sealed=password is not None)


def read_key_info(path: Path) -> KeyInfo:
    """Read the readable part of a key file; needs no password.

    Raises:
        KeyFileError: there is no usable key file at ``path``.
    """
    return _info(path, _read(path))


def open_key(path: Path, purpose: KeyPurpose, *, password: bytes | None) -> OpenKey:
    """Open the key of ``path`` for ``purpose``; ``password`` is ignored by the development form.

    Raises:
        WrongPasswordError: the password does not open it.
        KeyFileError: it cannot be used, is for another purpose, or needs a password.
    """
    file = _read(path)
    info = _info(path, file)
    if info.purpose != purpose:
        raise KeyFileError(f"{path} holds a {info.purpose} key; a {purpose} key is needed here")
    if isinstance(file, _DevelopmentFile):
        seed = _hex(path, file.seed, _SEED_BYTES)
    elif password is None:
        raise KeyFileError(f"{path} is sealed: a password is needed")
    else:
        seed = _unsealed_seed(path, file, _check_password(password, path))
    if SeedSigner(seed).public_key != info.public_key:
        raise KeyFileError(f"{path} is damaged: its seed belongs to another public key")
    return OpenKey(info, seed)


def write_private_file(path: Path, data: bytes) -> None:
    """Create ``path`` with ``data``, durable, whole or not at all, mode 0600, never overwriting.

    Raises:
        KeyFileError: the file exists or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, fails when the name is taken.
            path.hardlink_to(temporary)
        finally:
            temporary.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{path} exists and is never overwritten; choose another name") from None
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> _KeyFile:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeyFileError(f"there is no key file {path}") from None
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    if status.st_uid != os.geteuid():
        raise KeyFileError(f"{path} belongs to user {status.st_uid}, not to you: chown it")
    if status.st_mode & _OTHERS:
        raise KeyFileError(f"other users may read or write {path}: chmod 600 it")
    try:
        if len(data) > KEY_FILE_BYTES_MAX:
            raise KeyFileError(f"{path} is too large to be a key file")
        return _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise KeyFileError(f"{path} is no key file: {error}") from None


def _info(path: Path, file: _KeyFile) -> KeyInfo:
    public_key = PublicKey(_hex(path, file.public_key, 32))
    is_sealed = isinstance(file, _SealedFile)
    return KeyInfo(path, file.purpose, file.owner, public_key, is_sealed=is_sealed)


def _sealed_file(
    purpose: KeyPurpose, owner: str, seed: bytes, password: bytes, scrypt_n: int
) -> _SealedFile:
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    file = _SealedFile(
        format="concordat-key-1",
        purpose=purpose,
        owner=owner,
        public_key=SeedSigner(seed).public_key.hex(),
        scrypt_n=scrypt_n,
        scrypt_r=KEY_SCRYPT_R,
        scrypt_p=KEY_SCRYPT_P,
        salt=salt.hex(),
        nonce=nonce.hex(),
        sealed_seed="",
    )
    sealed = _seal(seed, _authenticated(file), nonce, _derive(file, salt, password))
    return msgspec.structs.replace(file, sealed_seed=sealed.hex())


def _unsealed_seed(path: Path, file: _SealedFile, password: bytes) -> bytes:
    costs = (file.scrypt_r, file.scrypt_p)
    if not 1 < file.scrypt_n <= KEY_SCRYPT_N or costs != (KEY_SCRYPT_R, KEY_SCRYPT_P):
        raise KeyFileError(f"{path} names costs of scrypt that no key file has")
    salt = _hex(path, file.salt, _SALT_BYTES)
    nonce = _hex(path, file.nonce, _NONCE_BYTES)
    sealed = _hex(path, file.sealed_seed, _SEED_BYTES + 16)
    try:
        return _unseal(sealed, _authenticated(file), nonce, _derive(file, salt, password))
    except CryptoError:
        raise WrongPasswordError(f"the password does not open {path}") from None
    except ValueError as error:
        raise KeyFileError(f"{path} is no key file: {error}") from None


def _authenticated(file: _SealedFile) -> bytes:
    """Give what the seal covers besides the seed: everything that can be read without it."""
    return msgspec.json.encode(msgspec.structs.replace(file, sealed_seed=""))


def _derive(file: _SealedFile, salt: bytes, password: bytes) -> bytes:
    n, r, p = file.scrypt_n, file.scrypt_r, file.scrypt_p
    # Needs 128 * r * (n + p + 2) bytes; OpenSSL's own ceiling of 32 MiB is too low for it.
    memory_bytes = 128 * r * (n + p + 2)
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=memory_bytes + 1024, dklen=32)


def _check_password(password: bytes, path: Path) -> bytes:
    if not 1 <= len(password) <= PASSWORD_BYTES_MAX:
        raise KeyFileError(f"the password for {path} must have 1 to {PASSWORD_BYTES_MAX} bytes")
    return password


def _hex(path: Path, text: str, bytes_count: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != bytes_count:
        raise KeyFileError(f"{path} is no key file: expected {bytes_count} bytes in hexadecimal")
    return value
