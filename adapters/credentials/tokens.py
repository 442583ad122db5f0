"""The keys with which this gateway signs access tokens: made, kept, rotated, published.

Owns the file in the member's home: readable by its owner only, replaced whole. A key is published
for a day before it signs, and until the last token that it signed has expired, so that whoever
remembers our key set for a while never meets an unknown key.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from adapters.credentials.jose import (
    VerifyingKey,
    decode_base64url,
    encode_base64url,
    jwk_of,
    key_of_public,
)
from adapters.credentials.members import Json
from ledger.core.errors import ConcordatError
from ledger.core.limits import (
    KEY_FILE_BYTES_MAX,
    TOKEN_KEY_AHEAD_MS,
    TOKEN_KEY_LIFE_MS,
    TOKEN_LIFE_MS,
)
from ledger.io.keystore import KeyFileError
from pubsub.io.private_file import read_private_file, replace_private_file

__all__ = ["TokenKeys"]

_BYTES = 32


class _StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    made_ms: int
    private: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["concordat-token-keys-1"]
    keys: list[_StoredKey]


class _Key:
    """One signing key, opened."""

    def __init__(self, stored: _StoredKey) -> None:
        number = int.from_bytes(decode_base64url(stored.private, "token key"))
        self.stored = stored
        self.private = ec.derive_private_key(number, ec.SECP256R1())
        self.verifying = key_of_public(self.private.public_key())

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as it is published."""
        names = {"kid": self.verifying.thumbprint, "alg": "ES256", "use": "sig"}
        return jwk_of(self.verifying.public) | names


class TokenKeys:
    """The token keys of one gateway."""

    def __init__(self, path: Path, clock_ms: Callable[[], int]) -> None:
        """Open the keys, or make the first one.

        Raises:
            KeyFileError: the file is broken, or others may read it.
        """
        self._path = path
        self._clock_ms = clock_ms
        self._keys = _read(path)
        self.rotate()

    def rotate(self) -> None:
        """Make the next key when it is time, and forget those that no token needs any more."""
        now_ms = self._clock_ms()
        retired = now_ms - TOKEN_KEY_AHEAD_MS - TOKEN_LIFE_MS
        successors = self._keys[1:]
        keys = [
            key
            for key, successor in zip(self._keys, successors, strict=False)
            if successor.stored.made_ms > retired
        ] + self._keys[-1:]
        if not keys or now_ms >= keys[-1].stored.made_ms + TOKEN_KEY_LIFE_MS:
            keys.append(_Key(_new_key(now_ms)))
        if keys != self._keys:
            file = _File("concordat-token-keys-1", [key.stored for key in keys])
            replace_private_file(self._path, msgspec.json.encode(file))
            self._keys = keys

    @property
    def jwks(self) -> dict[str, object]:
        """The key set for everybody."""
        return {"keys": [key.jwk for key in self._keys]}

    def verifying_key(self, kid: object) -> VerifyingKey | None:
        """Give one of our public keys."""
        found = (key.verifying for key in self._keys if key.verifying.thumbprint == kid)
        return next(found, None)

    def sign(self, claims: Json, typ: str = "JWT") -> str:
        """Sign a token with the oldest key that is no longer replaced."""
        ready_ms = self._clock_ms() - TOKEN_KEY_AHEAD_MS
        ready = [key for key in self._keys if key.stored.made_ms <= ready_ms]
        key = ready[-1] if ready else self._keys[0]
        header = {"alg": "ES256", "typ": typ, "kid": key.verifying.thumbprint}
        signed = f"{_part(header)}.{_part(claims)}"
        r, s = decode_dss_signature(key.private.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{encode_base64url(r.to_bytes(_BYTES) + s.to_bytes(_BYTES))}"


def _part(value: Mapping[str, object]) -> str:
    return encode_base64url(msgspec.json.encode(value))


def _new_key(now_ms: int) -> _StoredKey:
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return _StoredKey(now_ms, encode_base64url(number.to_bytes(_BYTES)))


def _read(path: Path) -> list[_Key]:
    data = read_private_file(path, KEY_FILE_BYTES_MAX)
    if data is None:
        return []
    try:
        file_ = msgspec.json.decode(data, type=_File)
        return [_Key(stored) for stored in sorted(file_.keys, key=lambda key: key.made_ms)]
    except (msgspec.MsgspecError, ConcordatError, ValueError):
        raise KeyFileError(f"{path} holds no token keys; remove it to make new ones") from None
