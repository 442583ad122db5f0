"""What Desmoses tell each other of their entities, and what of it is worth fetching.

Owns the lines of the discovery, the two policies of replication and the rule of negotiation. Pure.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from adapters.tmf.entity import JsonObject
from adapters.tmf.query.values import instant_of
from ledger.core.errors import DecodeError
from ledger.core.limits import DESMOS_OFFERS_MAX

__all__ = ["Offer", "is_replicable", "is_wanted", "offer_of", "read_offers", "write_offers"]

_STATES: Final = frozenset({"Launched", "Retired", "Obsolete"})
_STATELESS: Final = frozenset({"product-order", "quote"})
_START_SKEW_MS: Final = 2_000
_VERSION: Final = re.compile(
    r"\s*[vV]?([0-9]{0,9})(?:\.([0-9]{0,9}))?(?:\.([0-9]{0,9}))?\s*", re.ASCII
)
_MICROSECONDS: Final = 1_000


class Offer(msgspec.Struct, frozen=True, rename="camel"):
    """One entity in a discovery: what is compared, and what its content must hash to.

    Attributes:
        valid_for: begin of its validity; the name is Desmos'.
        hash: H of the entity in NGSI-LD.
        hashlink: the newest link of its chain. Nobody checks it.
    """

    id: str
    type: str
    version: str | None = None
    last_update: str | None = None
    lifecycle_status: str | None = None
    valid_for: str | None = None
    end_date_time: str | None = None
    hash: str | None = None
    hashlink: str | None = None


def offer_of(type_: str, document: JsonObject) -> Offer:
    """Tell of a TM Forum document, without its hashes.

    A version that Desmos could not read is left out: one such line ends its whole synchronisation.
    """
    version = _text(document, "version")
    valid = document.get("validFor")
    times = valid if isinstance(valid, dict) else {}
    return Offer(
        id=str(document["id"]),
        type=type_,
        version=version if _version(version) else None,
        last_update=_text(document, "lastUpdate"),
        lifecycle_status=_text(document, "lifecycleStatus"),
        valid_for=_text(times, "startDateTime"),
        end_date_time=_text(times, "endDateTime"),
    )


def is_replicable(offer: Offer, now_ms: int) -> bool:
    """Say whether the policies let an entity be replicated now.

    GP_1: its state is one of the market's. GP_2: it is in its time.
    """
    if offer.type not in _STATELESS and offer.lifecycle_status not in _STATES:
        return False
    now = now_ms * _MICROSECONDS
    if offer.valid_for:
        start = instant_of(offer.valid_for)
        if start is None or start > now + _START_SKEW_MS * _MICROSECONDS:
            return False
    if offer.end_date_time:
        end = instant_of(offer.end_date_time)
        if end is None or end <= now:
            return False
    return True


def is_wanted(external: Offer, local: Offer | None) -> bool:
    """Say whether another's entity is newer than ours: greater version, or same and later update.

    What has no version is compared by its last update alone; what cannot be compared is not newer.
    """
    if local is None:
        return True
    theirs, ours = _version(external.version), _version(local.version)
    if theirs is not None and theirs != ours:
        return ours is not None and theirs > ours
    updated = instant_of(external.last_update or "")
    known = instant_of(local.last_update or "")
    return updated is not None and known is not None and updated > known


def read_offers(body: bytes) -> list[Offer]:
    """Read the lines of a discovery, or the JSON array that older Desmoses send.

    Raises:
        DecodeError: it is neither, or too many.
    """
    try:
        if body.lstrip()[:1] == b"[":
            offers = msgspec.json.decode(body, type=list[Offer])
        else:
            offers = msgspec.json.Decoder(Offer).decode_lines(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(f"no lines of a discovery: {error}") from None
    if len(offers) > DESMOS_OFFERS_MAX:
        raise DecodeError(f"more than {DESMOS_OFFERS_MAX} entities in one discovery")
    return offers


def write_offers(offers: Iterable[Offer]) -> bytes:
    """Write the lines of a discovery."""
    return msgspec.json.Encoder().encode_lines(list(offers))


def _text(document: JsonObject, name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None


def _version(text: str | None) -> tuple[int, ...] | None:
    """Read a version as Desmos does: three numbers, what is missing is zero."""
    found = _VERSION.fullmatch(text or "")
    if found is None or not (text or "").strip():
        return None
    return tuple(int(part or 0) for part in found.groups())
