"""What a verifiable presentation says, and what is expected of it. Pure reading and comparing."""

from typing import Final, NamedTuple

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.did_keys import is_did
from adapters.credentials.members import Reader, malformed
from ledger.core.limits import (
    PRESENTATION_CREDENTIALS_MAX,
    PRESENTATION_LIFE_MS_MAX,
    TOKEN_SKEW_MS,
)
from pubsub.core.compact_jws import CompactJws

__all__ = ["Presentation", "need_audience", "need_time", "read_presentation"]

_ENVELOPE: Final = "data:application/vc+jwt,"


class Presentation(NamedTuple):
    """A presentation as its token says it.

    Attributes:
        holder: DID that signs it.
        credentials: compact JWS each.
        nonce: empty when there is none.
    """

    holder: str
    credentials: tuple[str, ...]
    nonce: str


def read_presentation(jws: CompactJws) -> Presentation:
    """Read a presentation's token.

    Raises:
        AccessRefused: MALFORMED, also when it names two holders.
    """
    claims = Reader(jws.payload, "presentation")
    body = claims.inner("vp") or claims
    if "VerifiablePresentation" not in body.texts("type"):
        raise malformed("the token is no presentation")
    stated = body.members.get("holder")
    named = Reader(stated, "holder").text("id") if isinstance(stated, dict) else body.text("holder")
    kid = Reader(jws.header, "header").text("kid") or ""
    signer = kid.partition("#")[0] if kid.startswith("did:") else None
    holders = {name for name in (named, claims.text("iss"), signer) if name and is_did(name)}
    if len(holders) != 1:
        raise malformed("a presentation names exactly one holder")
    tokens = tuple(map(_credential, _rows(body.members.get("verifiableCredential"))))
    if len(tokens) > PRESENTATION_CREDENTIALS_MAX:
        raise malformed(f"at most {PRESENTATION_CREDENTIALS_MAX} credentials")
    return Presentation(holders.pop(), tokens, claims.text("nonce") or "")


def need_audience(jws: CompactJws, audiences: frozenset[str], what: str) -> None:
    """Refuse a token that is meant for somebody else, or for nobody. Raises AUDIENCE."""
    stated = Reader(jws.payload, what).texts("aud")
    if audiences.isdisjoint(stated):
        raise AccessRefused(Refusal.AUDIENCE, f"the {what} is not meant for us")


def need_time(jws: CompactJws, now_ms: int, what: str) -> None:
    """Refuse a token that has no short life, or is out of it.

    Its life ends with `exp`, and at the latest some minutes after `iat`: so long replays are
    remembered. Milliseconds are understood too, as the machines of DOME write them.

    Raises:
        AccessRefused: MALFORMED, EXPIRED or NOT_YET_VALID.
    """
    claims = Reader(jws.payload, what)
    begun, ended, earliest = (
        claims.seconds(name, or_milliseconds=True) for name in ("iat", "exp", "nbf")
    )
    if begun is None and ended is None:
        raise malformed(f"the {what} has neither iat nor exp")
    if max(begun or 0, earliest or 0) > now_ms + TOKEN_SKEW_MS:
        raise AccessRefused(Refusal.NOT_YET_VALID, f"the {what} comes from the future")
    if begun is None:
        if (ended or 0) > now_ms + PRESENTATION_LIFE_MS_MAX:
            raise malformed(f"the {what} lives for too long to be without iat")
        begun = now_ms
    end = begun + PRESENTATION_LIFE_MS_MAX
    if now_ms >= (end if ended is None else min(end, ended)):
        raise AccessRefused(Refusal.EXPIRED, f"the {what} is too old")


def _rows(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _credential(row: object) -> str:
    if isinstance(row, dict):  # an EnvelopedVerifiableCredential of the data model 2.0
        row = Reader(row, "verifiableCredential").need_text("id")
        if not row.startswith(_ENVELOPE):
            raise malformed("an enveloped credential is no JWT")
        return row.removeprefix(_ENVELOPE)
    if not isinstance(row, str):
        raise malformed("a credential in the presentation is no JWT")
    return row
