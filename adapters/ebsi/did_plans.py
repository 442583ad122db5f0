"""DID Registry: what its functions change.

A document is stored as it is served. EBSI's document keeps a period for each relationship; here a
relationship stands from the change on that names it until the one that takes it out. The addresses
of the secp256k1 keys under ``capabilityInvocation`` are entries of their own, which do keep their
period: by them a transaction is known to be the DID's, and with the key they are revoked.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import coincurve

from adapters.ebsi.contracts import Call
from adapters.ebsi.did_documents import DID_DOCUMENTS
from adapters.ebsi.ethereum import address_of
from adapters.ebsi.planning import Caller, Plan, Planned, View, changes, require_did_argument
from adapters.ebsi.refusals import RpcRefused
from ledger.core.limits import INT_MAX
from ledger.core.trust.operations import PutEntry, RevokeEntry

__all__ = ["ADDRESS", "PLANS"]

ADDRESS: Final = "/address/0x"
_INVOKES: Final = "capabilityInvocation"
_FIRST: Final = ("authentication", _INVOKES)
_RELATIONSHIPS: Final = (
    *_FIRST,
    "assertionMethod",
    "keyAgreement",
    "capabilityDelegation",
)
_OWN: Final = frozenset({"id", "controller", "verificationMethod", *_RELATIONSHIPS})
_Document = dict[str, Any]


def insert_did_document(view: View, caller: Caller, call: Call) -> Planned:
    """Add a DID with its first key, which must be the signer's."""
    did = require_did_argument(call)
    caller.require_did(did)
    if view.lists.entry(DID_DOCUMENTS, did) is not None:
        raise RpcRefused("did already exists")
    if not caller.is_member and view.belongs_to_another(did):
        raise RpcRefused(f"The DID {did} was not registered by the member of this gateway")
    if not call.number("isSecp256k1"):
        raise RpcRefused("first publicKey must be for secp256k1")
    address = address_of(call.raw("publicKey"))
    if address != caller.address:
        raise RpcRefused("the transaction must be signed with the key that it inserts")
    document = _base(call)
    method = _method(did, call)
    document |= {"id": did, "controller": [did], "verificationMethod": [method]}
    document |= {name: [method["id"]] for name in _FIRST}
    return _changed(view, did, {}, document, _period(call))


def update_base_document(view: View, caller: Caller, call: Call) -> Planned:
    """Change what the other functions do not manage."""
    did, before = _owned(view, caller, call)
    kept = {name: value for name, value in before.items() if name in _OWN}
    return _changed(view, did, before, _base(call) | kept)


def add_controller(view: View, caller: Caller, call: Call) -> Planned:
    """Name one controller more."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    controller = require_did_argument(call, "controller")
    if controller in _controllers(document):
        raise RpcRefused("controller exists")
    document["controller"] = [*_controllers(document), controller]
    return _changed(view, did, before, document)


def revoke_controller(view: View, caller: Caller, call: Call) -> Planned:
    """Name one controller less, never none."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    left = [name for name in _controllers(document) if name != call.text("controller")]
    if len(left) == len(_controllers(document)) or not left:
        raise RpcRefused("controller unknown, or the last")
    document["controller"] = left
    return _changed(view, did, before, document)


def add_verification_method(view: View, caller: Caller, call: Call) -> Planned:
    """Add a key; it may do nothing before a relationship names it."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    _add_method(document, _method(did, call))
    return _changed(view, did, before, document)


def add_verification_relationship(view: View, caller: Caller, call: Call) -> Planned:
    """Say what a key may do."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    name, id_ = call.text("name"), f"{did}#{call.text('vMethodId')}"
    if name not in _RELATIONSHIPS:
        raise RpcRefused("unknown verification relationship")
    if id_ not in _method_ids(document):
        raise RpcRefused("vMethodId doesn't exist")
    document[name] = [*[item for item in document.get(name, []) if item != id_], id_]
    return _changed(view, did, before, document, _period(call))


def revoke_verification_method(view: View, caller: Caller, call: Call) -> Planned:
    """Take a key out of the document, as of now."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    _require_past(view, call)
    id_ = _known_method(document, did, call.text("vMethodId"))
    _drop_relationships(document, id_)
    methods = document["verificationMethod"]
    document["verificationMethod"] = [item for item in methods if item.get("id") != id_]
    return _changed(view, did, before, document)


def expire_verification_method(view: View, caller: Caller, call: Call) -> Planned:
    """Let a key do nothing any more; it stays in the document."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    _require_past(view, call)
    _drop_relationships(document, _known_method(document, did, call.text("vMethodId")))
    return _changed(view, did, before, document)


def roll_verification_method(view: View, caller: Caller, call: Call) -> Planned:
    """Put a new key in the place of an old one, at once."""
    did, before = _owned(view, caller, call)
    document = dict(before)
    if call.number("duration"):
        raise RpcRefused("the old key ends at once here: duration must be 0")
    old = _known_method(document, did, call.text("oldVMethodId"))
    method = _method(did, call)
    _add_method(document, method)
    for name in _RELATIONSHIPS:
        if old in document.get(name, []):
            document[name] = [method["id"] if item == old else item for item in document[name]]
    return _changed(view, did, before, document, _period(call))


PLANS: Final[dict[str, Plan]] = {
    "insertDidDocument": insert_did_document,
    "updateBaseDocument": update_base_document,
    "addController": add_controller,
    "revokeController": revoke_controller,
    "addVerificationMethod": add_verification_method,
    "addVerificationRelationship": add_verification_relationship,
    "revokeVerificationMethod": revoke_verification_method,
    "expireVerificationMethod": expire_verification_method,
    "rollVerificationMethod": roll_verification_method,
}


def _owned(view: View, caller: Caller, call: Call) -> tuple[str, _Document]:
    """Give a document that the caller controls."""
    did = require_did_argument(call)
    entry = view.lists.entry(DID_DOCUMENTS, did)
    if entry is None:
        raise RpcRefused("did doesn't exist")
    document: _Document = json.loads(entry.body)
    if caller.did != did and caller.did not in _controllers(document):
        raise RpcRefused("not controller and not authorized for policy")
    return did, document


def _controllers(document: _Document) -> list[str]:
    stated = document.get("controller", [])
    return [stated] if isinstance(stated, str) else list(stated)


def _base(call: Call) -> _Document:
    try:
        base = json.loads(call.text("baseDocument"))
    except (ValueError, RecursionError):
        base = None
    if not isinstance(base, dict) or "@context" not in base or _OWN & set(base):
        raise RpcRefused("invalid baseDocument")
    return base


def _method(did: str, call: Call) -> _Document:
    """Give the verification method of a key: a curve point, or a JWK as JSON."""
    key = call.raw("publicKey")
    try:
        jwk = _secp256k1(key) if call.number("isSecp256k1") else json.loads(key)
    except (ValueError, RecursionError):
        raise RpcRefused("invalid publicKey") from None
    if not isinstance(jwk, dict) or "d" in jwk:
        raise RpcRefused("invalid publicKey")
    name = call.text("vMethodId")
    if not name or not name.isprintable() or not name.isascii():
        raise RpcRefused("invalid vMethodId")
    type_ = "JsonWebKey2020"
    return {"id": f"{did}#{name}", "type": type_, "controller": did, "publicKeyJwk": jwk}


def _secp256k1(key: bytes) -> dict[str, str]:
    point = coincurve.PublicKey(key).format(compressed=False)
    x, y = (urlsafe_b64encode(part).decode().rstrip("=") for part in (point[1:33], point[33:]))
    return {"kty": "EC", "crv": "secp256k1", "x": x, "y": y}


def _method_ids(document: _Document) -> list[str]:
    return [str(item.get("id")) for item in document.get("verificationMethod", [])]


def _known_method(document: _Document, did: str, name: str) -> str:
    id_ = f"{did}#{name}"
    if id_ not in _method_ids(document):
        raise RpcRefused("vMethodId doesn't exist")
    return id_


def _add_method(document: _Document, method: _Document) -> None:
    if method["id"] in _method_ids(document):
        raise RpcRefused("vMethodId already exists")
    document["verificationMethod"] = [*document.get("verificationMethod", []), method]


def _drop_relationships(document: _Document, id_: str) -> None:
    for name in _RELATIONSHIPS:
        if name in document:
            document[name] = [item for item in document[name] if item != id_]


def _invokers(document: _Document) -> set[str]:
    """Give the addresses whose transactions are the DID's: of its keys that may invoke."""
    methods = {item.get("id"): item for item in document.get("verificationMethod", [])}
    named = (methods.get(id_) for id_ in document.get(_INVOKES, []) if isinstance(id_, str))
    found = (_jwk_address(item.get("publicKeyJwk")) for item in named if item is not None)
    return {address.hex() for address in found if address is not None}


def _jwk_address(jwk: object) -> bytes | None:
    if not isinstance(jwk, dict) or jwk.get("crv") != "secp256k1":
        return None
    try:
        parts = [urlsafe_b64decode(f"{jwk[name]}===") for name in ("x", "y")]
    except (KeyError, ValueError):
        return None
    return address_of(b"\4" + b"".join(parts))


def _changed(
    view: View,
    did: str,
    before: _Document,
    document: _Document,
    validity: tuple[int, int] = (0, 0),
) -> Planned:
    """Give the change of a document, and of the addresses that act for its DID."""
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    made: list[PutEntry | RevokeEntry] = [view.put(DID_DOCUMENTS, did, "document", body)]
    old, new = _invokers(before), _invokers(document)
    for address in sorted(new - old):
        id_ = f"{did}{ADDRESS}{address}"
        made.append(view.put(DID_DOCUMENTS, id_, "address", b"", validity))
    ended = [f"{did}{ADDRESS}{address}" for address in sorted(old - new)]
    standing = [id_ for id_ in ended if view.lists.entry(DID_DOCUMENTS, id_) is not None]
    made += [view.revoke(DID_DOCUMENTS, id_) for id_ in standing]
    return changes(DID_DOCUMENTS, did, made)


def _period(call: Call) -> tuple[int, int]:
    """Give the period of a call, milliseconds; an end of 0 is none."""
    begin, end = call.number("notBefore") * 1000, call.number("notAfter") * 1000
    if (end and end <= begin) or max(begin, end) > INT_MAX:
        raise RpcRefused("invalid dates")
    return begin, end


def _require_past(view: View, call: Call) -> None:
    if call.number("notAfter") * 1000 > view.time_ms:
        raise RpcRefused("a key ends at once here: notAfter must not be in the future")
