"""Who may see and change what: the matrix of roles, resources and operations.

Owns that matrix (docs/adapters/access-node.md shows it). A caller's role towards an entity is what
the entity's related parties say of the caller's organisation, before and after the change: nobody
gives an entity away, and nobody takes one. The operator may do all of it.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from adapters.tmf.caller import Caller
from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import OWN, JsonObject
from adapters.tmf.policy.kinds import Kind, kind_of
from adapters.tmf.policy.neutral import NeutralPolicy
from adapters.tmf.policy.orders import request_of, states_of
from adapters.tmf.policy.parties import BUYER, ROLES, SELLER, holders_of, party_in
from adapters.tmf.policy.refusals import forbidden
from adapters.tmf.query.model import AnyOf, Comparison, Condition
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.ports import Reading

__all__ = ["NOBODY", "POWERS", "AccessRules"]

Action = Literal["create", "update", "delete"]

POWERS: Final[Mapping[Action, str]] = {
    "create": "ProductOffering/Create",
    "update": "ProductOffering/Update",
    "delete": "ProductOffering/Delete",
}
"""What a seller's credential must say to change the catalogue; all in the domain DOME."""

NOBODY: Final = Comparison("id", "eq", "")
"""A condition that no entity meets."""

_LAUNCHED: Final = tuple(
    Comparison("lifecycleStatus", "eq", word) for word in ("Launched", "launched")
)
_LEFT: Final = tuple(Comparison("lifecycleStatus", "eq", word) for word in ("Retired", "Obsolete"))


class AccessRules(NeutralPolicy):
    """The matrix. Also what no profile lets in from another member: what is internal there."""

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Refuse what the caller may not do. Raises TmfError 403."""
        kind = kind_of(proposed.resource.name)
        if proposed.origin != OWN:
            if kind is Kind.INTERNAL:
                raise forbidden("not-replicated", f"{proposed.resource.name} is never replicated")
            return
        if proposed.caller.is_operator:
            return
        if not proposed.caller.organisation:
            raise forbidden("no-organisation", "only known organisations may change anything")
        _RULES[kind](proposed, reading)

    def visible(self, resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Give what an entity must meet to exist for the caller."""
        kind = kind_of(resource.name)
        if caller.is_operator or kind in (Kind.CATEGORY, Kind.ORGANISATION):
            return ()
        named = Comparison("relatedParty.name", "eq", caller.organisation)
        own = (named,) if caller.organisation else ()
        if kind is Kind.OFFERED:
            # Others hold what was launched, and have to learn that it left the market.
            left = _LEFT if caller.is_marketplace else ()
            return (AnyOf((*_LAUNCHED, *left, *own)),)
        if kind is Kind.INTERNAL or not own:
            return (NOBODY,)
        return own


def _operator_only(proposed: Proposed, reading: Reading) -> None:
    del reading
    raise forbidden("operator-only", f"only the operator may change {proposed.resource.name}")


def _offered(proposed: Proposed, reading: Reading) -> None:
    del reading
    _need_role(proposed, SELLER)
    power = POWERS[_action(proposed)]
    if power not in proposed.caller.powers:
        raise forbidden("power-missing", f"the credential does not hold the power {power}")


def _holding(proposed: Proposed, reading: Reading) -> None:
    del reading
    _need_role(proposed, SELLER)


def _order(proposed: Proposed, reading: Reading) -> None:
    del reading
    action = _action(proposed)
    if action == "delete":
        raise forbidden("operator-only", "an order is cancelled, never deleted")
    if action == "create" or _is(proposed.before, BUYER, proposed.caller):
        _need_role(proposed, BUYER)
        _need_same(proposed, states_of, "the buyer may change no state of an order")
    else:
        _need_role(proposed, SELLER)
        _need_same(proposed, request_of, "the seller may change only note and the items' states")


def _cancellation(proposed: Proposed, reading: Reading) -> None:
    if _action(proposed) != "create":
        _operator_only(proposed, reading)
    assert proposed.after is not None, "it is made"
    _need_role(proposed, BUYER)
    named = proposed.after.get("productOrder")
    id_ = named.get("id") if isinstance(named, dict) else None
    order = reading.get("productOrder", id_) if isinstance(id_, str) else None
    if order is None or not _is(order.document(), BUYER, proposed.caller):
        raise forbidden("not-the-buyer", "only the buyer of an order may have it cancelled")


def _organisation(proposed: Proposed, reading: Reading) -> None:
    """An organisation keeps its own entry, but never says who it is: the operator did."""
    if _action(proposed) != "update":
        _operator_only(proposed, reading)
    assert proposed.before is not None, "it is changed"
    own = proposed.caller.organisation.removeprefix("did:elsi:")
    references = proposed.before.get("externalReference")
    rows = references if isinstance(references, list) else []
    names = {row.get("name") for row in rows if isinstance(row, dict)}
    if names.isdisjoint({own, proposed.caller.organisation}):
        raise forbidden("not-the-owner", "this is another organisation's entry")
    _need_same(
        proposed,
        lambda document: document.get("externalReference"),
        "only the operator says who it is",
    )


_RULES: Final[Mapping[Kind, Callable[[Proposed, Reading], None]]] = {
    Kind.OFFERED: _offered,
    Kind.CATEGORY: _operator_only,
    Kind.ORGANISATION: _organisation,
    Kind.ORDER: _order,
    Kind.CANCELLATION: _cancellation,
    Kind.HOLDING: _holding,
    Kind.INTERNAL: _operator_only,
}


def _action(proposed: Proposed) -> Action:
    if proposed.before is None:
        return "create"
    return "delete" if proposed.after is None else "update"


def _is(document: JsonObject | None, role: str, caller: Caller) -> bool:
    return document is not None and party_in(document, role) == caller.organisation


def _need_role(proposed: Proposed, role: str) -> None:
    """Refuse a caller without the role before or after, and a change of who has which role."""
    states = [state for state in (proposed.before, proposed.after) if state is not None]
    if not all(_is(state, role, proposed.caller) for state in states):
        raise forbidden("not-the-owner", f"only its {role} may do this")
    if len({_roles(state) for state in states}) > 1:
        raise forbidden("parties-fixed", "its parties do not change")


def _roles(document: JsonObject) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(holders_of(document, role)) for role in ROLES)


def _need_same(proposed: Proposed, part: Callable[[JsonObject], object], message: str) -> None:
    """Refuse a change of a part of the entity that was there before."""
    if proposed.before is None or proposed.after is None:
        return
    if part(proposed.before) != part(proposed.after):
        raise forbidden("not-yours-to-change", message)
