"""Trusted Issuers Registry: what its functions change.

An accreditation is given by who accredits (a trusted accreditation organisation, the root being
the gateway's member itself) as metadata, and taken by its issuer, who adds the data.
"""

import json
from hashlib import sha256
from typing import Final

from adapters.ebsi.contracts import Call
from adapters.ebsi.issuers import ISSUERS, METADATA, PROXIES, attribute_id_of
from adapters.ebsi.planning import Caller, Plan, Planned, View, changes, require_did_argument
from adapters.ebsi.refusals import RpcRefused
from ledger.core.trust.bodies import body_fault
from ledger.core.trust.operations import PutEntry

__all__ = ["PLANS"]

_TYPES: Final = ("Undefined", "RootTAO", "TAO", "TI", "Revoked")
_ROOT: Final = "RootTAO"
_ACCREDITING: Final = frozenset({"RootTAO", "TAO"})


def set_attribute_metadata(view: View, caller: Caller, call: Call) -> Planned:
    """Accredit an issuer for an attribute, whose data it will add itself."""
    did = require_did_argument(call)
    attribute = _resolve(view, did, call.raw("attributeId"))
    return changes(ISSUERS, did, [_accredit(view, caller, call, attribute)])


def set_attribute_data(view: View, caller: Caller, call: Call) -> Planned:
    """Take an accreditation: add an attribute's data, or its next revision."""
    did = require_did_argument(call)
    caller.require_did(did)
    attribute = _resolve(view, did, call.raw("attributeId"))
    if view.lists.entry(ISSUERS, f"{did}/{attribute}{METADATA}") is None:
        raise RpcRefused("attribute has not been found")
    made = [*_issuer(view, did), _attribute(view, f"{did}/{attribute}", call)]
    return changes(ISSUERS, did, made)


def insert_issuer(view: View, caller: Caller, call: Call) -> Planned:
    """Accredit an issuer with the data at once."""
    did = require_did_argument(call)
    attribute = sha256(call.raw("attributeData")).hexdigest()
    if view.lists.entry(ISSUERS, f"{did}/{attribute}") is not None:
        raise RpcRefused("attribute already stored")
    return _with_data(view, caller, call, attribute)


def update_issuer(view: View, caller: Caller, call: Call) -> Planned:
    """Give an attribute its next revision, or add one when no earlier is named."""
    did = require_did_argument(call)
    previous = call.raw("prevAttributeHash")
    if not any(previous):
        return insert_issuer(view, caller, call)
    attribute = _resolve(view, did, previous)
    if view.lists.entry(ISSUERS, f"{did}/{attribute}") is None:
        raise RpcRefused("attribute has not been found")
    return _with_data(view, caller, call, attribute)


def add_issuer_proxy(view: View, caller: Caller, call: Call) -> Planned:
    """Add a proxy of an issuer."""
    did, body = _proxy(view, caller, call)
    id_ = f"{did}/{PROXIES}0x{sha256(body).hexdigest()}"
    if view.lists.entry(ISSUERS, id_) is not None:
        raise RpcRefused("proxy already stored")
    return changes(ISSUERS, did, [view.put(ISSUERS, id_, "proxy", body)])


def update_issuer_proxy(view: View, caller: Caller, call: Call) -> Planned:
    """Change a proxy of an issuer; its id stays."""
    did, body = _proxy(view, caller, call)
    id_ = f"{did}/{PROXIES}0x{call.raw('proxyId').hex()}"
    if view.lists.entry(ISSUERS, id_) is None:
        raise RpcRefused("proxy not found")
    return changes(ISSUERS, did, [view.put(ISSUERS, id_, "proxy", body)])


PLANS: Final[dict[str, Plan]] = {
    "setAttributeMetadata": set_attribute_metadata,
    "setAttributeData": set_attribute_data,
    "insertIssuer": insert_issuer,
    "updateIssuer": update_issuer,
    "addIssuerProxy": add_issuer_proxy,
    "updateIssuerProxy": update_issuer_proxy,
}


def _resolve(view: View, did: str, wanted: bytes) -> str:
    """Give the id of the attribute that an id or the hash of a revision names."""
    return attribute_id_of(view.lists.children(ISSUERS, did), wanted.hex()) or wanted.hex()


def _issuer(view: View, did: str) -> list[PutEntry]:
    known = view.lists.entry(ISSUERS, did) is not None
    return [] if known else [view.put(ISSUERS, did, "issuer", b"")]


def _with_data(view: View, caller: Caller, call: Call, attribute: str) -> Planned:
    did = call.text("did")
    made = [
        *_issuer(view, did),
        _accredit(view, caller, call, attribute),
        _attribute(view, f"{did}/{attribute}", call),
    ]
    return changes(ISSUERS, did, made)


def _attribute(view: View, id_: str, call: Call) -> PutEntry:
    body = call.raw("attributeData")
    is_jwt = body_fault(ISSUERS, "accreditation", body) is None
    return view.put(ISSUERS, id_, "accreditation" if is_jwt else "credential", body)


def _accredit(view: View, caller: Caller, call: Call, attribute: str) -> PutEntry:
    did, number = call.text("did"), call.number("issuerType")
    if not 0 < number < len(_TYPES):
        raise RpcRefused("invalid issuerType")
    id_ = f"{did}/{attribute}{METADATA}"
    before = view.lists.entry(ISSUERS, id_)
    if before is not None and not caller.is_member:
        stated = json.loads(before.body)
        if caller.did not in (stated.get("tao"), stated.get("rootTao")):
            raise RpcRefused(f"Policy error: sender is not TAO/RootTao of current did {did}")
    type_ = _TYPES[number]
    tao, root = _accreditor(view, caller, call, type_)
    body = {"issuerType": type_, "tao": tao, "rootTao": root}
    if type_ != _ROOT:
        body["attribute"] = call.raw("taoAttributeId").hex()
    return view.put(ISSUERS, id_, "metadata", json.dumps(body, separators=(",", ":")).encode())


def _accreditor(view: View, caller: Caller, call: Call, type_: str) -> tuple[str, str]:
    """Give who accredits and the root above, or refuse a caller who may not."""
    if type_ == _ROOT:
        if not caller.is_member:
            raise RpcRefused("Policy error: only the gateway's member accredits a RootTAO")
        return call.text("did"), call.text("did")
    tao = require_did_argument(call, "taoDid")
    caller.require_did(tao)
    attribute = _resolve(view, tao, call.raw("taoAttributeId"))
    metadata = view.lists.entry(ISSUERS, f"{tao}/{attribute}{METADATA}")
    accepted = view.lists.entry(ISSUERS, f"{tao}/{attribute}")
    stated: dict[str, str] = {} if metadata is None else json.loads(metadata.body)
    if accepted is None or stated.get("issuerType") not in _ACCREDITING:
        raise RpcRefused("Policy error: the attribute of the TAO accredits nobody")
    return tao, stated.get("rootTao", "")


def _proxy(view: View, caller: Caller, call: Call) -> tuple[str, bytes]:
    did = require_did_argument(call)
    caller.require_did(did)
    if view.lists.entry(ISSUERS, did) is None:
        raise RpcRefused("issuer does not exist")
    return did, call.text("proxyData").encode()
