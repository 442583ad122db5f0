"""API tokens of one gateway: their text, what is kept of each, and finding the one that was shown.

A token is ``cct_`` and 58 characters of lower-case base32: 256 random bits and 32 bits of checksum,
so that a mistyped or cut token is told from an unknown one, and secret scanners can find it. Only
its SHA-256 digest is kept: as the token is random, the digest tells nothing about it.
"""

import hmac
import re
from base64 import b32decode, b32encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ledger.core.errors import ConcordatError, DecodeError
from ledger.core.limits import HASH_BYTES
from ledger.core.topics import is_topic_pattern
from pubsub.core.limits import (
    TOKEN_FILE_BYTES_MAX,
    TOKEN_GONE_KEPT_MAX,
    TOKEN_TOPICS_COUNT_MAX,
    TOKENS_COUNT_MAX,
)
from pubsub.core.rights import Scope

__all__ = [
    "GRANTABLE",
    "SECRET_BYTES",
    "ApiToken",
    "TokenBook",
    "TokenChangeError",
    "TokenFile",
    "encode_token_file",
    "is_whole_token",
    "read_token_file",
    "token_digest",
    "token_text",
    "with_token",
    "without_token",
]

SECRET_BYTES: Final = 32
GRANTABLE: Final = tuple(scope for scope in Scope if scope is not Scope.PUBLIC)

_PREFIX: Final = "cct_"
_CHECKSUM_BYTES: Final = 4
_TEXT: Final = re.compile(r"cct_[a-z2-7]{58}\Z", re.ASCII)
_NAME: Final = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?\Z"

Name = Annotated[str, Meta(pattern=_NAME)]
Digest = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{2 * HASH_BYTES}}}\Z")]


class TokenChangeError(ConcordatError):
    """A token cannot be added or revoked; the message says why."""


class ApiToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept of one token; times are milliseconds since 1970.

    Attributes:
        name: what people call it; unique among the tokens that are not revoked.
        digest: SHA-256 of the token's text, in hexadecimal digits.
        scopes: what its holder may do.
        topics: patterns of the restricted topics that it opens; None for all of them.
        made_by: who made it, as the machine knows them; revoked_by likewise.
        expires_ms: it is void from then on; None for never.
        revoked_ms: it was revoked then; None while it was not.
    """

    name: Name
    digest: Digest
    scopes: tuple[Scope, ...]
    topics: tuple[str, ...] | None
    made_ms: int
    made_by: str
    expires_ms: int | None
    revoked_ms: int | None = None
    revoked_by: str | None = None

    def is_good(self, now_ms: int) -> bool:
        """Say whether it is neither revoked nor expired."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


class TokenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tokens of one gateway, in the order in which they were made."""

    format: Literal["concordat-api-tokens-1"] = "concordat-api-tokens-1"
    tokens: tuple[ApiToken, ...] = ()


class TokenBook:
    """The tokens that were read, by their digests."""

    def __init__(self, file: TokenFile) -> None:
        """Index the tokens of ``file``."""
        self._by_digest = {bytes.fromhex(token.digest): token for token in file.tokens}
        self._by_name = {token.name: token for token in file.tokens}  # the newest of a name

    def find(self, digest: bytes) -> ApiToken | None:
        """Give the token with this digest, whether it is good or not.

        The time that this takes tells nothing: who asks cannot choose a digest, and the one that
        was found is compared in constant time.
        """
        token = self._by_digest.get(digest)
        if token is None or not hmac.compare_digest(bytes.fromhex(token.digest), digest):
            return None
        return token

    def named(self, name: str) -> ApiToken | None:
        """Give the newest token of that name, whether it is good or not."""
        return self._by_name.get(name)


def token_text(secret: bytes) -> str:
    """Write the token of 32 random bytes."""
    assert len(secret) == SECRET_BYTES, "256 random bits"
    return _PREFIX + b32encode(secret + _checksum(secret)).decode("ascii").rstrip("=").lower()


def token_digest(text: str) -> bytes | None:
    """Give the digest by which a token is known; None for what has not the form of one."""
    return sha256(text.encode("ascii")).digest() if _TEXT.match(text) else None


def is_whole_token(text: str) -> bool:
    """Say whether the checksum of what has the form of a token is right."""
    data = b32decode(text.removeprefix(_PREFIX).upper() + "======")
    return token_text(data[:SECRET_BYTES]) == text  # also the spare bits of the last character


def read_token_file(data: bytes) -> TokenFile:
    """Read a file of tokens. Raises DecodeError."""
    if len(data) > TOKEN_FILE_BYTES_MAX:
        raise DecodeError(f"longer than {TOKEN_FILE_BYTES_MAX} bytes")
    try:
        file = msgspec.json.decode(data, type=TokenFile)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(f"no file of API tokens: {error}") from None
    for token in file.tokens:
        _require_sound(token)
    good = [token.name for token in file.tokens if token.revoked_ms is None]
    if len(set(good)) != len(good) or len({row.digest for row in file.tokens}) != len(file.tokens):
        raise DecodeError("a token stands twice")
    return file


def encode_token_file(file: TokenFile) -> bytes:
    """Write a file of tokens, one token a line."""
    rows = ",\n".join(msgspec.json.encode(token).decode() for token in file.tokens)
    return f'{{"format":"{file.format}","tokens":[\n{rows}\n]}}\n'.encode()


def with_token(file: TokenFile, token: ApiToken) -> TokenFile:
    """Add a token. Raises TokenChangeError."""
    try:
        _require_sound(token)
    except DecodeError as error:
        raise TokenChangeError(str(error)) from None
    if any(row.name == token.name and row.revoked_ms is None for row in file.tokens):
        raise TokenChangeError(f"there is a token named {token.name}: revoke it first")
    if any(row.digest == token.digest for row in file.tokens):
        raise TokenChangeError("there was such a token before: make another one")
    if sum(row.revoked_ms is None for row in file.tokens) >= TOKENS_COUNT_MAX:
        raise TokenChangeError(f"a gateway has at most {TOKENS_COUNT_MAX} tokens")
    return _trimmed((*file.tokens, token))


def without_token(file: TokenFile, name: str, now_ms: int, who: str) -> TokenFile:
    """Revoke the token named ``name``. Raises TokenChangeError."""
    found = [row for row in file.tokens if row.name == name and row.revoked_ms is None]
    if not found:
        raise TokenChangeError(f"there is no token named {name}")
    gone = msgspec.structs.replace(found[0], revoked_ms=now_ms, revoked_by=who)
    return _trimmed(tuple(gone if row is found[0] else row for row in file.tokens))


def _trimmed(tokens: Iterable[ApiToken]) -> TokenFile:
    """Forget the oldest of the revoked tokens, when there are many."""
    rows = tuple(tokens)
    gone = sorted(row.revoked_ms for row in rows if row.revoked_ms is not None)
    if len(gone) > TOKEN_GONE_KEPT_MAX:
        since_ms = gone[-TOKEN_GONE_KEPT_MAX]
        rows = tuple(row for row in rows if row.revoked_ms is None or row.revoked_ms >= since_ms)
    return TokenFile(tokens=rows)


def _require_sound(token: ApiToken) -> None:
    """Refuse what the types alone permit. Raises DecodeError."""
    if not re.match(_NAME, token.name):
        raise DecodeError(
            "a token's name is up to 64 lower-case letters, digits, dots, dashes and underscores"
        )
    if not token.scopes or Scope.PUBLIC in token.scopes:
        raise DecodeError(f"a token has one or more of the scopes {', '.join(GRANTABLE)}")
    topics = token.topics or ()
    if len(topics) > TOKEN_TOPICS_COUNT_MAX or not all(map(is_topic_pattern, topics)):
        raise DecodeError(f"a token has at most {TOKEN_TOPICS_COUNT_MAX} well-formed patterns")


def _checksum(secret: bytes) -> bytes:
    return sha256(_PREFIX.encode("ascii") + secret).digest()[:_CHECKSUM_BYTES]
