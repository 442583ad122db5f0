"""The profile ``dome``: what DOME demands of every shared entity beyond the TM Forum's definitions.

Owns the form (version, lastUpdate, parties, ids, relative references) and what "immutable once
launched" means here: a launched catalogue element changes its life cycle and nothing else, a new
version is a new entity. One thing stays open: the certificate of compliance of a launched product
specification can be added and renewed, because certificates end before products do.
"""

import re
from collections.abc import Callable
from typing import Final

from adapters.tmf.caller import Caller
from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import OWN, JsonObject
from adapters.tmf.policy.compliance import is_certificate
from adapters.tmf.policy.kinds import Kind, kind_of
from adapters.tmf.policy.neutral import NeutralPolicy
from adapters.tmf.policy.parties import (
    BUYER,
    BUYER_OPERATOR,
    ROLES,
    SELLER,
    SELLER_OPERATOR,
    holders_of,
    operators_of,
    parties_of,
)
from adapters.tmf.policy.refusals import conflicting, is_launched, wrong
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.ports import Reading

__all__ = ["DomeForm"]

_OFFERED_BY: Final = (SELLER, SELLER_OPERATOR)
_AGREED_BY: Final = (*_OFFERED_BY, BUYER, BUYER_OPERATOR)
_PARTIES: Final = {
    Kind.OFFERED: _OFFERED_BY,
    Kind.CATEGORY: (),
    Kind.ORDER: _AGREED_BY,
    Kind.CANCELLATION: _AGREED_BY,
    Kind.HOLDING: _AGREED_BY,
}
"""The parties that an entity must name, by its kind; other kinds have no form of DOME."""

_AGREED: Final = frozenset({Kind.ORDER, Kind.CANCELLATION, Kind.HOLDING})
_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MUTABLE: Final = frozenset({"lifecycleStatus", "lastUpdate"})
_CHARACTERISTICS: Final = "productSpecCharacteristic"


class DomeForm(NeutralPolicy):
    """The form of DOME.

    Args:
        member: DID of this node's member, the operator of what is made here.
        now: gives the time as RFC 3339 text.
    """

    def __init__(self, member: str, now: Callable[[], str]) -> None:
        self._member = member
        self._now = now

    def fill(self, resource: Resource, document: JsonObject, caller: Caller) -> None:
        """Give a new entity its time of change, which not every API has, and DOME's first state."""
        del caller
        kind = kind_of(resource.name)
        if kind in _PARTIES:
            document.setdefault("lastUpdate", self._now())
        if kind in (Kind.OFFERED, Kind.CATEGORY):
            document.setdefault(resource.state_attribute, "Active")

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Refuse what has not the form, and changes of what is launched. Raises TmfError."""
        del reading
        kind = kind_of(proposed.resource.name)
        if proposed.after is None or kind not in _PARTIES:
            return
        _need_form(proposed.resource, proposed.after)
        _need_parties(proposed.after, kind)
        operator = self._member if proposed.origin == OWN else proposed.origin
        if _PARTIES[kind] and operator not in operators_of(proposed.after):
            raise wrong("foreign-operator", f"{operator} is not its operator on either side")
        if proposed.before is not None and kind is Kind.OFFERED:
            _need_unchanged(proposed.before, proposed.after)


def _need_form(resource: Resource, document: JsonObject) -> None:
    for name in ("version", "lastUpdate"):
        value = document.get(name)
        if not isinstance(value, str) or not value.strip():
            raise wrong("missing-attribute", f"{name} is missing")
    id_, href = document.get("id"), document.get("href")
    pattern = f"urn:ngsi-ld:{re.escape(resource.kebab)}:{_UUID}"
    if not isinstance(id_, str) or not re.fullmatch(pattern, id_, re.IGNORECASE):
        raise wrong("wrong-id", f"id is not urn:ngsi-ld:{resource.kebab}:<uuid>")
    if href != resource.href(id_):
        raise wrong("wrong-href", f"href is not {resource.href(id_)}")


def _need_parties(document: JsonObject, kind: Kind) -> None:
    for role in _PARTIES[kind]:
        found = holders_of(document, role)
        if len(found) != 1 or not found[0].startswith("did:"):
            raise wrong(
                "missing-party", f"relatedParty does not name the DID of exactly one {role}"
            )
    if kind in _AGREED:
        known = {role.casefold() for role in ROLES}
        for role, _ in parties_of(document):
            if role.casefold() not in known:
                message = f"relatedParty: what two agreed on has no party {role!r}"
                raise wrong("unknown-party", message)


def _need_unchanged(before: JsonObject, after: JsonObject) -> None:
    if not is_launched(before):
        return
    first, second = _fixed(before), _fixed(after)
    changed = sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )
    if changed:
        raise conflicting(
            "launched-immutable",
            f"{changed[0]} of a launched entity does not change: make a new version, a new entity",
        )


def _fixed(document: JsonObject) -> JsonObject:
    """Give what must stay as it was launched."""
    kept = {name: value for name, value in document.items() if name not in _MUTABLE}
    rows = kept.get(_CHARACTERISTICS)
    if isinstance(rows, list):
        others = [row for row in rows if not is_certificate(row)]
        # The first certificate may be the first characteristic at all.
        kept = {**kept, _CHARACTERISTICS: others} if others else _without(kept, _CHARACTERISTICS)
    return kept


def _without(document: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in document.items() if key != name}
