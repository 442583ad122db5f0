"""Keys out of DIDs and DID documents: did:key, verification methods, where a did:web lives.

Pure: whoever calls has fetched the document. A key serves only the purpose that its document
lists it for, and only a token whose `kid` names it.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.jose import VerifyingKey, key_of_jwk, key_of_public
from adapters.credentials.members import Json, Reader, malformed, read_json
from adapters.ebsi.identifiers import base58_decode
from ledger.core.event import DID_REGEX
from ledger.core.limits import DID_CHARS_MAX, JWKS_KEYS_MAX

__all__ = [
    "ASSERTION",
    "AUTHENTICATION",
    "NamedKey",
    "choose_key",
    "document_keys",
    "is_did",
    "key_of_did_key",
    "key_of_multibase",
    "web_location",
]

ASSERTION: Final = "assertionMethod"
AUTHENTICATION: Final = "authentication"
_DID: Final = re.compile(DID_REGEX)
_WEB_HOST: Final = re.compile(r"(?=.{4,253}\Z)([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{1,62}\Z")
_WEB_PART: Final = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_ED25519, _SECP256K1, _P256, _JWK = b"\xed\x01", b"\xe7\x01", b"\x80\x24", b"\xd1\xd6\x03"


class NamedKey(NamedTuple):
    """A key and the names under which a token may ask for it: fragments of a `kid`."""

    names: frozenset[str]
    key: VerifyingKey


def is_did(text: str) -> bool:
    """Say whether a text is a DID as lists and tokens may hold it."""
    return len(text) <= DID_CHARS_MAX and _DID.match(text) is not None


def choose_key(keys: Sequence[NamedKey], did: str, kid: object) -> VerifyingKey:
    """Give the key of a DID that a token's `kid` names; without a `kid` there must be but one.

    Raises:
        AccessRefused: UNKNOWN_KEY.
    """
    if kid is None:
        if len({named.key.thumbprint for named in keys}) == 1:
            return keys[0].key
        raise AccessRefused(Refusal.UNKNOWN_KEY, f"{did} has not exactly one key: name it")
    if not isinstance(kid, str):
        raise malformed("kid is no text")
    stated, hash_sign, fragment = kid.rpartition("#")
    name = fragment if hash_sign else kid
    if stated in ("", did) or (not hash_sign and kid == did):
        for named in keys:
            if name in named.names or (kid == did and len(keys) == 1):
                return named.key
    raise AccessRefused(Refusal.UNKNOWN_KEY, f"kid names no key of {did}")


def key_of_did_key(did: str) -> NamedKey:
    """Give the key that a did:key is. Raises AccessRefused(MALFORMED or ALGORITHM)."""
    multibase = did.removeprefix("did:key:")
    key = key_of_multibase(multibase)
    return NamedKey(frozenset({multibase, key.thumbprint}), key)


def key_of_multibase(text: str) -> VerifyingKey:
    """Give the key of a multibase multicodec text, as in did:key and publicKeyMultibase."""
    raw = base58_decode(text[1:]) if text.startswith("z") else None
    if not raw:
        raise malformed("a key is not multibase base58btc")
    try:
        if raw.startswith(_ED25519):
            return key_of_public(ed25519.Ed25519PublicKey.from_public_bytes(raw[2:]))
        for prefix, curve in ((_P256, ec.SECP256R1()), (_SECP256K1, ec.SECP256K1())):
            if raw.startswith(prefix):
                point = ec.EllipticCurvePublicKey.from_encoded_point(curve, raw[2:])
                return key_of_public(point)
    except ValueError:
        raise malformed("a multibase text holds no key") from None
    if raw.startswith(_JWK):
        return key_of_jwk(read_json(raw[len(_JWK) :], "did:key"))
    raise AccessRefused(Refusal.ALGORITHM, "a key of a kind that is not used here")


def document_keys(document: Json, did: str, purpose: str) -> list[NamedKey]:
    """Give the keys that a DID document lists for a purpose; those of other kinds are left out.

    Raises:
        AccessRefused: MALFORMED when it is no document of this DID.
    """
    reader = Reader(document, "DID document")
    if reader.need_text("id") != did:
        raise malformed(f"the document is not that of {did}")
    methods = reader.inners("verificationMethod")
    names = set[str]()
    listed = document.get(purpose) or []
    for item in listed if isinstance(listed, list) else [listed]:
        if isinstance(item, str):
            names.add(_fragment(item, did))
        else:
            methods.append(Reader(item, purpose))
            names.add(_fragment(methods[-1].need_text("id"), did))
    if len(methods) > JWKS_KEYS_MAX:
        raise malformed(f"a document has at most {JWKS_KEYS_MAX} keys")
    return [
        NamedKey(frozenset({name, key.thumbprint}), key)
        for method in methods
        if (name := _fragment(method.need_text("id"), did)) in names and name
        if (key := _method_key(method)) is not None
    ]


def web_location(did: str) -> str:
    """Give the URL of a did:web's document. Raises AccessRefused(MALFORMED)."""
    host, *path = did.removeprefix("did:web:").split(":")
    name, _, port = unquote(host).partition(":")
    is_host = _WEB_HOST.match(name.lower()) and not _is_address(name)
    if not is_host or port or not all(_WEB_PART.match(part) for part in path):
        raise malformed("the did:web has no plain host name and path")
    if any(not part.strip(".") for part in path):
        raise malformed("the path of the did:web climbs")
    return f"https://{name.lower()}/{'/'.join(path or ['.well-known'])}/did.json"


def _method_key(method: Reader) -> VerifyingKey | None:
    try:
        if (jwk := method.inner("publicKeyJwk")) is not None:
            return key_of_jwk(jwk.members)
        if (text := method.text("publicKeyMultibase")) is not None:
            return key_of_multibase(text)
    except AccessRefused:
        pass  # a key that we cannot use hides no other
    return None


def _fragment(id_: str, did: str) -> str:
    stated, _, fragment = id_.rpartition("#")
    return fragment if stated in ("", did) else ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
