"""What an issuer may issue: FIWARE's form of a credential, and the bytes that stand for it.

The ledger keeps these bytes as they are served; their digest is the attribute's hash in every
outside world. Members that FIWARE does not know are refused: left out, they could widen a right.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from ledger.core.event import Did

__all__ = ["Claim", "Credential", "Draft", "TimeRange", "TrustedIssuer", "draft_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_Instant = Annotated[datetime, Meta(tz=True)]


class _Document(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """A JSON object; what is null or missing is left out again."""


class TimeRange(_Document, frozen=True):
    """From when until when, as RFC 3339 texts."""

    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class Claim(_Document, frozen=True):
    """The values that an issuer may attest of one claim; each one is any JSON value.

    Attributes:
        descriptions: of the values, in their order: DOME's form has them, FIWARE's does not.
    """

    name: str
    path: str | None = None
    allowed_values: tuple[msgspec.Raw, ...] | None = None
    descriptions: tuple[str, ...] | None = None


class Credential(_Document, frozen=True, kw_only=True):
    """One type of credential that an issuer may issue, and how far."""

    valid_for: TimeRange | None = None
    credentials_type: Annotated[str, Meta(min_length=1)]
    claims: tuple[Claim, ...] | None = None


class TrustedIssuer(_Document, frozen=True):
    """An issuer and everything that it may issue."""

    did: Did
    credentials: tuple[Credential, ...] | None = None


class Draft(NamedTuple):
    """A credential as the ledger is to keep it.

    Attributes:
        validity: first and last millisecond, 0 for no limit.
        issuer_type: EBSI's word for the issuer's role, None to leave it as it is.
    """

    body: bytes
    validity: tuple[int, int]
    issuer_type: str | None = None


def draft_of(credential: Credential) -> Draft:
    """Give the bytes of a credential and when it holds.

    Raises:
        ValueError: its validity is none.
    """
    times = credential.valid_for or TimeRange()
    from_ms = 0 if times.from_ is None else max(0, _milliseconds(times.from_))
    to_ms = 0 if times.to is None else max(1, _milliseconds(times.to))
    if to_ms and to_ms <= from_ms:
        msg = "validFor ends before it begins"
        raise ValueError(msg)
    return Draft(msgspec.json.encode(credential), (from_ms, to_ms))


def _milliseconds(text: str) -> int:
    try:
        return (msgspec.convert(text, _Instant) - _EPOCH) // _MILLISECOND
    except msgspec.ValidationError:
        msg = "validFor needs dates with a time and a zone, such as 2026-01-01T00:00:00Z"
        raise ValueError(msg) from None
