"""What the bodies of list entries may be, kind by kind.

Decided at application on every node alike, so only by rules that never change with a library: the
JSON text's size and depth are bounded here, duplicate names are refused, and typed kinds name every
member that they may have. A new kind is a new version of the protocol.
"""

import json
import re
from collections.abc import Callable
from typing import Final

from ledger.core.json_nesting import json_nesting
from ledger.core.limits import LIST_BODY_DEPTH_MAX
from ledger.core.trust.personal_data import personal_data_in

__all__ = ["LISTS", "body_fault"]

_COMPACT_JWS: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a member name stands twice"
        raise ValueError(msg)
    return members


def _no_constant(text: str) -> object:
    msg = f"{text} is no JSON"
    raise ValueError(msg)


def _parsed(body: bytes, *, names: bool = True) -> dict[str, object] | str:
    """Give a JSON object without personal data, or say what is wrong with it."""
    if json_nesting(body) > LIST_BODY_DEPTH_MAX:
        return f"nested deeper than {LIST_BODY_DEPTH_MAX}"
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_once, parse_constant=_no_constant, parse_int=str
        )
        # Infinite numbers and lone surrogates: whoever serves the list could not write them again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(value, dict):
        return "not a JSON object"
    found = personal_data_in(value, names=names)
    return value if found is None else f"could hold personal data: {found}"


def _json_object(body: bytes) -> str | None:
    value = _parsed(body)
    return value if isinstance(value, str) else None


def _json_schema(body: bytes) -> str | None:
    value = _parsed(body, names=False)  # a schema names what others hold
    return value if isinstance(value, str) else None


def _members(*, required: tuple[str, ...], optional: tuple[str, ...]) -> "_Rule":
    """Make the rule of a JSON object with these members and no others."""
    allowed = frozenset(required + optional)

    def fault(body: bytes) -> str | None:
        value = _parsed(body)
        if isinstance(value, str):
            return value
        missing = [name for name in required if name not in value]
        if missing:
            return f"the member {missing[0]!r} is missing"
        unknown = [name for name in value if name not in allowed]
        return f"the member {unknown[0]!r} is unknown" if unknown else None

    return fault


def _compact_jws(body: bytes) -> str | None:
    return None if _COMPACT_JWS.match(body) else "not a compact JWS"


def _empty(body: bytes) -> str | None:
    return "must be empty" if body else None


_Rule = Callable[[bytes], str | None]

LISTS: Final[dict[str, dict[str, _Rule]]] = {
    "participants": {
        "participant": _members(
            required=("organizationIdentifier",),
            optional=("name", "country", "website", "commonName", "organization"),
        ),
    },
    "issuers": {
        "issuer": _empty,
        "credential": _members(required=("credentialsType",), optional=("validFor", "claims")),
        "accreditation": _compact_jws,
        "metadata": _members(required=("issuerType",), optional=("tao", "rootTao", "attribute")),
        "proxy": _members(required=("prefix",), optional=("headers", "testSuffix")),
    },
    "schemas": {"schema": _json_schema, "metadata": _json_object},
    "services": {
        "service": _members(
            required=("clientId",),
            optional=(
                "url",
                "redirectUris",
                "scopes",
                "clientAuthenticationMethods",
                "authorizationGrantTypes",
                "postLogoutRedirectUris",
                "requireAuthorizationConsent",
                "requireProofKey",
                "jwkSetUrl",
                "tokenEndpointAuthenticationSigningAlgorithm",
            ),
        ),
    },
    "access-nodes": {
        "access-node": _members(
            required=("name", "dlt_address"), optional=("url", "publicKey", "organization")
        ),
    },
    "revoked-credentials": {"revocation": _empty},
    "did-documents": {"document": _json_object, "address": _empty},
    "timestamps": {"timestamp": _json_object, "record": _json_object},
}
"""list -> kind -> rule: gives what is wrong with a body, or None."""


def body_fault(list_name: str, kind: str, body: bytes) -> str | None:
    """Say why a list does not take a body of this kind, or give None."""
    rule = LISTS.get(list_name, {}).get(kind)
    return f"the list has no kind {kind!r}" if rule is None else rule(body)
