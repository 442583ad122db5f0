"""A usage record: what the log reads of a TMF635 ``usage`` document.

Owns which documents the log takes and what they count: who used which product, when, and how much
of what. Everything else in a document is kept and proven, never looked at.

- The moment is ``usageDate``.
- The parties are those of ``relatedParty`` with the role Seller and Buyer; a party is who its
  ``name`` says, as everywhere in the access node (``policy/parties.py``).
- The product is the one that all ``ratedProductUsage`` name; none is allowed, two are not.
- A characteristic counts when its value is a number, a text with a numeric ``valueType``, or a
  quantity (``{"amount": 5, "units": "GB"}``). Its name is the metric.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from adapters.tmf.policy.parties import BUYER, SELLER
from adapters.tmf.query.values import instant_of
from adapters.tmf.usage.amounts import Amount, parse_amount
from adapters.tmf.usage.canonical import canonical_record
from adapters.tmf.usage.limits import (
    USAGE_FUTURE_MS_MAX,
    USAGE_ID_CHARS_MAX,
    USAGE_MEASURES_MAX,
    USAGE_NAME_CHARS_MAX,
)
from ledger.core.errors import ConcordatError, DecodeError

__all__ = ["Measure", "RecordCode", "RecordRefused", "UsageRecord", "read_body", "read_record"]

_NUMBER_STARTS: Final = frozenset(bytes([byte]) for byte in b"-0123456789")
_NUMERIC_TYPES: Final = frozenset({"number", "numeric", "decimal", "integer", "float", "double"})


class RecordCode(StrEnum):
    """Why a record was refused. The values are stable: clients branch on them."""

    MALFORMED = "malformed"
    MISSING_ATTRIBUTE = "missing-attribute"
    BAD_ATTRIBUTE = "bad-attribute"
    DATE_IN_FUTURE = "date-in-future"
    BAD_AMOUNT = "bad-amount"
    SEVERAL_PRODUCTS = "several-products"
    SEVERAL_PARTIES = "several-parties"
    OTHER_SELLER = "other-seller"
    OTHER_BUYER = "other-buyer"


class RecordRefused(ConcordatError):  # noqa: N818 - the protocol's word for it
    """A record is not taken and changed nothing.

    Attributes:
        code: stable machine-readable reason.
        detail: one sentence that names the attribute.
    """

    def __init__(self, code: RecordCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Measure(NamedTuple):
    """One counted value; ``unit`` is empty where the record states none."""

    metric: str
    unit: str
    amount: Amount


class UsageRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as the log counts it.

    Attributes:
        body: the whole document, canonical.
        usage_ms: the moment of use, ms since 1970 UTC.
        seller, buyer: their names, DIDs in DOME; empty when the document names none.
        product: its id; empty when the document names none.
    """

    id: str
    body: bytes
    usage_ms: int
    seller: str
    buyer: str
    product: str
    measures: tuple[Measure, ...]


class _Party(msgspec.Struct, gc=False):
    name: str | None = None
    role: str | None = None


class _Product(msgspec.Struct, gc=False):
    id: str | None = None


class _Rated(msgspec.Struct, gc=False, rename="camel"):
    product_ref: _Product | None = None


class _Characteristic(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")
    value_type: str | None = None


class _View(msgspec.Struct, gc=False, rename="camel"):
    id: str | None = None
    usage_date: str | None = None
    usage_characteristic: list[_Characteristic] | None = None
    rated_product_usage: list[_Rated] | None = None
    related_party: list[_Party] | None = None


_read_view = msgspec.json.Decoder(_View).decode
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_text = msgspec.json.Decoder(str).decode


def read_record(text: bytes, seller: str, now_ms: int) -> UsageRecord:
    """Read one document that is to enter the log of ``seller``.

    Raises:
        RecordRefused: the log does not take it.
    """
    try:
        body = canonical_record(text)
    except DecodeError as error:
        raise RecordRefused(RecordCode.MALFORMED, str(error)) from None
    record = read_body(body)
    if record.seller not in ("", seller):
        raise RecordRefused(RecordCode.OTHER_SELLER, f"the seller is {record.seller}")
    if record.usage_ms > now_ms + USAGE_FUTURE_MS_MAX:
        raise RecordRefused(RecordCode.DATE_IN_FUTURE, "usageDate is in the future")
    return record


def read_body(body: bytes) -> UsageRecord:
    """Read canonical bytes: what each verifier counts of them.

    Raises:
        RecordRefused: the log takes no such document, at any time.
    """
    try:
        view = _read_view(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RecordRefused(RecordCode.BAD_ATTRIBUTE, str(error)) from None
    return UsageRecord(
        id=_required(view.id, "id"),
        body=body,
        usage_ms=_moment(_required(view.usage_date, "usageDate")),
        seller=_party(view, SELLER),
        buyer=_party(view, BUYER),
        product=_product(view),
        measures=_measures(view.usage_characteristic or []),
    )


def _required(value: str | None, name: str) -> str:
    if not value:
        raise RecordRefused(RecordCode.MISSING_ATTRIBUTE, f"{name} is missing")
    return _bounded(value, name, USAGE_ID_CHARS_MAX)


def _bounded(value: str, name: str, chars_max: int) -> str:
    if len(value) > chars_max:
        raise RecordRefused(
            RecordCode.BAD_ATTRIBUTE, f"{name} has more than {chars_max} characters"
        )
    return value


def _moment(text: str) -> int:
    instant_us = instant_of(text)
    if instant_us is None or instant_us < 0:
        raise RecordRefused(RecordCode.BAD_ATTRIBUTE, "usageDate is no date-time since 1970")
    return instant_us // 1000


def _party(view: _View, role: str) -> str:
    wanted = role.casefold()
    found = {
        party.name
        for party in view.related_party or []
        if party.name and party.role and party.role.casefold() == wanted
    }
    if len(found) > 1:
        raise RecordRefused(RecordCode.SEVERAL_PARTIES, f"relatedParty names more than one {role}")
    return _bounded(min(found, default=""), f"relatedParty ({role})", USAGE_ID_CHARS_MAX)


def _product(view: _View) -> str:
    found = {
        rated.product_ref.id
        for rated in view.rated_product_usage or []
        if rated.product_ref is not None and rated.product_ref.id
    }
    if len(found) > 1:
        raise RecordRefused(
            RecordCode.SEVERAL_PRODUCTS, "ratedProductUsage names more than one product"
        )
    return _bounded(min(found, default=""), "productRef.id", USAGE_ID_CHARS_MAX)


def _measures(characteristics: list[_Characteristic]) -> tuple[Measure, ...]:
    found = [
        measure
        for characteristic in characteristics
        if (measure := _measure(characteristic)) is not None
    ]
    if len(found) > USAGE_MEASURES_MAX:
        raise RecordRefused(
            RecordCode.BAD_ATTRIBUTE, f"more than {USAGE_MEASURES_MAX} measured characteristics"
        )
    return tuple(found)


def _measure(characteristic: _Characteristic) -> Measure | None:
    """Give what a characteristic counts; None for one that only describes."""
    found = _counted(bytes(characteristic.value), characteristic.value_type or "")
    if found is None:
        return None
    text, unit = found
    name = _bounded(characteristic.name, "usageCharacteristic.name", USAGE_NAME_CHARS_MAX)
    try:
        return Measure(name, _bounded(unit, "units", USAGE_NAME_CHARS_MAX), parse_amount(text))
    except DecodeError as error:
        raise RecordRefused(RecordCode.BAD_AMOUNT, f"usageCharacteristic {name}: {error}") from None


def _counted(value: bytes, value_type: str) -> tuple[str, str] | None:
    """Find the number and the unit in a characteristic's value."""
    unit = ""
    if value[:1] == b"{":
        members = _read_members(value)
        value = bytes(members.get("amount", b"null"))
        units = bytes(members.get("units", b'""'))
        unit = _read_text(units) if units[:1] == b'"' else ""
    elif value[:1] == b'"' and value_type.casefold() in _NUMERIC_TYPES:
        return _read_text(value), unit
    return (value.decode(), unit) if value[:1] in _NUMBER_STARTS else None
