"""Issuers as DOME's registry shows them: the body of an attribute is an object.

The ledger keeps FIWARE's form, which verifiers read. There an allowed value is any JSON value; in
DOME's form it is a text with a description. Texts go through unchanged both ways; of other values
DOME sees the JSON text, and descriptions stand beside the values where there are any.
"""

import json
from http import HTTPStatus
from itertools import zip_longest
from typing import Final, Literal

import msgspec

from adapters.bodies import members_of
from adapters.dome.trust.documents import Document
from adapters.fiware.attributes import Claim, Credential, Draft, TimeRange, draft_of
from adapters.fiware.issuers import NO_TYPE, credentials_of, issuer_types
from adapters.http import HttpError
from adapters.lists import Lists
from ledger.core.event import Did

__all__ = ["Issuer", "drafts_of", "read_issuer"]

_BEGINNING: Final = "1970-01-01T00:00:00Z"
_END: Final = "9999-12-31T23:59:59Z"
_Members = dict[str, object]


class _AllowedValue(Document, frozen=True):
    value: str
    description: str = ""


class _Claim(Document, frozen=True, omit_defaults=True):
    name: str
    allowed_values: tuple[_AllowedValue, ...]
    path: str | None = None


class _Validity(Document, frozen=True):
    from_: str = msgspec.field(name="from")
    to: str


class _Body(Document, frozen=True):
    credentials_type: str
    valid_for: _Validity
    claims: tuple[_Claim, ...]


class _Attribute(Document, frozen=True):
    hash: str
    body: _Body
    issuer_type: Literal["RootTAO", "TAO", "TI", "Undefined"]


class Issuer(Document, frozen=True):
    """An issuer; the hashes in it are not looked at, they are those of the ledger's bodies."""

    did: Did
    attributes: tuple[_Attribute, ...] | None = ()
    has_attributes: bool | None = False


def drafts_of(issuer: Issuer) -> list[Draft]:
    """Give what the ledger is to keep of an issuer. Raises HttpError when a validity is none."""
    try:
        return [_draft(attribute) for attribute in issuer.attributes or ()]
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from None


def read_issuer(lists: Lists, did: str) -> dict[str, object]:
    """Give the document of an issuer that stands."""
    types = issuer_types(lists, did)
    attributes = [
        {
            "hash": entry.body_hash.hex(),
            "body": _shown_body(members_of(entry.body)),
            "issuerType": types.get(name, NO_TYPE),
        }
        for name, entry in credentials_of(lists, did).items()
    ]
    return {"did": did, "attributes": attributes, "hasAttributes": bool(attributes)}


def _draft(attribute: _Attribute) -> Draft:
    body = attribute.body
    credential = Credential(
        valid_for=TimeRange(body.valid_for.from_, body.valid_for.to),
        credentials_type=body.credentials_type,
        claims=tuple(map(_stored_claim, body.claims)),
    )
    return draft_of(credential)._replace(issuer_type=attribute.issuer_type)


def _stored_claim(claim: _Claim) -> Claim:
    values = tuple(msgspec.Raw(msgspec.json.encode(item.value)) for item in claim.allowed_values)
    descriptions = tuple(item.description for item in claim.allowed_values)
    return Claim(claim.name, claim.path, values, descriptions if any(descriptions) else None)


def _shown_body(stored: _Members) -> _Members:
    times, claims = stored.get("validFor"), stored.get("claims")
    if not isinstance(times, dict):
        times = {}
    validity = {"from": times.get("from") or _BEGINNING, "to": times.get("to") or _END}
    return {
        "credentialsType": _text(stored["credentialsType"]),
        "validFor": validity,
        "claims": [_shown_claim(claim) for claim in _items(claims) if isinstance(claim, dict)],
    }


def _shown_claim(stored: _Members) -> _Members:
    values = _items(stored.get("allowedValues"))
    descriptions = _items(stored.get("descriptions"))
    pairs = zip_longest(values, descriptions[: len(values)], fillvalue="")
    path = {"path": _text(stored["path"])} if stored.get("path") else {}
    return {
        "name": _text(stored.get("name", "")),
        **path,
        "allowedValues": [
            {"value": _text(value), "description": _text(description)}
            for value, description in pairs
        ],
    }


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
